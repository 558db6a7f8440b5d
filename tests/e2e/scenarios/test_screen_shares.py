"""Screens that are shared beside the camera."""

from __future__ import annotations

from typing import Any

from room import eventually
from scenarios.client import LIGHT, LOUD, about, updated
from scenarios.covering import covers
from scenarios.meeting import Meeting

SCREEN = 200
"""The number of the screen's picture."""

SCREEN_TONE = 500.0 * ((SCREEN - 1) % 16 + 2)


def of_kind(kind: str, parent: str) -> Any:
    """Whether a `member.joined` tells of such a leg of a member."""
    return lambda payload: (
        payload["member"]["type"] == kind and payload["member"]["parent_id"] == parent
    )


async def share(meeting: Meeting, **options: Any) -> str:
    """Let the client share its screen as "screen"; the id of its member."""
    client, witness = meeting.client, meeting.witness
    before = len(witness.events)
    await client.call("startScreenShare", {"video": LIGHT, **options}, keep="screen")
    told = await witness.told("member.joined", of_kind("screen", await client.member_id()), before)
    member_id: str = told["member"]["id"]
    assert await client.get("memberId", on="screen") == member_id
    return member_id


async def leave(meeting: Meeting) -> None:
    """End it, and wait until the others know."""
    member_id = await meeting.client.get("memberId", on="screen")
    await meeting.client.call("leave", on="screen")
    await meeting.witness.told("member.left", about(member_id))
    assert not await meeting.client.get("active", on="screen")
    assert await meeting.client.length("screenShareList") == 0


@covers(
    "startScreenShare",
    "screenShareList",
    "member.joined",
    "member.left",
    "RoomSessionScreenShare.memberId",
    "RoomSessionScreenShare.active",
    "RoomSessionScreenShare.leave",
)
async def test_shares_its_screen(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    screen = await share(meeting)
    assert await client.get("active", on="screen")
    assert await client.length("screenShareList") == 1
    await witness.sees_camera(screen, SCREEN)
    await witness.sees_camera(await client.member_id(), client.device)
    await leave(meeting)
    await witness.lacks_camera(SCREEN)
    await witness.sees_camera(await client.member_id(), client.device)


@covers("startScreenShare", "VideoPositions", "VideoPosition", "VideoLayoutLayer", "layout.changed")
async def test_shares_its_screen_at_a_place(meeting: Meeting) -> None:
    witness = meeting.witness
    screen = await share(meeting, layout="screen-share", positions={"self": "reserved-1"})

    def there() -> bool:
        layout = witness.layout()
        assert layout is not None
        places = {one["member_id"]: one for one in layout["layers"]}
        return (
            layout["name"] == "screen-share"
            and screen in places
            and places[screen]["position"] == "reserved-1"
            and places[screen]["reservation"] == "reserved-1"
        )

    await eventually("the screen has its place", there)
    await witness.sees_camera(screen, SCREEN)
    await leave(meeting)


@covers("createScreenShareObject", "RoomSessionScreenShare.join", "RoomSessionScreenShare.leave")
async def test_shares_its_screen_by_the_old_name_and_later(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    before = len(witness.events)
    await client.call("createScreenShareObject", {"video": LIGHT, "autoJoin": False}, keep="screen")
    assert not await client.get("active", on="screen")
    me = await client.member_id()
    await client.call("join", on="screen")
    told = await witness.told("member.joined", of_kind("screen", me), before)
    await witness.sees_camera(told["member"]["id"], SCREEN)
    # It was told once: nothing had joined before it was to.
    assert [
        e.payload["member"]["id"] for e in witness.events[before:] if e.name == "member.joined"
    ] == [told["member"]["id"]]
    await leave(meeting)


@covers(
    "RoomSessionScreenShare.audioMute",
    "RoomSessionScreenShare.audioUnmute",
    "RoomSessionScreenShare.videoMute",
    "RoomSessionScreenShare.videoUnmute",
)
async def test_mutes_a_shared_screen(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    screen = await share(meeting, audio={"deviceId": f"synthetic:{SCREEN}"})
    await witness.sees_camera(screen, SCREEN)
    await witness.hears_tone(SCREEN_TONE)
    before = len(witness.events)
    await client.call("audioMute", on="screen")
    await witness.told("member.updated", updated(screen, audio_muted=True), before)
    await witness.hears_tone(SCREEN_TONE, False)
    await witness.hears_tone(client.tone)
    await client.call("audioUnmute", on="screen")
    await witness.told("member.updated", updated(screen, audio_muted=False), before)
    await witness.hears_tone(SCREEN_TONE)
    await client.call("videoMute", on="screen")
    await witness.told("member.updated", updated(screen, video_muted=True), before)
    await witness.lacks_camera(SCREEN)
    await client.call("videoUnmute", on="screen")
    await witness.told("member.updated", updated(screen, video_muted=False), before)
    await witness.sees_camera(screen, SCREEN)
    await leave(meeting)


@covers("RoomSessionScreenShare.setInputVolume", "RoomSessionScreenShare.setInputSensitivity")
async def test_sets_how_loud_a_shared_screen_is(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    screen = await share(meeting, audio={"deviceId": f"synthetic:{SCREEN}"})
    await witness.hears_at(SCREEN_TONE, LOUD)
    before = len(witness.events)
    await client.call("setInputVolume", {"volume": -20}, on="screen")
    await witness.told("member.updated", updated(screen, input_volume=-20), before)
    await witness.hears_at(SCREEN_TONE, LOUD - 10)
    await client.call("setInputSensitivity", {"value": 80}, on="screen")
    await witness.told("member.updated", updated(screen, input_sensitivity=80), before)
    await leave(meeting)
