"""The log of mutes: what is on the disk, and what the command reads from there."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.media.gate import MicGate, Party
from appliance.service.json_lines import SIZE_MAX
from appliance.service.mute_log import LAPSES, NAME, MuteLog, follow, read, state_directory


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def gate(path: Path) -> Iterator[MicGate]:
    gate, log = MicGate(), MuteLog(path, "Oak")
    log.follow(gate, "microphone")
    log.start()
    yield gate
    log.stop()


def arrives(path: Path, why: str) -> bool:
    """Whether such an entry comes within 30 s."""
    stopped, end = threading.Event(), time.monotonic() + 30
    for batch in follow(path, stopped):
        if any(entry["why"] == why for entry in batch):
            return True
        if time.monotonic() > end:
            stopped.set()
    return False


def test_who_what_when_and_why(path: Path) -> None:
    gate, log = MicGate(allow_remote_unmute=False), MuteLog(path, "Oak")
    log.follow(gate, "microphone")
    log.start()
    gate.unmute(Party.START, "the room has told the first state")
    gate.mute(Party.ROOM, "a press on GPIO pins")
    gate.mute(Party.ROOM)  # no change, no line
    gate.unmute(Party.REMOTE, "not allowed")
    gate.unmute(Party.ROOM, "a press on the panel")
    log.stop()
    gate.mute(Party.ROOM)
    entries = [json.loads(line) for line in (path / NAME).read_text().splitlines()]
    times = [entry.pop("time") for entry in entries]
    assert times == sorted(times)
    assert all(time.endswith("+00:00") for time in times)
    assert entries == [
        {
            "device": "Oak",
            "what": "microphone",
            "who": who,
            "act": act,
            "why": why,
            "open": is_open,
            "closers": closers,
        }
        for who, act, why, is_open, closers in [
            ("start", "open", "the room has told the first state", True, []),
            ("room", "close", "a press on GPIO pins", False, ["room"]),
            ("room", "open", "a press on the panel", True, []),
        ]
    ]
    assert [entry["who"] for entry in read(path)] == ["start", "room", "room"]


def test_a_change_takes_some_200_bytes(path: Path, gate: MicGate) -> None:
    gate.unmute(Party.START, "the room has told the first state")
    gate.mute(Party.ROOM, "a press on GPIO pins")
    gate.mute(Party.LEASE, "the loop stood still for 85 ms")
    gate.unmute(Party.LEASE, "the loop is back")
    gate.unmute(Party.ROOM, "a press on the panel")
    assert arrives(path, "a press on the panel")
    lines = [
        line for name in (NAME, LAPSES) for line in (path / name).read_bytes().splitlines(True)
    ]
    assert len(lines) == 5
    assert all(150 < len(line) < 250 for line in lines)
    assert 4500 < SIZE_MAX / (sum(map(len, lines)) / 5) < 5500, "about 5,000 fill a file"


def test_however_much_the_lease_does_what_people_did_is_kept(path: Path) -> None:
    gate, log = MicGate(), MuteLog(path, "Oak", size_max=2000)
    gate.unmute(Party.START)
    log.follow(gate, "microphone")
    log.start()
    gate.mute(Party.ROOM, "the first")
    gate.unmute(Party.ROOM)
    for _ in range(100):
        gate.mute(Party.LEASE)
        gate.unmute(Party.LEASE)
    gate.mute(Party.LEASE)
    gate.mute(Party.ROOM, "the last")
    log.stop()
    entries = list(read(path))
    assert [one["why"] for one in entries if one["who"] == "room"] == ["the first", "", "the last"]
    assert sum(one["who"] == "lease" for one in entries) > 5
    assert entries[-1]["closers"] == ["lease", "room"]
    times = [one["time"] for one in entries]
    assert times == sorted(times)
    assert {one.name for one in path.iterdir()} == {NAME, LAPSES, f"{LAPSES}.1"}


def test_a_log_of_before_is_read_too(path: Path) -> None:
    old = {"time": "2026-01-31T12:00:00.000+00:00", "what": "microphone", "who": "lease"}
    path.mkdir()
    (path / NAME).write_text(json.dumps(old) + "\n")
    gate, log = MicGate(), MuteLog(path, "Oak")
    log.follow(gate, "microphone")
    log.start()
    gate.mute(Party.LEASE)
    log.stop()
    assert [one.get("device") for one in read(path)] == [None, "Oak"]


def test_a_disk_that_cannot_be_written_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    gate, log = MicGate(), MuteLog(tmp_path / "file", "Oak")
    log.follow(gate, "microphone")
    log.start()
    with caplog.at_level(logging.ERROR):
        gate.mute(Party.ROOM)
        gate.mute(Party.LATCH)
        log.stop()
    assert len(caplog.records) == 1
    assert "a gap" in caplog.text


def test_an_entry_that_cannot_be_written_is_said_once_and_ends_nothing(
    path: Path, gate: MicGate, caplog: pytest.LogCaptureFixture
) -> None:
    odd: Any = object()
    with caplog.at_level(logging.ERROR):
        gate.mute(Party.ROOM, "a word of the server's: \ud800")
        gate.mute(Party.SOFTWARE, odd)
        gate.mute(Party.REMOTE, odd)
        gate.mute(Party.LATCH, "the next")
        assert arrives(path, "the next")
    assert [(entry["who"], entry["why"]) for entry in read(path)] == [
        ("room", "a word of the server's: \ud800"),
        ("latch", "the next"),
    ]
    (record,) = caplog.records
    assert record.getMessage() == f"{path / NAME}: an entry cannot be written"


def test_what_comes_is_followed_into_the_next_file(path: Path, gate: MicGate) -> None:
    stopped, got, arrived = threading.Event(), list[list[str]](), threading.Semaphore(0)

    def listen() -> None:
        for batch in follow(path, stopped):
            if batch or not got:
                got.append([entry["who"] for entry in batch])
                arrived.release()

    thread = threading.Thread(target=listen)
    thread.start()
    assert arrived.acquire(timeout=30)
    gate.mute(Party.ROOM)
    assert arrived.acquire(timeout=30)
    (path / NAME).replace(path / f"{NAME}.1")
    gate.mute(Party.LATCH)
    assert arrived.acquire(timeout=30)
    gate.mute(Party.LEASE)
    assert arrived.acquire(timeout=30)
    stopped.set()
    thread.join()
    assert got == [[], ["room"], ["latch"], ["lease"]]


def test_where_a_device_keeps_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_directory() == tmp_path / "roomlet"
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/roomlet:/var/lib/other")
    assert state_directory() == Path("/var/lib/roomlet")
