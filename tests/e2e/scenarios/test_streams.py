"""Streams of the room to a real RTMP server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from room import eventually
from scenarios.client import room_updated
from scenarios.covering import covers
from scenarios.meeting import Meeting
from scenarios.works import of, shows_camera, sounds

from tests.appliance.hub.live_room import Film
from tests.appliance.hub.rtmp_server import RtmpServer


@pytest.fixture(scope="module")
def rtmp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RtmpServer]:
    """Where a stream can go, and be watched."""
    server = RtmpServer(tmp_path_factory.mktemp("rtmp"))
    server.start()
    try:
        yield server
    finally:
        server.stop()


@covers(
    "startStream",
    "getStreams",
    "stream.started",
    "stream.ended",
    "room.updated",
    "RoomSessionStream.id",
    "RoomSessionStream.roomId",
    "RoomSessionStream.roomSessionId",
    "RoomSessionStream.state",
    "RoomSessionStream.url",
    "RoomSessionStream.duration",
    "RoomSessionStream.startedAt",
    "RoomSessionStream.endedAt",
    "RoomSessionStream.stop",
)
async def test_streams_the_room(meeting: Meeting, rtmp: RtmpServer) -> None:
    client, witness = meeting.client, meeting.witness
    me = await client.member_id()
    await witness.sees_camera(me, client.device)
    await witness.hears_tone(client.tone)
    await client.hears_tone(witness.tone)
    before = len(witness.events)
    url = rtmp.url(client.kind)
    await client.call("startStream", {"url": url}, keep="stream")
    stream_id = await client.get("id", on="stream")
    await witness.told("stream.started", of("stream", stream_id, state="streaming"), before)
    await client.told("stream.started", of("stream", stream_id))
    await witness.told("room.updated", room_updated(streaming=True), before)
    assert await client.get("url", on="stream") == url
    assert await client.get("startedAt", on="stream")
    assert await client.get("endedAt", on="stream") is None
    for name in ("roomId", "roomSessionId"):
        assert await client.get(name, on="stream") == await client.get(name)
    for one in (client, witness):
        (listed,) = (await one.call("getStreams"))["streams"]
        assert (listed["id"], listed["state"]) == (stream_id, "streaming")

    async def watched() -> Film | None:
        try:
            return await asyncio.to_thread(Film.read, url, seconds=1.5, timeout=15)
        except OSError:  # nothing has come there yet
            return None

    film = await eventually("the stream is there", watched)
    assert shows_camera(film, witness, me, client.device)
    assert sounds(film, client.tone)
    assert sounds(film, witness.tone)

    await client.call("stop", on="stream")
    await witness.told("stream.ended", of("stream", stream_id, state="completed"), before)
    await client.told("stream.ended", of("stream", stream_id, state="completed"))
    await witness.told("room.updated", room_updated(streaming=False), before)
    assert await client.get("state", on="stream") == "completed"
    assert await client.get("endedAt", on="stream")
    assert await client.get("duration", on="stream") > 0
    assert (await witness.call("getStreams"))["streams"] == []
