"""Other devices while the call goes on, and devices that are pulled."""

from __future__ import annotations

import pytest
from scenarios.client import LIGHT, Refused, tone_of
from scenarios.covering import covers, deviates
from scenarios.meeting import Meeting
from sdk_client import Local

OTHER = 7
"""The number of the device that is taken instead."""


@covers("updateCamera", "camera.updated", "cameraId", "cameraLabel", "localVideoTrack")
@deviates("camera.updated", "the SDK tells the ids of tracks, not of devices")
async def test_takes_another_camera(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    me = await client.member_id()
    await witness.sees_camera(me, client.device)
    label = await client.get("cameraLabel")
    before, seen = len(client.events), len(witness.events)
    await client.call("updateCamera", {"deviceId": f"synthetic:{OTHER}", **LIGHT})
    await witness.sees_camera(me, OTHER)
    assert await client.get("cameraId") == f"synthetic:{OTHER}"
    assert await client.get("cameraLabel") not in (None, label)
    event = await client.told("camera.updated", after=before)
    if client.kind == "roomlet":
        assert event["previous"]["deviceId"] == f"synthetic:{client.device}"
        assert event["current"]["deviceId"] == f"synthetic:{OTHER}"
    # The call goes on as it was.
    assert {e.name for e in witness.events[seen:]} <= {"member.updated", "member.talking"}
    await client.call("updateCamera", {"deviceId": f"synthetic:{client.device}", **LIGHT})
    await witness.sees_camera(me, client.device)


@covers(
    "updateMicrophone", "microphone.updated", "microphoneId", "microphoneLabel", "localAudioTrack"
)
@deviates("microphone.updated", "the SDK tells the ids of tracks, not of devices")
async def test_takes_another_microphone(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    await witness.hears_tone(client.tone)
    before = len(client.events)
    await client.call("updateMicrophone", {"deviceId": f"synthetic:{OTHER}"})
    await witness.hears_tone(tone_of(OTHER))
    await witness.hears_tone(client.tone, False)
    assert await client.get("microphoneId") == f"synthetic:{OTHER}"
    assert await client.get("microphoneLabel")
    event = await client.told("microphone.updated", after=before)
    if client.kind == "roomlet":
        assert event["current"]["deviceId"] == f"synthetic:{OTHER}"
    await client.call("updateMicrophone", {"deviceId": f"synthetic:{client.device}"})
    await witness.hears_tone(client.tone)
    await witness.hears_tone(tone_of(OTHER), False)


@covers("updateCamera", "updateMicrophone")
async def test_keeps_what_it_has_where_there_is_no_other(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    me = await client.member_id()
    with pytest.raises(Refused):
        await client.call("updateCamera", {"deviceId": {"exact": "no such camera"}})
    with pytest.raises(Refused):
        await client.call("updateMicrophone", {"deviceId": {"exact": "no such microphone"}})
    await witness.sees_camera(me, client.device)
    await witness.hears_tone(client.tone)


@covers("camera.disconnected", "microphone.disconnected")
async def test_tells_that_its_devices_were_pulled(meeting: Meeting) -> None:
    witness = meeting.witness
    guest = await meeting.joined("Birch", OTHER)
    me = await guest.member_id()
    await witness.sees_camera(me, OTHER)
    await witness.hears_tone(guest.tone)
    await guest.unplug()
    await guest.told("camera.disconnected")
    await guest.told("microphone.disconnected")
    await witness.hears_tone(guest.tone, False)
    # It stays in the room.
    assert me in [m["id"] for m in (await witness.call("getMembers"))["members"]]
    assert await guest.get("active")


@covers("setLocalStream", "localStream")
async def test_sends_another_stream(meeting: Meeting) -> None:
    witness = meeting.witness
    guest = await meeting.joined("Birch", 3)
    me = await guest.member_id()
    await witness.sees_camera(me, 3)
    await guest.set_local_stream(Local(tone=700.0, camera=99, width=320, height=180, fps=10))
    await witness.sees_camera(me, 99)
    await witness.hears_tone(700.0)
    await witness.hears_tone(guest.tone, False)
