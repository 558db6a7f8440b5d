"""The doctor's look at the panel's door."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from appliance.provisioning import Config, ConfigError
from appliance.service.doctor.check import Finding, Verdict
from appliance.service.doctor.checklist import Patient, checks
from appliance.service.doctor.panel import look_at_panel
from tests.appliance.provisioning.static_server import Authority
from tests.appliance.service.doctor.conftest import config

PIN = "c4n4ry"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


def door(tmp_path: Path, pem: Path | None = None, **more: Any) -> Config:
    pin = tmp_path / "panel.pin"
    pin.write_text(PIN)
    pin.chmod(0o600)
    tls = {}
    if pem is not None:
        pem.chmod(0o640)
        tls = {"tls_cert": pem, "tls_key": pem}
    return config(panel={"listen": "0.0.0.0:8443", "pin_file": pin} | tls | more)


async def look(config: Config) -> Finding:
    found = await look_at_panel(config)
    assert PIN not in f"{found}"
    return found


async def test_what_is_well_is_told(tmp_path: Path, authority: Authority) -> None:
    whole = door(tmp_path, authority.issue("panel", days=90), client_ca=authority.file)
    found = await look(whole)
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(days=90)
    assert found.verdict is Verdict.OK
    assert found.text.startswith("0.0.0.0:8443 with a PIN and client certificates; ")
    assert found.text.endswith(f"good until {ends:%Y-%m-%d}")
    here = await look(door(tmp_path, listen="127.0.0.1:0"))
    assert (here.verdict, here.text) == (Verdict.OK, "127.0.0.1:0 with a PIN")


async def test_a_pin_that_everybody_can_read_is_told(tmp_path: Path) -> None:
    open_door = door(tmp_path, listen="127.0.0.1:0")
    (tmp_path / "panel.pin").chmod(0o644)
    found = await look(open_door)
    assert (found.verdict, found.remedy) == (Verdict.WARN, f"chmod 600 {tmp_path / 'panel.pin'}")


async def test_a_certificate_that_ends_is_told(tmp_path: Path, authority: Authority) -> None:
    soon = await look(door(tmp_path, authority.issue("panel", days=10)))
    assert (soon.verdict, "only 9 days" in soon.text) == (Verdict.WARN, True)
    assert "reload" in soon.remedy
    over = await look(door(tmp_path, authority.issue("panel", days=-1)))
    assert (over.verdict, "it ended on" in over.text) == (Verdict.FAIL, True)


async def test_what_weakens_the_door_is_told(tmp_path: Path, authority: Authority) -> None:
    found = await look(door(tmp_path))
    assert (found.verdict, found.remedy) == (
        Verdict.WARN,
        "give panel.tls_cert and panel.tls_key",
    )
    pem = authority.issue("panel")
    named = await look(door(tmp_path, pem, hosts=["127.0.0.1", "room-7.example"]))
    assert named.verdict is Verdict.WARN
    assert "is not for room-7.example" in named.text
    whole = door(tmp_path, pem)
    pem.chmod(0o644)
    found = await look(whole)
    assert (found.verdict, found.remedy) == (Verdict.WARN, f"chmod 640 {pem}")


async def test_files_that_cannot_be_used_are_told(tmp_path: Path, authority: Authority) -> None:
    pem = authority.issue("panel")
    found = await look(door(tmp_path, pem, tls_key=tmp_path / "nothing.pem"))
    assert found.verdict is Verdict.FAIL
    assert found.text == f"panel.tls_key: {tmp_path / 'nothing.pem'}: no such file or directory"
    assert found.remedy == "mend its path or its rights"
    broken = door(tmp_path, pem)
    (tmp_path / "panel.pin").unlink()
    with pytest.raises(ConfigError, match="put the PIN there"):
        await look_at_panel(broken)


def test_a_panel_for_this_machine_alone_is_not_looked_at(tmp_path: Path) -> None:
    def names(config: Config) -> list[str]:
        return [check.name for check in checks(Patient(config))]

    assert "panel" not in names(config())
    assert "panel" not in names(door(tmp_path, enabled=False))
    assert "panel" in names(door(tmp_path))
