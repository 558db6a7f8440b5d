from __future__ import annotations

import asyncio
import itertools
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from appliance.hub import recorder as recorder_module
from appliance.hub.recorder import Recorder, RecordingError, RecordingState, finish_interrupted
from appliance.hub.tap import Samples
from appliance.media.packet import Encoded
from hal.camera.scene import COUNTER_MODULO
from tests.appliance.hub.live_room import HEIGHT, PICTURES, WIDTH, Film, Listener, LiveRoom, until

TONE, OTHER = 1000.0, 1700.0


@pytest.fixture
async def room() -> AsyncIterator[LiveRoom]:
    one = LiveRoom()
    yield one
    await one.stage.close()


class Watcher:
    """A tap that shows whether the room goes on."""

    def __init__(self) -> None:
        self.pictures = 0
        self.sounds = 0

    def picture(self, frame: Encoded, at: float) -> None:
        self.pictures += 1

    def sound(self, samples: Samples, at: float) -> None:
        self.sounds += 1


async def test_a_recording_holds_picture_and_sound_in_time(room: LiveRoom, tmp_path: Path) -> None:
    recorder = Recorder(room.stage, tmp_path / "a.mp4")
    listener = Listener(room.stage)
    recorder.start()
    wire = recorder.state.to_wire()
    assert wire == {
        "id": recorder.id,
        "state": "recording",
        "duration": None,
        "started_at": pytest.approx(time.time(), abs=60),
        "ended_at": None,
    }
    await asyncio.sleep(1.0)
    room.tone.frequency = TONE
    await asyncio.sleep(1.5)
    state = await recorder.stop()

    film = Film.read(recorder.path)
    assert film.codecs == ["h264", "aac"]
    first, last = film.pictures[0], film.pictures[-1]
    assert (first[1].width, first[1].height) == (WIDTH, HEIGHT)
    assert first[0] == 0
    assert film.sound_start == 0
    # The clock in the pictures goes with the time in the file.
    clock = film.clock()
    scenes = film.scenes()
    assert len(scenes) > len(film.pictures) * 0.9
    assert {code.camera for _, code in scenes} == {7}
    off = sorted(abs(code.clock_ms / 1000 - at - clock) for at, code in scenes)
    # A busy machine draws one now and then later than its time, and at no other time for long.
    assert off[len(off) * 9 // 10] < 0.06
    assert off[-1] < 0.3
    # So does the sound.
    heard_at = listener.first(TONE)
    assert heard_at is not None
    modulo = COUNTER_MODULO / 1000
    assert clock + film.onset(TONE) == pytest.approx(heard_at % modulo, abs=0.06)
    # And the room's sound with the clock: its piece was asked for when that was mixed.
    spread = listener.late - listener.soonest
    assert heard_at == pytest.approx(room.tone.since[TONE], abs=0.03 + spread)
    assert listener.all_in(film, [TONE])
    assert film.usual(TONE, last[0] - 1, last[0]) == pytest.approx(-12.2, abs=1)
    assert film.level(OTHER, last[0] - 1, last[0]) < -60

    assert state.state == "completed"
    assert state.reason is None
    assert state.duration == pytest.approx(film.duration, abs=0.05)
    assert state.duration == pytest.approx(film.sound.size / 48_000, abs=0.05)
    # The last picture is seen as long as any other.
    longest = max(b - a for (a, _), (b, _) in itertools.pairwise(film.pictures))
    assert last[0] <= state.duration <= last[0] + longest + 0.3
    assert state.ended_at is not None
    # It begins with the first keyframe, a little after the wish.
    assert 0.5 < state.duration <= state.ended_at - state.started_at + 0.05
    assert recorder.dropped == 0


async def test_a_pause_is_cut_out_without_a_gap(room: LiveRoom, tmp_path: Path) -> None:
    changes: list[RecordingState] = []
    recorder = Recorder(room.stage, tmp_path / "a.mp4", on_change=changes.append)
    listener = Listener(room.stage)
    recorder.start()
    room.tone.frequency = TONE
    await asyncio.sleep(1.0)
    recorder.pause()
    recorder.pause()
    paused_at = time.monotonic()
    room.tone.frequency = OTHER
    await asyncio.sleep(1.0)
    room.tone.since.clear()
    room.tone.frequency = TONE
    await until(lambda: room.tone.since.get(TONE))
    await asyncio.sleep(0.1)
    resumed_at = time.monotonic()
    recorder.resume()
    recorder.resume()
    await asyncio.sleep(1.0)
    state = await recorder.stop()
    assert await recorder.stop() == state
    assert [change.state for change in changes] == ["paused", "recording", "completed"]
    assert changes[-1] is state
    with pytest.raises(RecordingError, match="has ended"):
        recorder.pause()
    with pytest.raises(RecordingError, match="has ended"):
        recorder.resume()

    film = Film.read(recorder.path)
    times = [at for at, _ in film.pictures]
    assert times == sorted(set(times))
    # Nothing of the pause is seen or heard, and it takes no time.
    pause = resumed_at - paused_at
    assert state.duration == pytest.approx(film.duration, abs=0.05)
    assert state.ended_at is not None
    # But for the last picture before it, which is seen as long as any other.
    longest = max(later - at for at, later in itertools.pairwise(times))
    assert film.duration <= state.ended_at - state.started_at - pause + longest + 0.05
    scenes = film.scenes()
    clocks = [code.clock_ms / 1000 for _, code in scenes]
    modulo = COUNTER_MODULO / 1000
    assert not [c for c in clocks if paused_at % modulo + 0.06 < c < resumed_at % modulo - 0.01]
    jumps = [
        (at, later)
        for ((at, code), (later, next_code)) in itertools.pairwise(scenes)
        if next_code.clock_ms - code.clock_ms > 800
    ]
    assert len(jumps) == 1
    # The last picture before it is seen as long as any other that waits for the next.
    assert jumps[0][1] - jumps[0][0] < 0.4
    assert film.level(OTHER, 0, film.duration) < -50
    # By pieces of 10 ms: where the two parts meet the tone's phase jumps, and in a long window its
    # two halves may cancel each other.
    loud = [
        piece / 100
        for piece in range(20, int(film.duration * 100) - 20)
        if film.level(TONE, piece / 100, (piece + 1) / 100) > -30
    ]
    # What the mixer has not said by the pause is silence, and on a busy machine it is late.
    assert max(later - at for at, later in itertools.pairwise(loud)) < 0.04 + listener.late
    assert loud[0] < 0.25 + listener.late
    assert loud[-1] > film.duration - 0.3 - listener.late
    # Pictures and sound are still together.
    assert film.sound.size / 48_000 == pytest.approx(film.duration, abs=0.05)


async def test_several_recordings_at_once_and_in_a_row(room: LiveRoom, tmp_path: Path) -> None:
    room.tone.frequency = TONE
    listener = Listener(room.stage)
    recorders = [Recorder(room.stage, tmp_path / f"{n}.mp4") for n in range(3)]
    recorders[0].start()
    recorders[1].start()
    # A recording begins with the next keyframe.
    await until(lambda: all(one.path.stat().st_size for one in recorders[:2]))
    await asyncio.sleep(1.0)
    first = await recorders[0].stop()
    recorders[2].start()
    await until(lambda: recorders[2].path.stat().st_size)
    await asyncio.sleep(0.6)
    states = [first, *[await one.stop() for one in recorders[1:]]]
    assert len({state.id for state in states}) == 3
    for state, one in zip(states, recorders, strict=True):
        film = Film.read(one.path)
        assert state.duration == pytest.approx(film.duration, abs=0.05)
        assert film.duration > 0.2
        assert film.usual(TONE, 0.1, film.duration) > -20
        assert listener.all_in(film, [TONE])
        assert film.scenes()
    assert states[1].duration is not None
    assert states[2].duration is not None
    assert states[1].duration > states[2].duration + 0.5


async def test_nothing_is_encoded_when_no_recording_runs(room: LiveRoom, tmp_path: Path) -> None:
    recorder = Recorder(room.stage, tmp_path / "a.mp4")
    recorder.start()
    await until(lambda: room.stage.canvas.stats.frames > 5)
    await recorder.stop()
    before = room.stage.canvas.stats.frames
    await asyncio.sleep(0.3)
    assert room.stage.canvas.stats.frames <= before + 1


async def test_keyframes_come_often_enough(
    room: LiveRoom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.hub.stage._KEYFRAME_EVERY", 0.4)
    recorder = Recorder(room.stage, tmp_path / "a.mp4")
    recorder.start()
    await asyncio.sleep(2.5)
    await recorder.stop()
    film = Film.read(recorder.path)
    gaps = [b - a for a, b in itertools.pairwise([*film.keyframes, film.duration])]
    assert len(gaps) >= 2
    assert gaps[0] > 0.3
    assert max(gaps) < 1.2


async def test_a_recording_that_ends_before_the_first_picture_leaves_no_file(
    room: LiveRoom, tmp_path: Path
) -> None:
    recorder = Recorder(room.stage, tmp_path / "a.mp4")
    recorder.start()
    state = await recorder.stop()
    assert (state.state, state.duration, state.reason) == ("completed", 0, None)
    assert not recorder.path.exists()


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 500 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, before)


async def test_a_file_that_cannot_grow_ends_the_recording_and_not_the_room(
    room: LiveRoom, tmp_path: Path, small_files: None, caplog: pytest.LogCaptureFixture
) -> None:
    watcher = Watcher()
    room.stage.tap(watcher)
    room.tone.frequency = TONE
    changes: list[RecordingState] = []
    recorder = Recorder(room.stage, tmp_path / "a.mp4", on_change=changes.append)
    recorder.start()
    await until(lambda: changes)
    (state,) = changes
    assert state.state == "completed"
    assert state.reason is not None
    assert state.reason.startswith("the disk is full")
    assert "\n" not in state.reason
    assert await recorder.stop() is state
    # What was written can be seen and heard.
    film = Film.read(recorder.path)
    assert state.duration == pytest.approx(film.duration, abs=0.05)
    assert film.duration > 0.2
    assert film.scenes()
    assert film.usual(TONE, 0.1, film.duration) > -20
    pictures, sounds = watcher.pictures, watcher.sounds
    await until(lambda: watcher.pictures > pictures + 5 and watcher.sounds > sounds + 5)
    assert caplog.text.count("has ended: the disk is full") == 1


async def test_the_last_of_the_disk_is_not_used(
    room: LiveRoom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RecordingError, match="disk is full"):
        Recorder(room.stage, tmp_path / "a.mp4", spare=1 << 60).start()
    assert list(tmp_path.iterdir()) == []

    monkeypatch.setattr(recorder_module, "_SYNC_EVERY", 0.7)
    changes: list[RecordingState] = []
    recorder = Recorder(room.stage, tmp_path / "a.mp4", on_change=changes.append)
    recorder.start()
    recorder._spare = 1 << 60  # somebody else fills the disk
    await until(lambda: changes)
    assert changes[0].reason is not None
    assert changes[0].reason.startswith("the disk is full")
    film = Film.read(recorder.path)
    assert changes[0].duration == pytest.approx(film.duration, abs=0.05)
    assert film.scenes()


async def test_a_file_that_cannot_be_made_is_refused(room: LiveRoom, tmp_path: Path) -> None:
    (tmp_path / "there.mp4").write_bytes(b"precious")
    for name in ("there.mp4", "nowhere/a.mp4"):
        with pytest.raises(RecordingError, match="Cannot record to"):
            Recorder(room.stage, tmp_path / name).start()
    assert (tmp_path / "there.mp4").read_bytes() == b"precious"
    assert room.stage.canvas.stats.frames == 0


_RECORD = """
import asyncio, sys
from pathlib import Path
from appliance.hub.recorder import Recorder
from tests.appliance.hub.live_room import LiveRoom, until

async def main():
    room = LiveRoom()
    room.tone.frequency = 1000.0
    Recorder(room.stage, Path(sys.argv[1])).start()
    await until(lambda: room.stage.canvas.stats.frames)
    print("recording", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_a_hub_that_is_killed_loses_two_seconds_at_most(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen(
        [sys.executable, "-c", _RECORD, str(path)], stdout=subprocess.PIPE, env=environment
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"recording\n"
        began = time.monotonic()
        time.sleep(4)
        # Taken before the end: what happens until then is a bonus.
        elapsed = time.monotonic() - began
    finally:
        child.kill()
        child.wait(30)
        if child.stdout is not None:
            child.stdout.close()
    # It plays as it is.
    assert Film.read(path).scenes()
    seconds = finish_interrupted(path)
    assert seconds >= elapsed - 2
    film = Film.read(path)
    assert film.duration == pytest.approx(seconds, abs=0.01)
    assert film.pictures[-1][0] >= elapsed - 2
    assert film.usual(TONE, 0.2, film.duration - 0.2) > -20
    assert len(film.scenes()) > 0.9 * len(film.pictures)
    assert len(film.pictures) > PICTURES
    assert [one.name for one in tmp_path.iterdir()] == ["a.mp4"]
    # A whole file stays as it is.
    data = path.read_bytes()
    assert finish_interrupted(path) == pytest.approx(seconds, abs=0.01)
    assert path.read_bytes() == data
