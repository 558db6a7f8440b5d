"""Interrupted recordings are finished one after the other, and a bad one stops no other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.hub.mp4 import finish_interrupted
from appliance.hub.records import RecordingRecord
from appliance.hub.recovery import finish_recordings
from appliance.hub.store import Store
from tests.appliance.hub.films import make_film
from tests.appliance.hub.hub_client import DEADLINE
from tests.appliance.hub.stored import ALL, RECORDING, SESSION


async def interrupted(store: Store, folder: Path, *names: str) -> list[RecordingRecord]:
    """Recordings of these names that a hub has left open at the moment 40, as the next finds them.

    Each has a file of as many bytes as its name has.
    """
    store.sessions.started(SESSION)
    for name in names:
        path = folder / f"{name}.mp4"
        path.write_bytes(name.encode())
        store.recordings.changed(replace(RECORDING, id=name, path=path))
    store.alive(40.0)
    return await store.recover()


async def kept(store: Store) -> dict[str, RecordingRecord]:
    return {one.id: one for one in (await store.recordings.page(ALL)).items}


async def test_what_does_not_play_is_not_offered(store: Store, tmp_path: Path) -> None:
    await finish_recordings(store, await interrupted(store, tmp_path, "rec"), finish_interrupted)
    done = (await kept(store))["rec"]
    assert (done.state, done.duration, done.size) == ("completed", 0.0, None)
    assert done.error == "the hub was interrupted before there was anything that plays"


def failing(error: Exception, at: str) -> Callable[[Path], float]:
    """A repair that fails at the file of one name, and finds 1.5 s in all others."""

    def finish(path: Path) -> float:
        if path.stem == at:
            raise error
        return 1.5

    return finish


async def test_a_recording_is_completed_with_what_its_file_holds(
    store: Store, tmp_path: Path
) -> None:
    recordings = await interrupted(store, tmp_path, "rec")
    began = time.time()

    def finish(path: Path) -> float:
        # The file is measured after its repair.
        path.write_bytes(bytes(1234))
        return 2.25

    await finish_recordings(store, recordings, finish)
    done = (await kept(store))["rec"]
    assert began <= done.updated_at <= time.time()
    assert done == replace(
        recordings[0],
        state="completed",
        # The last sign of life that there was of it.
        ended_at=40.0,
        duration=2.25,
        size=1234,
        error="the hub was interrupted; what was written until then is kept",
        updated_at=done.updated_at,
    )
    assert await store.recover() == []


async def test_a_recording_that_had_ended_keeps_its_end(store: Store, tmp_path: Path) -> None:
    (recording,) = await interrupted(store, tmp_path, "rec")
    await finish_recordings(store, [replace(recording, ended_at=33.0)], lambda _: 1.0)
    assert (await kept(store))["rec"].ended_at == 33.0


async def test_real_files_are_finished_and_measured(store: Store, tmp_path: Path) -> None:
    recordings = await interrupted(store, tmp_path, "film", "nothing", "gone", "folder")
    make_film(tmp_path / "film.mp4", 1)
    (tmp_path / "nothing.mp4").write_bytes(b"")
    (tmp_path / "gone.mp4").unlink()
    (tmp_path / "folder.mp4").unlink()
    (tmp_path / "folder.mp4").mkdir()
    await finish_recordings(store, recordings, finish_interrupted)
    done = await kept(store)
    assert {one.state for one in done.values()} == {"completed"}
    film = done["film"]
    assert film.duration == pytest.approx(1.0, abs=0.1)
    assert film.size == (tmp_path / "film.mp4").stat().st_size
    # No size is no link to a file.
    assert (done["nothing"].duration, done["nothing"].size) == (0.0, None)
    for name, reason in (("gone", "no such file or directory"), ("folder", "is a directory")):
        one = done[name]
        assert (one.duration, one.size) == (None, None)
        assert one.error == (f"the hub was interrupted, and the file cannot be repaired: {reason}")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(13, "Permission denied"), "permission denied"),
        (OSError("of no number"), "unknown error"),
        (ValueError("template stream\nhas no codec"), "unexpected error"),
    ],
)
async def test_one_that_cannot_be_repaired_keeps_no_other_from_it(
    store: Store,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    reason: str,
) -> None:
    caplog.set_level(logging.INFO)
    recordings = await interrupted(store, tmp_path, "a", "bad", "c")
    await finish_recordings(store, recordings, failing(error, "bad"))
    done = await kept(store)
    assert {name: (one.state, one.duration, one.size) for name, one in done.items()} == {
        "a": ("completed", 1.5, 1),
        "bad": ("completed", None, None),
        "c": ("completed", 1.5, 1),
    }
    wanted = f"the hub was interrupted, and the file cannot be repaired: {reason}"
    assert done["bad"].error == wanted
    assert f"recording bad: {wanted}" in caplog.messages
    # A fault of ours is told with where it is.
    with_trace = [one for one in caplog.records if one.exc_info]
    assert len(with_trace) == (0 if isinstance(error, OSError) else 1)


async def test_they_are_finished_in_order_beside_the_loop_and_kept_one_by_one(
    store: Store, tmp_path: Path
) -> None:
    recordings = await interrupted(store, tmp_path, "a", "b", "c")
    loop = asyncio.get_running_loop()
    begun: asyncio.Queue[str] = asyncio.Queue()
    go_on = threading.Semaphore(0)
    on_threads: set[int] = set()

    def finish(path: Path) -> float:
        on_threads.add(threading.get_ident())
        loop.call_soon_threadsafe(begun.put_nowait, path.stem)
        assert go_on.acquire(timeout=DEADLINE)
        return 1.0

    async with asyncio.timeout(DEADLINE):
        work = asyncio.create_task(finish_recordings(store, recordings, finish))
        for count, name in enumerate("abc"):
            # The loop is free while a file is repaired: else this would never be told.
            assert await begun.get() == name
            assert begun.empty()
            states = [(await kept(store))[one].state for one in "abc"]
            assert states == ["completed"] * count + ["processing"] * (3 - count)
            go_on.release()
        await work
    assert {one.state for one in (await kept(store)).values()} == {"completed"}
    assert threading.get_ident() not in on_threads


async def test_what_is_cancelled_is_left_to_the_next_start(store: Store, tmp_path: Path) -> None:
    recordings = await interrupted(store, tmp_path, "a", "b", "c")
    loop = asyncio.get_running_loop()
    at_b, go_on = asyncio.Event(), threading.Event()
    seen: list[str] = []

    def finish(path: Path) -> float:
        seen.append(path.stem)
        if path.stem == "b":
            loop.call_soon_threadsafe(at_b.set)
            go_on.wait(DEADLINE)
        return 1.0

    work = asyncio.create_task(finish_recordings(store, recordings, finish))
    async with asyncio.timeout(DEADLINE):
        await at_b.wait()
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
    go_on.set()
    assert work.cancelled()
    assert seen == ["a", "b"]
    assert [one.id for one in await store.recover()] == ["b", "c"]


async def test_without_any_there_is_nothing_to_do(store: Store) -> None:
    def finish(path: Path) -> float:
        raise AssertionError(path)

    await finish_recordings(store, [], finish)
    assert await kept(store) == {}
