"""Recordings, playbacks and streams: one live object each."""

from __future__ import annotations

import copy
import gc
from datetime import UTC, datetime
from typing import Any

import pytest

from appliance.room import (
    NotFound,
    NotJoined,
    PermissionDenied,
    RoomSession,
    RoomSessionPlayback,
    RoomSessionRecording,
    RoomSessionStream,
)
from appliance.signaling.errors import ProtocolError
from tests.appliance.room.conftest import Stage, until
from tests.appliance.room.fake_hub import ROOM, ROOM_SESSION
from tests.appliance.room.test_methods import recorded

KINDS: dict[str, tuple[type, Any]] = {
    "recording": (RoomSessionRecording, lambda room: room.start_recording()),
    "playback": (RoomSessionPlayback, lambda room: room.play("http://127.0.0.1/film.mp4")),
    "stream": (RoomSessionStream, lambda room: room.start_stream("rtmp://127.0.0.1/x")),
}


@pytest.fixture
async def room(stage: Stage) -> RoomSession:
    return await stage.joined()


@pytest.mark.parametrize("kind", KINDS)
async def test_one_object_from_start_to_end(stage: Stage, room: RoomSession, kind: str) -> None:
    cls, start = KINDS[kind]
    work = await start(room)
    assert isinstance(work, cls)
    assert (work.id, work.room_id, work.room_session_id) == (f"{kind}-1", ROOM, ROOM_SESSION)
    assert work.state == stage.hub.works[kind][work.id]["state"]
    assert work.started_at == datetime(2023, 11, 14, 22, 13, 20, 500000, UTC)
    assert work.ended_at is None
    await until(lambda: stage.payloads(f"{kind}.started"))
    assert stage.payloads(f"{kind}.started") == [work]
    assert stage.payloads(f"{kind}.started")[0] is work
    listed = (await getattr(room, f"get_{kind}s")())[f"{kind}s"]
    assert listed[0] is work

    await work.stop()
    await stage.until_heard(f"{kind}.ended")
    assert stage.payloads(f"{kind}.ended")[0] is work
    assert work.state == "completed"
    assert work.ended_at == datetime(2023, 11, 14, 22, 14, 20, 500000, UTC)
    assert stage.hub.sent(f"video.{kind}.stop") == [
        {"room_session_id": ROOM_SESSION, f"{kind}_id": work.id}
    ]
    # Whoever still holds it gets the same one.
    assert (await getattr(room, f"get_{kind}s")())[f"{kind}s"][0] is work


@pytest.mark.parametrize("kind", ["recording", "playback"])
async def test_pause_and_resume(stage: Stage, room: RoomSession, kind: str) -> None:
    work = await KINDS[kind][1](room)
    await work.pause()
    await until(lambda: work.state == "paused")
    await work.resume()
    await until(lambda: work.state == "on")
    assert [e is work for e in stage.payloads(f"{kind}.updated")] == [True, True]


@pytest.mark.parametrize(
    ("name", "args", "rpc", "position"),
    [
        ("set_volume", (-50,), "set_volume", None),
        ("seek", (2000,), "seek_absolute", 2000),
        ("seek", (-2000,), "seek_absolute", 2000),
        ("forward", (), "seek_relative", 5000),
        ("rewind", (1000,), "seek_relative", -1000),
        ("rewind", (), "seek_relative", -5000),
    ],
)
async def test_playback(
    stage: Stage, room: RoomSession, name: str, args: Any, rpc: str, position: int | None
) -> None:
    playback = await room.play("http://127.0.0.1/film.mp4", volume=5)
    assert (playback.url, playback.volume) == ("http://127.0.0.1/film.mp4", 5)
    await getattr(playback, name)(*args)
    (sent,) = stage.hub.sent(f"video.playback.{rpc}")
    expected = recorded(f"video.playback.{rpc}") | {
        "room_session_id": ROOM_SESSION,
        "playback_id": playback.id,
    }
    assert sent == expected | ({} if position is None else {"position": position})
    await stage.until_heard("playback.updated")
    assert playback.position == position
    assert playback.volume == (5 if position is not None else -50)


async def test_events_of_others(stage: Stage, room: RoomSession) -> None:
    """What another member started, and nobody here holds, stays one object all the same."""
    ids: list[int] = []
    for event in ("playback.started", "playback.updated", "playback.ended"):
        room.on(event, lambda playback: ids.append(id(playback)))
    held: list[Any] = []
    room.once("playback.started", held.append)
    await stage.hub.work_event("playback", "started", id="p", url="u", state="playing", volume=1)
    await until(lambda: held)
    reference = id(held.pop())
    stage.heard.clear()
    gc.collect()
    await stage.hub.work_event("playback", "updated", id="p", state="paused", seekable=True)
    await stage.hub.work_event("playback", "ended", id="p")
    await stage.until_heard("playback.ended")
    assert ids == [reference] * 3
    playback = stage.payloads("playback.ended")[0]
    # Events may tell only what has changed.
    assert (playback.url, playback.volume, playback.seekable) == ("u", 1, True)
    assert playback.state == "completed"
    assert playback.payload.url == "u"


async def test_those_from_before_the_join(stage: Stage) -> None:
    recording = {"id": "r", "state": "recording", "duration": 12.5, "started_at": 1}
    subscribe = stage.hub.event

    async def event(kind: str, params: dict[str, Any], **beside: Any) -> None:
        if kind == "video.room.subscribed":
            params["room_session"]["recordings"] = [recording, {"no": "id"}]
        await subscribe(kind, params, **beside)

    stage.hub.event = event  # type: ignore[method-assign]
    room = await stage.joined()
    (joined,) = stage.payloads("room.joined")
    (known,) = joined.room_session.recordings
    assert isinstance(known, RoomSessionRecording)
    assert (known.duration, known.room_id) == (12.5, ROOM)
    assert joined.room_session.playbacks == []
    # A copy of the payload holds the same object; the raw event tells what came.
    assert joined.to_dict()["room_session"]["recordings"][0] is known
    assert copy.deepcopy(known) is known
    assert stage.payloads("room.subscribed")[0].room_session.recordings[0].id == "r"
    await stage.hub.work_event("recording", "updated", id="r", state="paused")
    await until(lambda: known.state == "paused")
    stage.hub.works["recording"]["r"] = recording
    assert (await room.get_recordings()).recordings[0] is known


async def test_refusals(stage: Stage, room: RoomSession) -> None:
    recording = await room.start_recording()
    stage.hub.works["recording"].clear()
    with pytest.raises(NotFound):
        await recording.pause()
    stage.hub.refusals["video.recording.start"] = ("403", "Unauthorized")
    with pytest.raises(PermissionDenied):
        await room.start_recording()


async def test_older_servers_tell_only_an_id(stage: Stage, room: RoomSession) -> None:
    stage.hub.results["video.recording.start"] = {"recording": None, "recording_id": "old"}
    assert (await room.start_recording()).id == "old"
    stage.hub.results["video.recording.start"] = {"recording": None}
    with pytest.raises(ProtocolError):
        await room.start_recording()


async def test_odd_events_are_passed_on(stage: Stage, room: RoomSession) -> None:
    await stage.hub.room_event("recording.updated", recording={"state": "?"})
    await stage.until_heard("recording.updated")
    assert stage.payloads("recording.updated")[0].recording.state == "?"
    await stage.hub.work_event("recording", "updated", id="x", started_at="yesterday", ended_at=0)
    await stage.until_heard("recording.updated", 2)
    odd = stage.payloads("recording.updated")[1]
    assert (odd.started_at, odd.ended_at, odd.duration) == (None, None, None)


@pytest.mark.parametrize(
    "call",
    [
        lambda room: room.start_recording(),
        lambda room: room.get_recordings(),
        lambda room: room.play("u"),
        lambda room: room.get_playbacks(),
        lambda room: room.start_stream("u"),
        lambda room: room.get_streams(),
        lambda room: room.update_camera(),
        lambda room: room.update_microphone(),
        lambda room: room.update_speaker("x"),
        lambda room: room.add_camera(),
        lambda room: room.add_microphone(),
        lambda room: room.add_device(audio=True),
        lambda room: room.start_screen_share(),
    ],
)
async def test_not_before_the_join(stage: Stage, call: Any) -> None:
    with pytest.raises(NotJoined, match=r"join\(\) first"):
        await call(stage.session())
