"""The way into a room, and what of the media it opens."""

from __future__ import annotations

import pytest
from room import eventually
from scenarios.client import Client, Refused, about
from scenarios.covering import covers
from scenarios.meeting import Meeting
from sdk_client import Local

OWN = Local(tone=700.0, camera=77, width=320, height=180, fps=10)
"""A stream that is no device of the machine."""


@covers("join", "option token", "room.joined", "member.joined", "media.connected", "memberId")
async def test_joins(lobby: Meeting) -> None:
    witness = lobby.witness
    before = len(witness.events)
    client = await lobby.guest()
    assert lobby.witness.count("member.joined", before) == 0
    await client.join()
    me = await lobby.knows(client)
    arrived = await witness.told("member.joined", about(me), before)
    assert arrived["member"]["name"] == client.name
    assert arrived["member"]["type"] == "member"
    await witness.sees_camera(me, client.device)
    await witness.hears_tone(client.tone)

    joined = await client.told("room.joined")
    assert joined["member_id"] == me
    members = {one["id"]: one["name"] for one in joined["room_session"]["members"]}
    assert members == {me: client.name, await witness.member_id(): witness.name}
    assert joined["room_session"]["layout_name"] == "grid-responsive"
    await client.told("media.connected")
    await client.sees_camera(await witness.member_id(), witness.device)
    await client.hears_tone(witness.tone)


@covers("option token")
async def test_does_not_join_with_a_bad_token(lobby: Meeting) -> None:
    witness = lobby.witness
    before = len(witness.events)
    client = await lobby.guest(forged=True)
    with pytest.raises(Refused, match="signed with another key") as refused:
        await client.join()
    assert (refused.value.name, refused.value.code) == ("AuthError", "-32002")
    assert not await client.get("active")
    assert witness.count("member.joined", before) == 0


async def _is_silent_but_seen(lobby: Meeting, client: Client) -> None:
    """The witness sees a member and does not hear it, long enough for sound to have come."""
    witness = lobby.witness
    await witness.sees_camera(await lobby.knows(client), client.device)
    await witness.hears_tone(client.tone, False)
    assert max((await witness.hears([client.tone], 2.0)).values()) < -60


async def _is_heard_but_unseen(lobby: Meeting, client: Client) -> None:
    witness = lobby.witness
    await lobby.knows(client)
    await witness.hears_tone(client.tone)
    await witness.sees_mute_image(await client.member_id())


@covers("join sendAudio")
async def test_joins_without_sending_sound(lobby: Meeting) -> None:
    client = await lobby.joined(join={"sendAudio": False})
    await _is_silent_but_seen(lobby, client)
    await client.hears_tone(lobby.witness.tone)


@covers("join sendVideo")
async def test_joins_without_sending_pictures(lobby: Meeting) -> None:
    client = await lobby.joined(join={"sendVideo": False})
    await _is_heard_but_unseen(lobby, client)
    await client.sees_camera(await lobby.witness.member_id(), lobby.witness.device)


@covers("join audio")
async def test_joins_without_sound(lobby: Meeting) -> None:
    client = await lobby.joined(join={"audio": False})
    await _is_silent_but_seen(lobby, client)
    assert await client.get("microphoneId") is None


@covers("join video")
async def test_joins_without_pictures(lobby: Meeting) -> None:
    client = await lobby.joined(join={"video": False})
    await _is_heard_but_unseen(lobby, client)
    assert await client.get("cameraId") is None


@covers("join audio", "join video", "microphoneId", "cameraId")
async def test_joins_with_the_devices_it_asks_for(lobby: Meeting) -> None:
    witness = lobby.witness
    wishes = {
        "audio": {"deviceId": "synthetic:5"},
        "video": {"deviceId": {"exact": "synthetic:6"}, "width": 320, "height": 180},
    }
    client = await lobby.joined(join=wishes)
    await witness.sees_camera(await client.member_id(), 6)
    await witness.hears_tone(3000.0)
    assert await client.get("microphoneId") == "synthetic:5"
    assert await client.get("cameraId") == "synthetic:6"


@covers("join receiveAudio")
async def test_joins_without_receiving_sound(lobby: Meeting) -> None:
    witness = lobby.witness
    client = await lobby.joined(join={"receiveAudio": False})
    me = await client.member_id()
    await witness.hears_tone(client.tone)
    await witness.sees_camera(me, client.device)
    await client.sees_camera(await witness.member_id(), witness.device)
    assert not await client.receives("audio")


@covers("join receiveVideo")
async def test_joins_without_receiving_pictures(lobby: Meeting) -> None:
    witness = lobby.witness
    client = await lobby.joined(join={"receiveVideo": False})
    await witness.sees_camera(await client.member_id(), client.device)
    await client.hears_tone(witness.tone)
    assert not await client.receives("video")


@covers("option audio", "option video")
async def test_takes_the_wishes_of_its_maker(lobby: Meeting) -> None:
    witness = lobby.witness
    client = await lobby.guest(
        audio=False, video={"deviceId": "synthetic:6", "width": 320, "height": 180}
    )
    await client.call("join", {})
    me = await lobby.knows(client)
    await witness.sees_camera(me, 6)
    await witness.hears_tone(1000.0, False)
    assert await client.get("microphoneId") is None


@covers("option localStream", "localStream")
async def test_sends_a_stream_of_its_own(lobby: Meeting) -> None:
    witness = lobby.witness
    client = await lobby.guest(local_stream=OWN)
    await client.call("join", {})
    me = await lobby.knows(client)
    await witness.sees_camera(me, 77)
    await witness.hears_tone(700.0)
    assert await client.get("localStream") is not None


@covers("active", "join")
async def test_a_method_before_the_join_is_refused(lobby: Meeting) -> None:
    client = await lobby.guest()
    assert await client.get("active") is False
    with pytest.raises(Refused, match="join"):
        await client.call("audioMute")
    await client.join()
    await lobby.knows(client)
    assert await client.get("active") is True
    before = len(lobby.witness.events)
    await client.call("leave")
    await eventually("it is gone", lambda: lobby.witness.count("member.left", before) == 1)
    assert not await client.get("active")
