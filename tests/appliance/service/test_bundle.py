"""What stands in a bundle, and what never does."""

from __future__ import annotations

import io
import json
import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.media.gate import Party
from appliance.service import journal
from appliance.service.bundle import MUTES, bundle
from appliance.service.history import History
from appliance.service.journal import Secrets
from appliance.service.log_ring import LogRing
from appliance.service.maintenance import counters
from tests.appliance.service.conftest import MakeDevice

CANARIES = {
    "config": "canary-0815-in-the-config",
    "file": "canary-0816-in-a-file",
    "proxy": "canary-0817-in-an-address",
    "quoted": 'canary-0818-"quoted"-\\-é',
    "log": "canary-0819-of-the-log",
}


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Iterator[LogRing]:
    monkeypatch.setattr(journal, "SECRETS", Secrets())
    ring = LogRing()
    logging.getLogger("appliance.of.this.test").addHandler(ring)
    yield ring
    logging.getLogger("appliance.of.this.test").removeHandler(ring)


def unpacked(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        assert packed.testzip() is None
        return {name: packed.read(name) for name in packed.namelist()}


async def test_no_secret_is_in_any_byte(
    make_device: MakeDevice, ring: LogRing, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text(CANARIES["file"] + "\n")
    secret.chmod(0o600)
    oak = await make_device(
        "Oak",
        1,
        joined=False,
        calendar={"url": "https://calendar.invalid/x.ics", "user": "me", "password_file": secret},
        provisioning={"proxy": f"http://me:{CANARIES['proxy']}@127.0.0.1:3128"},
    )
    camera = oak.config.camera.model_copy(
        update={"options": {"pin": CANARIES["quoted"], "api_token": CANARIES["config"]}}
    )
    oak.config = oak.config.model_copy(update={"camera": camera})
    assert oak.config.room.token is not None
    canaries = [*CANARIES.values(), oak.config.room.token.get_secret_value()]
    journal.SECRETS.add(CANARIES["log"])
    log = logging.getLogger("appliance.of.this.test")
    for canary in canaries:
        log.warning("it says %s", canary)
        oak.microphone_gate.mute(Party.SOFTWARE, f"because of {canary}")
        oak.microphone_gate.unmute(Party.SOFTWARE, f"because of {canary}")
        oak.situation.fault("canary", f"a fault of {canary}")
    oak.mute_log.stop()
    data = await bundle(oak, History(lambda: counters(oak)), ring)
    parts = unpacked(data)
    # Each of them came as far as the veil.
    assert parts["log.txt"].count(b"it says") == len(canaries)
    assert parts["mute.jsonl"].count(b"because of") == 2 * len(canaries)
    assert b"a fault of" in parts["state.json"]
    assert b"api_token" in parts["config.toml"]
    for name, part in {**parts, "whole": data}.items():
        for canary in canaries:
            for form in (canary, json.dumps(canary)[1:-1], canary.replace('"', '\\"')):
                assert form.encode() not in part, (name, canary)


@pytest.mark.parametrize(("pin", "masked"), [("314159", False), ("31415926", True)])
async def test_a_pin_of_digits_leaves_numbers_whole(
    make_device: MakeDevice, ring: LogRing, tmp_path: Path, pin: str, masked: bool
) -> None:
    secret = tmp_path / "panel.pin"
    secret.write_text(pin + "\n")
    secret.chmod(0o600)
    oak = await make_device("Oak", 1, joined=False, panel={"pin_file": secret})
    number = int(f"5{pin}2")
    history = History(lambda: counters(oak))
    history.add(1.0, float(number), 3.0 + float(f"0.{pin}"))
    logging.getLogger("appliance.of.this.test").warning("after %d packets", number)
    oak.situation.fault("canary", f"after {number} packets")
    parts = unpacked(await bundle(oak, history, ring))
    told = {name: json.loads(part) for name, part in parts.items() if name.endswith(".json")}
    assert told["history.json"]["samples"][0]["cpu_percent"] == number
    # A short one would be told by the gap, whatever number it is.
    assert (str(number).encode() not in parts["log.txt"]) == masked
    assert (str(number) not in told["state.json"]["status_reason"]) == masked
    assert b"after " in parts["log.txt"]


async def test_it_tells_what_helps(make_device: MakeDevice, ring: LogRing) -> None:
    oak = await make_device("Oak", 1)
    history = History(lambda: counters(oak))
    history.add(1.0, 12.5, 40.0)
    logging.getLogger("appliance.of.this.test").warning("line one\nline two")
    parts = unpacked(await bundle(oak, history, ring))
    told: dict[str, Any] = {
        name: json.loads(part) for name, part in parts.items() if name.endswith(".json")
    }
    assert sorted(parts) == sorted(
        ["README.txt", "config.toml", "log.txt", "mute.jsonl", *told],
    )
    assert told["state.json"]["status"] == "in_room"
    assert [one["name"] for one in told["state.json"]["members"]] == ["Oak"]
    assert told["history.json"]["samples"][0]["cpu_percent"] == 12.5
    assert told["versions.json"]["roomlet"]
    assert told["versions.json"]["aiortc"] != "unknown"
    checks = {one["name"]: one["verdict"] for one in told["doctor.json"]}
    assert checks["configuration"] == "ok"
    # No device was touched for it, and nobody called.
    assert not {"camera", "microphone", "speaker", "hub", "media"} & checks.keys()
    assert b"line one\nline two" in parts["log.txt"]
    assert b'backend = "synthetic"' in parts["config.toml"]
    for name in parts:
        assert name == "README.txt" or name.encode() in parts["README.txt"]


async def test_half_of_a_surrogate_pair_does_not_prevent_it(
    make_device: MakeDevice, ring: LogRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    oak = await make_device("Oak", 1, joined=False)
    # No further than to these handlers: pytest cannot report what it has captured of it.
    monkeypatch.setattr(logging.getLogger("appliance"), "propagate", False)
    logging.getLogger("appliance.of.this.test").warning("a file's name: \udce9")
    oak.situation.fault("canary", "a file's name: \udce9")
    oak.microphone_gate.mute(Party.SOFTWARE, "a word of the server's: \ud800")
    oak.mute_log.stop()
    parts = unpacked(await bundle(oak, History(lambda: counters(oak)), ring))
    assert rb"a file's name: \udce9" in parts["log.txt"]
    assert json.loads(parts["state.json"])["status_reason"] == "a file's name: \udce9"
    entries = [json.loads(line) for line in parts["mute.jsonl"].decode().splitlines()]
    assert "a word of the server's: \ud800" in [entry["why"] for entry in entries]


async def test_of_the_log_of_mutes_there_are_the_newest(
    make_device: MakeDevice, ring: LogRing
) -> None:
    oak = await make_device("Oak", 1, joined=False)
    for number in range(MUTES):
        oak.camera_gate.mute(Party.SOFTWARE, f"{number}")
        oak.camera_gate.unmute(Party.SOFTWARE, f"{number}")
    oak.mute_log.stop()
    parts = unpacked(await bundle(oak, History(lambda: counters(oak)), ring))
    entries = [json.loads(line) for line in parts["mute.jsonl"].decode().splitlines()]
    # A busy machine adds lapses of the lease.
    whys = [entry["why"] for entry in entries if entry["who"] != "lease"]
    assert len(whys) == MUTES
    assert whys[-1] == str(MUTES - 1)


async def test_a_busy_machine_does_not_drown_what_people_did(
    make_device: MakeDevice, ring: LogRing
) -> None:
    oak = await make_device("Oak", 1, joined=False)
    oak.camera_gate.mute(Party.ROOM, "the first")
    for _ in range(MUTES):
        oak.camera_gate.mute(Party.LEASE)
        oak.camera_gate.unmute(Party.LEASE)
    oak.camera_gate.unmute(Party.ROOM, "the last")
    oak.mute_log.stop()
    parts = unpacked(await bundle(oak, History(lambda: counters(oak)), ring))
    entries = [json.loads(line) for line in parts["mute.jsonl"].decode().splitlines()]
    lapses = [at for at, entry in enumerate(entries) if entry["who"] == "lease"]
    assert len(lapses) == MUTES
    first, last = (at for at, entry in enumerate(entries) if entry["who"] == "room")
    assert first < lapses[0] < last, "in the order in which it happened"
