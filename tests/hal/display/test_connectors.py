from __future__ import annotations

from pathlib import Path

import pytest

from hal.device import Device
from hal.display import connectors
from hal.display.connectors import State, Watch, find, state_of


def plug(sys: Path, name: str, status: str, number: str = "33", modes: str = "") -> Path:
    folder = sys / "class" / "drm" / f"card1-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "status").write_text(status + "\n")
    (folder / "connector_id").write_text(number + "\n")
    (folder / "modes").write_text(modes)
    return folder


def test_connected_screens_are_found_by_connector(tmp_path: Path) -> None:
    plug(tmp_path, "HDMI-A-2", "connected", "42")
    plug(tmp_path, "HDMI-A-1", "connected", "33")
    plug(tmp_path, "Writeback-1", "unknown", "50")
    plug(tmp_path, "DSI-1", "disconnected", "20")
    (tmp_path / "class" / "drm" / "card1").mkdir()
    assert find(tmp_path, {}) == [
        Device("HDMI-A-1", "Screen at HDMI-A-1", "display", "sdl"),
        Device("HDMI-A-2", "Screen at HDMI-A-2", "display", "sdl"),
    ]
    assert [each.id for each in find(tmp_path, {"DISPLAY": ":0"})] == ["window"]
    assert [each.id for each in find(tmp_path, {"WAYLAND_DISPLAY": "w"})] == ["window"]
    assert find(tmp_path / "none", {}) == []


def test_the_state_tells_what_is_at_a_connector(tmp_path: Path) -> None:
    folder = plug(tmp_path, "HDMI-A-1", "connected", modes="1920x1080\n1280x720\n")
    (folder / "edid").write_bytes(b"\0\xff\xffPANEL")
    assert state_of("HDMI-A-1", tmp_path) == State(
        connected=True, modes="1920x1080\n1280x720", edid=b"\0\xff\xffPANEL"
    )
    plug(tmp_path, "HDMI-A-1", "disconnected")
    assert not state_of("HDMI-A-1", tmp_path).connected
    assert state_of("HDMI-A-7", tmp_path) == State(connected=False, modes="", edid=b"")


def test_a_watch_looks_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now, looks, value = 10.0, 0, "before"

    def look() -> str:
        nonlocal looks
        looks += 1
        return value

    monkeypatch.setattr(connectors.time, "monotonic", lambda: now)
    watch = Watch(look, every=1.0)
    value = "after"
    now = 10.9
    assert not watch.changed()
    assert looks == 1
    now = 11.0
    assert watch.changed()
    assert not watch.changed(), "only every second"
    now, value = 12.0, "before"
    assert not watch.changed(), "it is again as it was"
    assert looks == 3
