"""What can be read of a session."""

from __future__ import annotations

import asyncio
import io
import urllib.error
import urllib.request

import av
import pytest
from room import DEADLINE, eventually
from scenarios.client import Client, Refused
from scenarios.covering import covers
from scenarios.meeting import Meeting
from scenarios.roomlet_client import pixels
from sdk_client import Pixels

NOTHING_YET = (
    "cameraId",
    "cameraLabel",
    "localAudioTrack",
    "localStream",
    "localVideoTrack",
    "memberId",
    "microphoneId",
    "microphoneLabel",
    "previewUrl",
    "remoteStream",
    "roomId",
    "roomSessionId",
)


@covers(*NOTHING_YET, "active", "interactivityMode", "permissions", "deviceList", "screenShareList")
async def test_there_is_nothing_to_read_before_the_join(lobby: Meeting) -> None:
    client = await lobby.guest()
    for name in NOTHING_YET:
        assert await client.get(name) is None, name
    assert await client.get("active") is False
    assert await client.get("interactivityMode") == ""
    for name in ("permissions", "deviceList", "screenShareList"):
        assert await client.get(name) == []


@covers("active", "memberId", "roomId", "roomSessionId")
async def test_its_room_and_its_member(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    assert await client.get("active") is True
    assert await client.get("roomId") == await witness.get("roomId")
    assert await client.get("roomSessionId") == await witness.get("roomSessionId")
    names = {one["id"]: one["name"] for one in (await witness.call("getMembers"))["members"]}
    assert names[await client.get("memberId")] == client.name


@covers(
    "cameraId",
    "cameraLabel",
    "localAudioTrack",
    "localStream",
    "localVideoTrack",
    "microphoneId",
    "microphoneLabel",
)
async def test_its_devices(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    # The others see and hear the very devices that it names.
    await witness.sees_camera(await client.member_id(), 1)
    await witness.hears_tone(1000.0)
    assert await client.get("cameraId") == "synthetic:1"
    assert await client.get("cameraLabel") == "Synthetic camera 1"
    assert await client.get("microphoneId") == "synthetic:1"
    assert await client.get("microphoneLabel") == "Synthetic microphone 1"
    for name in ("localAudioTrack", "localStream", "localVideoTrack"):
        assert (await client.get(name))["kind"], name
    assert await client.captures("audio")
    assert await client.captures("video")


@covers("remoteStream")
async def test_what_it_receives(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    await client.sees_camera(await witness.member_id(), witness.device)
    await client.hears_tone(witness.tone)
    assert (await client.get("remoteStream"))["kind"]
    assert await client.receives("audio")
    assert await client.receives("video")


@covers("permissions")
async def test_what_it_may(lobby: Meeting) -> None:
    witness = lobby.witness
    client = await lobby.joined(permissions=["room.set_layout", "room.self.audio_mute"])
    assert sorted(await client.get("permissions")) == ["room.self.audio_mute", "room.set_layout"]
    before = len(witness.events)
    await client.call("setLayout", {"name": "2x2"})
    await witness.told("layout.changed", lambda e: e["layout"]["name"] == "2x2", before)
    with pytest.raises(Refused) as refused:
        await client.call("lock")
    assert refused.value.code == "403"
    assert "room.lock" in refused.value.message


@covers("interactivityMode")
async def test_how_it_takes_part(lobby: Meeting) -> None:
    witness = lobby.witness
    member = await lobby.joined()
    assert await member.get("interactivityMode") == "member"
    before = len(witness.events)
    looker = await lobby.guest("Birch", 4, token={"join_as": "audience"})
    await looker.join()
    assert await looker.get("interactivityMode") == "audience"
    # It sees and hears, and nobody sees or hears it.
    await looker.sees_camera(await witness.member_id(), witness.device)
    await looker.hears_tone(witness.tone)
    await witness.hears_tone(looker.tone, False)
    assert await looker.member_id() not in witness.layers()
    assert witness.count("member.joined", before) == 0


def _film(url: str) -> list[Pixels]:
    """The pictures of a film at an address; none while there is no film."""
    try:
        with urllib.request.urlopen(url, timeout=DEADLINE) as answer:
            body = io.BytesIO(answer.read())
    except urllib.error.HTTPError:
        return []
    with av.open(body) as container:
        return [pixels(frame) for frame in container.decode(video=0)]


@covers("previewUrl")
async def test_where_its_preview_is(lobby: Meeting) -> None:
    assert await lobby.witness.get("previewUrl") is None
    token = {"room": f"{lobby.room}-preview", "enable_room_previews": True}
    client: Client = await lobby.guest(token=token)
    await client.join()
    me = await client.member_id()
    await client.sees_camera(me, client.device)
    url = await client.get("previewUrl")
    assert url.startswith(lobby.hub.url)

    async def shows_it() -> bool:
        place = client.layers()[me]
        film = await asyncio.to_thread(_film, url)
        return client.device in {place.camera(picture) for picture in film}

    await eventually("the preview shows the member", shows_it)
