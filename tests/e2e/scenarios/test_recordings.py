"""Recordings: what is in the file, and what the others are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from room import HOLE, eventually
from scenarios.client import Refused, room_updated
from scenarios.covering import covers
from scenarios.meeting import Meeting
from scenarios.works import loudness, of, shows_camera, sounds

from tests.appliance.hub.live_room import Film


async def record(meeting: Meeting) -> str:
    """Let the client start a recording, kept as "take"."""
    before = len(meeting.witness.events)
    await meeting.client.call("startRecording", keep="take")
    recording_id: str = await meeting.client.get("id", on="take")
    await meeting.witness.told(
        "recording.started", of("recording", recording_id, state="recording"), before
    )
    return recording_id


async def stop(meeting: Meeting) -> str:
    """End it, and wait until the others know."""
    recording_id: str = await meeting.client.get("id", on="take")
    await meeting.client.call("stop", on="take")
    ended = of("recording", recording_id, state="completed")
    await meeting.witness.told("recording.ended", ended)
    await meeting.client.told("recording.ended", ended)
    return recording_id


async def film_of(meeting: Meeting, recording_id: str, folder: Path) -> Film:
    """The film as a script gets it from the hub."""
    async with httpx.AsyncClient(base_url=meeting.hub.url, auth=meeting.hub.credentials) as script:
        found: dict[str, Any] = {}

        async def finished() -> bool:
            answer = await script.get(f"/api/video/room_recordings/{recording_id}")
            found.update(answer.raise_for_status().json())
            return bool(found["uri"])

        await eventually("the file is finished", finished)
        file = await script.get(found["uri"])
    path = folder / f"{recording_id}.mp4"
    path.write_bytes(file.raise_for_status().content)
    return Film.read(path)


@covers(
    "startRecording",
    "getRecordings",
    "recording.started",
    "recording.ended",
    "room.updated",
    "RoomSessionRecording.id",
    "RoomSessionRecording.roomId",
    "RoomSessionRecording.roomSessionId",
    "RoomSessionRecording.state",
    "RoomSessionRecording.duration",
    "RoomSessionRecording.startedAt",
    "RoomSessionRecording.endedAt",
    "RoomSessionRecording.stop",
)
async def test_records_the_room(meeting: Meeting, tmp_path: Path) -> None:
    client, witness = meeting.client, meeting.witness
    me = await client.member_id()
    await witness.sees_camera(me, client.device)
    await witness.hears_tone(client.tone)
    await client.hears_tone(witness.tone)
    before = len(witness.events)
    recording_id = await record(meeting)
    await witness.told("room.updated", room_updated(recording=True), before)
    assert await client.get("startedAt", on="take")
    assert await client.get("endedAt", on="take") is None
    for name in ("roomId", "roomSessionId"):
        assert await client.get(name, on="take") == await client.get(name)
    for one in (client, witness):
        recordings = (await one.call("getRecordings"))["recordings"]
        assert [r["state"] for r in recordings if r["id"] == recording_id] == ["recording"]
    await witness.hears([client.tone], 2.0)
    await stop(meeting)
    await witness.told("room.updated", room_updated(recording=False), before)
    await eventually("the duration is known", lambda: client.get("duration", on="take"))
    assert await client.get("state", on="take") == "completed"
    assert await client.get("endedAt", on="take")

    film = await film_of(meeting, recording_id, tmp_path)
    assert film.codecs == ["h264", "aac"]
    assert await client.get("duration", on="take") == pytest.approx(film.duration, abs=0.5)
    assert shows_camera(film, witness, me, client.device)
    assert sounds(film, client.tone)
    assert sounds(film, witness.tone)


@covers(
    "RoomSessionRecording.pause",
    "RoomSessionRecording.resume",
    "RoomSessionRecording.state",
    "recording.updated",
)
async def test_leaves_out_what_is_said_in_a_pause(meeting: Meeting, tmp_path: Path) -> None:
    client, witness = meeting.client, meeting.witness
    await witness.hears_tone(client.tone)
    await client.call("audioMute")
    await witness.hears_tone(client.tone, False)
    before = len(witness.events)
    recording_id = await record(meeting)
    await witness.hears([client.tone], 1.0)
    await client.call("pause", on="take")
    paused = of("recording", recording_id, state="paused")
    await witness.told("recording.updated", paused, before)
    await client.told("recording.updated", paused)
    # Said in the pause, and over before its end.
    await client.call("audioUnmute")
    await witness.hears_tone(client.tone)
    await client.call("audioMute")
    await witness.hears_tone(client.tone, False)
    await client.call("resume", on="take")
    await witness.told(
        "recording.updated", of("recording", recording_id, state="recording"), before
    )
    await witness.hears([client.tone], 1.0)
    await stop(meeting)
    await client.call("audioUnmute")
    film = await film_of(meeting, recording_id, tmp_path)
    assert film.duration > 1
    assert max(loudness(film, client.tone)) < HOLE
    assert sounds(film, witness.tone)
    await witness.hears_tone(client.tone)


@covers("startRecording", "recording.started")
async def test_nobody_records_without_the_permission(meeting: Meeting) -> None:
    guest = await meeting.joined("Birch", permissions=["room.self.audio_mute"])
    before = len(meeting.witness.events)
    with pytest.raises(Refused) as refused:
        await guest.call("startRecording")
    assert refused.value.code == "403"
    await record(meeting)
    await stop(meeting)
    # The only one that there was is the client's own; and the guest was told of none.
    assert meeting.witness.count("recording.started", before) == 1
    assert guest.count("recording.started") == 0
