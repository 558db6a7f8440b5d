from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from appliance.media.gate import CameraGate, MicGate, Party
from appliance.panel import PanelState
from appliance.service.state_file import StateFile, carry, read


def state(**values: object) -> PanelState:
    return PanelState(**{"name": "Oak", "room": "demo", "hub": "", "status": "in_room", **values})  # type: ignore[arg-type]


def test_others_read_the_state(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    file = StateFile(path)
    file.write(state(closers=["room"]), "never")
    assert read(path) == {
        "status": "in_room",
        "reason": "",
        "room": "demo",
        "microphone": ["room"],
        "camera": [],
        "idle": False,
        "reboot": "never",
        "pid": os.getpid(),
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    file.write(state(status="idle", status_reason="quiet hours"))
    assert read(path)["idle"] is True
    before = path.stat().st_ino
    file.write(state(status="idle", status_reason="quiet hours", volume=3))
    assert path.stat().st_ino == before, "nothing new is not written"


def test_what_people_closed_stays_closed_after_a_restart(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state.json")
    file.write(state(closers=["room", "start", "watchdog"], camera_closers=["remote"]))
    microphone, camera = MicGate(), CameraGate()
    was = StateFile(tmp_path / "state.json").restore(microphone, camera)
    assert was == "in_room"
    assert microphone.closers == {Party.START, Party.ROOM}
    assert camera.closers == {Party.START, Party.REMOTE}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"microphone": "room"}', '{"microphone": [3]}'])
def test_a_damaged_file_closes_nothing_and_harms_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    microphone = MicGate()
    assert StateFile(path).restore(microphone, CameraGate()) == ""
    assert microphone.closers == {Party.START}


def test_without_a_service_there_is_no_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = StateFile.of_service({})
    file.write(state())
    file.restore(MicGate(), CameraGate())
    gone = StateFile.of_service({"RUNTIME_DIRECTORY": str(tmp_path / "gone")})
    gone.write(state())
    assert "others do not see the state" in caplog.text
    made = StateFile.of_service({"RUNTIME_DIRECTORY": f"{tmp_path}:/elsewhere"})
    made.write(state())
    assert json.loads((tmp_path / "state.json").read_text())["status"] == "in_room"


def test_another_gate_takes_over_what_people_closed() -> None:
    before, after = MicGate(), MicGate()
    before.mute(Party.ROOM)
    before.mute(Party.CONFIG)
    before.mute(Party.LATCH)
    carry(before, after)
    assert after.closers == {Party.START, Party.ROOM, Party.CONFIG}
