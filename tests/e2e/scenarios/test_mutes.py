"""Microphones and cameras that are muted, by oneself and by another."""

from __future__ import annotations

import pytest
from room import eventually
from scenarios.client import Refused, updated
from scenarios.covering import covers
from scenarios.meeting import Meeting


@covers("audioMute", "audioUnmute", "member.updated")
async def test_mutes_its_own_microphone(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    me = await client.member_id()
    await witness.hears_tone(client.tone)
    before = len(witness.events)
    await client.call("audioMute")
    await witness.told("member.updated", updated(me, audio_muted=True), before)
    await witness.hears_tone(client.tone, False)
    await client.call("audioUnmute")
    await witness.told("member.updated", updated(me, audio_muted=False), before)
    await witness.hears_tone(client.tone)


@covers("videoMute", "videoUnmute", "member.updated", "layout.changed")
async def test_mutes_its_own_camera(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    me = await client.member_id()
    await witness.sees_camera(me, client.device)
    before = len(witness.events)
    await client.call("videoMute")
    await witness.told("member.updated", updated(me, video_muted=True, visible=False), before)
    await witness.told("layout.changed", after=before)
    await witness.sees_mute_image(me)
    await client.call("videoUnmute")
    await witness.told("member.updated", updated(me, video_muted=False, visible=True), before)
    await witness.sees_camera(me, client.device)


@covers("audioMute", "audioUnmute")
async def test_mutes_the_microphone_of_another(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    other = await witness.member_id()
    await client.hears_tone(witness.tone)
    before = len(witness.events)
    await client.call("audioMute", {"memberId": other})
    await witness.told("member.updated", updated(other, audio_muted=True), before)
    microphone = witness.session.local_audio_track
    assert microphone is not None
    await eventually("its gate is closed", lambda: not microphone.gate.is_open)
    await client.hears_tone(witness.tone, False)
    await client.call("audioUnmute", {"memberId": other})
    await witness.told("member.updated", updated(other, audio_muted=False), before)
    await eventually("its gate is open", lambda: microphone.gate.is_open)
    await client.hears_tone(witness.tone)


@covers("videoMute", "videoUnmute")
async def test_mutes_the_camera_of_another(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    other = await witness.member_id()
    await client.sees_camera(other, witness.device)
    before = len(witness.events)
    await client.call("videoMute", {"memberId": other})
    await witness.told("member.updated", updated(other, video_muted=True), before)
    camera = witness.session.local_video_track
    assert camera is not None
    await eventually("its gate is closed", lambda: not camera.gate.is_open)
    await client.sees_mute_image(other)
    await client.call("videoUnmute", {"memberId": other})
    await witness.told("member.updated", updated(other, video_muted=False), before)
    await client.sees_camera(other, witness.device)


@covers("audioMute", "videoMute", "member.updated")
async def test_is_muted_by_another(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    me = await client.member_id()
    await witness.hears_tone(client.tone)
    before = len(client.events)
    await witness.call("audioMute", {"memberId": me})
    await client.told("member.updated", updated(me, audio_muted=True), before)
    await witness.hears_tone(client.tone, False)
    await witness.call("videoMute", {"memberId": me})
    await client.told("member.updated", updated(me, video_muted=True), before)
    await witness.sees_mute_image(me)
    await client.call("audioUnmute")
    await client.call("videoUnmute")
    await witness.hears_tone(client.tone)
    await witness.sees_camera(me, client.device)


@covers("deaf", "undeaf", "member.updated")
async def test_makes_itself_deaf(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    me = await client.member_id()
    await client.hears_tone(witness.tone)
    await witness.hears_tone(client.tone)
    before = len(witness.events)
    await client.call("deaf")
    # It mutes the microphone as well.
    await witness.told("member.updated", updated(me, deaf=True, audio_muted=True), before)
    await client.hears_tone(witness.tone, False)
    await witness.hears_tone(client.tone, False)
    await client.call("undeaf")
    await witness.told("member.updated", updated(me, deaf=False, audio_muted=False), before)
    await client.hears_tone(witness.tone)
    await witness.hears_tone(client.tone)


@covers("deaf", "undeaf")
async def test_makes_another_deaf(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    other = await witness.member_id()
    await witness.hears_tone(client.tone)
    before = len(client.events)
    await client.call("deaf", {"memberId": other})
    await client.told("member.updated", updated(other, deaf=True, audio_muted=True), before)
    await witness.hears_tone(client.tone, False)
    await client.hears_tone(witness.tone, False)
    await client.call("undeaf", {"memberId": other})
    await client.told("member.updated", updated(other, deaf=False, audio_muted=False), before)
    await witness.hears_tone(client.tone)
    await client.hears_tone(witness.tone)


@covers("audioMute")
async def test_does_not_mute_without_permission(meeting: Meeting) -> None:
    witness = meeting.witness
    other = await witness.member_id()
    birch = await meeting.joined("Birch", 4, permissions=["room.self.audio_mute"])
    for method, target, code in (
        ("audioMute", other, "403"),
        ("videoMute", other, "403"),
        ("deaf", other, "403"),
        ("audioMute", "nobody", "403"),
    ):
        with pytest.raises(Refused) as refused:
            await birch.call(method, {"memberId": target})
        assert refused.value.code == code
    with pytest.raises(Refused) as refused:
        await meeting.client.call("audioMute", {"memberId": "nobody"})
    assert refused.value.code == "404"
    await birch.hears_tone(witness.tone)
