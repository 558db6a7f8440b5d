from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.hub import preview as preview_module
from appliance.hub.canvas import Canvas
from appliance.hub.preview import Preview
from hal.camera.scene import COUNTER_MODULO
from tests.appliance.hub.live_room import Film, LiveRoom, until


@pytest.fixture
async def room() -> AsyncIterator[LiveRoom]:
    one = LiveRoom()
    yield one
    await one.stage.close()


def newest_clock(path: Path) -> float:
    """The clock of the last picture, in seconds."""
    film = Film.read(path)
    return film.scenes()[-1][1].clock_ms / 1000


def now() -> float:
    return time.monotonic() % (COUNTER_MODULO / 1000)


async def test_a_small_film_of_the_last_seconds_is_always_there(
    room: LiveRoom, tmp_path: Path
) -> None:
    preview = Preview(room.stage.canvas, tmp_path / "room.mp4")
    preview.start()
    await until(preview.path.exists)
    # The first one is there at once: one picture.
    film = Film.read(preview.path)
    assert len(film.pictures) == 1
    assert (film.pictures[0][1].width, film.pictures[0][1].height) == (320, 180)
    assert film.codecs == ["h264"]
    assert now() - newest_clock(preview.path) < 2

    first = preview.path.stat().st_ino
    began = time.monotonic()
    await until(lambda: preview.path.stat().st_ino != first)
    # Every 4 seconds, and some for a machine that is busy.
    assert time.monotonic() - began < 8
    film = Film.read(preview.path)
    assert len(film.pictures) == 8
    assert film.duration == pytest.approx(4, abs=0.1)
    # It plays as fast as it was.
    scenes = film.scenes()
    assert len(scenes) >= 7
    passed = (scenes[-1][1].clock_ms - scenes[0][1].clock_ms) / 1000
    assert passed == pytest.approx(scenes[-1][0] - scenes[0][0], abs=1)
    assert now() - newest_clock(preview.path) < 2
    assert preview.path.stat().st_size < 100_000
    # Nothing was encoded for it but itself.
    assert room.stage.canvas.stats.frames == 0

    await preview.stop()
    await preview.stop()
    assert list(tmp_path.iterdir()) == []


async def test_it_is_replaced_as_a_whole(
    room: LiveRoom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview_module, "PICTURES", 2)
    preview = Preview(room.stage.canvas, tmp_path / "room.mp4")
    monkeypatch.setattr(preview_module, "RATE", 20)
    preview.start()
    await until(preview.path.exists)
    changes = 0
    last = preview.path.stat().st_mtime_ns
    async with asyncio.timeout(30):
        while changes < 10:
            assert Film.read(preview.path).pictures
            await asyncio.sleep(0)
            before, last = last, preview.path.stat().st_mtime_ns
            changes += last != before
    await preview.stop()


async def test_it_goes_on_beside_those_who_watch_the_room(room: LiveRoom, tmp_path: Path) -> None:
    room.stage.canvas.want({"h264"})
    preview = Preview(room.stage.canvas, tmp_path / "room.mp4")
    preview.start()
    await until(preview.path.exists)
    await until(lambda: room.stage.canvas.stats.frames > 10)
    room.stage.canvas.want(())
    first = preview.path.stat().st_ino
    await until(lambda: preview.path.stat().st_ino != first)
    assert now() - newest_clock(preview.path) < 2
    await preview.stop()


async def test_a_folder_that_is_gone_is_told_of_once_and_healed(
    room: LiveRoom,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(preview_module, "PICTURES", 1)
    monkeypatch.setattr(preview_module, "RATE", 20)
    folder = tmp_path / "previews"
    preview = Preview(room.stage.canvas, folder / "room.mp4")
    preview.start()
    await until(lambda: "there is no preview" in caplog.text)
    await asyncio.sleep(0.3)
    assert caplog.text.count("there is no preview") == 1
    folder.mkdir()
    await until(preview.path.exists)
    await preview.stop()


async def test_a_canvas_that_is_small_already_is_shown_as_it_is(tmp_path: Path) -> None:
    canvas = Canvas(160, 90, 10, on_packet=lambda _: None, title="Oak room")
    canvas.start()
    preview = Preview(canvas, tmp_path / "room.mp4")
    await preview.stop()
    preview.start()
    with pytest.raises(RuntimeError, match="started before"):
        preview.start()
    await until(preview.path.exists)
    picture = Film.read(preview.path).pictures[0][1]
    assert (picture.width, picture.height) == (160, 90)
    await preview.stop()
    await canvas.stop()
