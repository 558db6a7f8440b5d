from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.provisioning import ConfigError
from appliance.service.doctor import Outcome, Patient, Verdict, examination
from appliance.service.doctor import checklist as module
from appliance.service.doctor.check import Finding
from appliance.service.doctor.machine import KernelClock
from hal.camera.synthetic import SyntheticCamera
from tests.appliance.service.doctor.conftest import config

EVERYTHING = [
    "configuration",
    "camera",
    "microphone",
    "speaker",
    "controls",
    "clock",
    "name",
    "route",
    "certificate",
    "hub",
    "media",
    "disk",
    "temperature",
    "throttling",
]


async def outcomes(patient: Patient) -> dict[str, Outcome]:
    return {outcome.name: outcome async for outcome in examination(patient)}


def patient(tmp_path: Path, *args: Any, **fields: Any) -> Patient:
    clock = lambda: KernelClock(True, 0.01)  # noqa: E731
    return Patient(*args, root=tmp_path, clock=clock, **fields)


async def test_a_device_whose_hub_is_gone(tmp_path: Path) -> None:
    found = await outcomes(patient(tmp_path, config()))
    assert list(found) == EVERYTHING
    assert [name for name, outcome in found.items() if outcome.failed] == ["hub"]
    for outcome in found.values():
        for text in (outcome.finding.text, outcome.finding.remedy):
            assert len(text.splitlines()) <= 1
        if outcome.finding.verdict in (Verdict.FAIL, Verdict.WARN):
            assert outcome.finding.remedy, outcome


async def test_without_a_configuration_the_machine_is_looked_at(tmp_path: Path) -> None:
    error = ConfigError("room: is missing; say which", path=tmp_path / "device.toml")
    found = await outcomes(patient(tmp_path, error))
    assert list(found) == EVERYTHING
    assert found["configuration"].failed
    assert "device.toml: room: is missing" in found["configuration"].finding.text
    tried = {name for name in found if found[name].finding.verdict is not Verdict.SKIPPED}
    assert tried == {"configuration", "clock", "disk", "throttling"}


async def test_a_device_that_took_anothers_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hal.camera.v4l2.V4l2Camera.devices", classmethod(lambda cls: []))
    monkeypatch.setattr("hal.camera.picamera2.Picamera2Camera.devices", classmethod(lambda cls: []))
    camera = {"backend": "auto", "width": 160, "height": 90, "rate": 1}
    found = await outcomes(patient(tmp_path, config(camera=camera)))
    assert found["camera"].finding.verdict is Verdict.WARN
    assert "falling back to synthetic" in found["camera"].finding.text


async def test_no_check_spoils_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def explode(*_: object) -> Finding:
        raise RuntimeError("bang")

    for name in ("look_at_camera", "look_at_name", "look_at_disk"):
        monkeypatch.setattr(module, name, explode)
    found = await outcomes(patient(tmp_path, config()))
    assert list(found) == EVERYTHING
    broken = [name for name, one in found.items() if "broke off" in one.finding.text]
    assert broken == ["camera", "name", "disk"]
    assert found["microphone"].finding.text.startswith("Synthetic microphone 1")


async def test_secrets_do_not_come_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("c4n4ry-token", "c4n4ry-proxy", "c4n4ry-password", "c4n4ry-option", "c4n4ry-pin")

    def leak(*_: object) -> object:
        raise RuntimeError(f"a library tells: {' '.join(secrets)}")

    monkeypatch.setattr(SyntheticCamera, "open", leak)
    monkeypatch.setattr(module, "look_at_hub", leak)
    pin = tmp_path / "panel.pin"
    pin.write_text("c4n4ry-pin")
    leaking = config(
        panel={"pin_file": pin},
        room={"host": "ws://me:c4n4ry-password@127.0.0.1:1", "token": "c4n4ry-token"},
        microphone={"backend": "synthetic", "options": {"api_key": "c4n4ry-option"}},
        provisioning={"proxy": "http://me:c4n4ry-proxy@127.0.0.1:3128"},
    )
    found = await outcomes(patient(tmp_path, leaking))
    told = json.dumps([outcome.to_json() for outcome in found.values()])
    assert "a library tells: ******** ******** ******** ******** ********" in told
    assert "c4n4ry" not in told


async def test_the_fleets_servers_are_looked_at_too(tmp_path: Path, unused_tcp_port: int) -> None:
    key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"
    urls = [f"https://127.0.0.1:{unused_tcp_port}/{name}/" for name in ("a", "b")]
    settings = config(provisioning={"urls": urls, "public_key": key})
    found = await outcomes(patient(tmp_path, settings))
    one = found["certificate of 127.0.0.1"]
    assert one.failed
    assert "refused" in one.finding.text


async def test_a_web_service_for_tokens(tmp_path: Path, unused_tcp_port: int) -> None:
    secret = tmp_path / "secret"
    secret.write_text("Basic c4n4ry-secret")
    secret.chmod(0o600)
    room = {
        "token_url": f"https://127.0.0.1:{unused_tcp_port}/token",
        "token_secret_file": secret,
        "token_headers": {"X-Device": "c4n4ry-header"},
    }
    found = await outcomes(patient(tmp_path, config(room=room)))
    assert found["configuration"].finding.text == "it is whole"
    assert found["certificate of 127.0.0.1"].failed
    assert found["hub"].failed
    assert "for a room token" in found["hub"].finding.text
    assert found["media"].finding.verdict is Verdict.SKIPPED
    assert "c4n4ry" not in json.dumps([outcome.to_json() for outcome in found.values()])
