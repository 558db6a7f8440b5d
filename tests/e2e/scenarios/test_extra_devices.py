"""Cameras and microphones beside the main ones."""

from __future__ import annotations

from typing import Any

import pytest
from scenarios.client import LIGHT, LOUD, Refused, about, tone_of, updated
from scenarios.covering import covers
from scenarios.meeting import Meeting
from scenarios.test_screen_shares import of_kind

EXTRA = 7
"""The number of the device that is added."""

NAMED = {"deviceId": f"synthetic:{EXTRA}"}


async def add(meeting: Meeting, method: str, options: dict[str, Any]) -> str:
    """Let the client add a device as "extra"; the id of its member."""
    client, witness = meeting.client, meeting.witness
    before = len(witness.events)
    await client.call(method, options, keep="extra")
    told = await witness.told("member.joined", of_kind("device", await client.member_id()), before)
    member_id: str = told["member"]["id"]
    assert await client.get("memberId", on="extra") == member_id
    assert await client.get("active", on="extra")
    assert await client.length("deviceList") == 1
    return member_id


async def leave(meeting: Meeting) -> None:
    """Take it away, and wait until the others know."""
    member_id = await meeting.client.get("memberId", on="extra")
    await meeting.client.call("leave", on="extra")
    await meeting.witness.told("member.left", about(member_id))
    assert await meeting.client.length("deviceList") == 0


@covers(
    "addCamera",
    "deviceList",
    "RoomSessionDevice.memberId",
    "RoomSessionDevice.active",
    "RoomSessionDevice.leave",
    "RoomSessionDevice.videoMute",
    "RoomSessionDevice.videoUnmute",
)
async def test_adds_a_camera(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    extra = await add(meeting, "addCamera", {**NAMED, **LIGHT})
    await witness.sees_camera(extra, EXTRA)
    await witness.sees_camera(await client.member_id(), client.device)
    await witness.hears_tone(tone_of(EXTRA), False)
    before = len(witness.events)
    await client.call("videoMute", on="extra")
    await witness.told("member.updated", updated(extra, video_muted=True), before)
    await witness.lacks_camera(EXTRA)
    await client.call("videoUnmute", on="extra")
    await witness.told("member.updated", updated(extra, video_muted=False), before)
    await witness.sees_camera(extra, EXTRA)
    await leave(meeting)
    await witness.lacks_camera(EXTRA)


@covers(
    "addMicrophone",
    "deviceList",
    "RoomSessionDevice.audioMute",
    "RoomSessionDevice.audioUnmute",
    "RoomSessionDevice.setInputVolume",
    "RoomSessionDevice.setInputSensitivity",
)
async def test_adds_a_microphone(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    tone = tone_of(EXTRA)
    extra = await add(meeting, "addMicrophone", dict(NAMED))
    await witness.hears_tone(tone)
    await witness.hears_tone(client.tone)
    before = len(witness.events)
    await client.call("audioMute", on="extra")
    await witness.told("member.updated", updated(extra, audio_muted=True), before)
    await witness.hears_tone(tone, False)
    await witness.hears_tone(client.tone)
    await client.call("audioUnmute", on="extra")
    await witness.told("member.updated", updated(extra, audio_muted=False), before)
    await witness.hears_at(tone, LOUD)
    await client.call("setInputVolume", {"volume": -20}, on="extra")
    await witness.told("member.updated", updated(extra, input_volume=-20), before)
    await witness.hears_at(tone, LOUD - 10)
    await client.call("setInputSensitivity", {"value": 80}, on="extra")
    await witness.told("member.updated", updated(extra, input_sensitivity=80), before)
    await leave(meeting)
    await witness.hears_tone(tone, False)


@covers("addDevice", "RoomSessionDevice.join", "RoomSessionDevice.active")
async def test_adds_a_device_that_joins_later(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    before = len(witness.events)
    await client.call(
        "addDevice",
        {"audio": NAMED, "video": {**NAMED, **LIGHT}, "autoJoin": False},
        keep="extra",
    )
    assert not await client.get("active", on="extra")
    assert witness.count("member.joined", before) == 0
    await client.call("join", on="extra")
    told = await witness.told("member.joined", of_kind("device", await client.member_id()), before)
    await witness.sees_camera(told["member"]["id"], EXTRA)
    await witness.hears_tone(tone_of(EXTRA))
    await leave(meeting)


@covers("addCamera", "permissions")
async def test_nobody_adds_a_device_without_the_permission(meeting: Meeting) -> None:
    guest = await meeting.joined("Birch", permissions=["room.self.audio_mute"])
    before = len(meeting.witness.events)
    with pytest.raises(Refused):
        await guest.call("addCamera", {**NAMED, **LIGHT})
    await guest.call("audioMute")
    await meeting.witness.told(
        "member.updated", updated(await guest.member_id(), audio_muted=True), before
    )
    assert meeting.witness.count("member.joined", before) == 0
