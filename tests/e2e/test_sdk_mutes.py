"""Mutes between a guest with the official SDK and others, verified at what is sent and heard."""

from __future__ import annotations

from typing import Any

import numpy as np
from room import DEADLINE, SILENT, Guest, Room, eventually, hears_tone
from sdk_client import Pixels, SdkClient


def updated(member_id: str, **values: Any) -> Any:
    """Whether an event tells that these properties of a member have changed, to these values."""

    def test(payload: Any) -> bool:
        member = payload["member"]
        return (
            member["id"] == member_id
            and set(values) <= set(member.get("updated", ()))
            and all(member[name] == value for name, value in values.items())
        )

    return test


def is_mute_image(guest: Guest, member_id: str) -> Any:
    """Whether a picture shows the mute image where the member is: mostly its one dark grey."""

    def test(pixels: Pixels) -> bool:
        place = guest.layers().get(member_id)
        if place is None:
            return False
        cell = place.cut(pixels)[..., :3].reshape(-1, 3).astype(int)
        near = np.abs(cell - (0x2A, 0x2E, 0x37)).max(axis=1) < 12
        return bool(near.mean() > 0.5)

    return test


async def test_the_guest_mutes_the_appliance(room: Room, guest: SdkClient) -> None:
    maple = await room.admit(guest, permissions=["room.member.audio_mute"])
    oak, tone = room.id_of("Oak"), room.oak.tone
    await hears_tone(maple, tone)
    await guest.call("audioMute", {"memberId": oak})
    await eventually("Oak's gate and light are closed", room.oak.is_muted)
    assert (await room.oak.panel.state())["closers"] == ["remote"]
    await hears_tone(maple, tone, False)
    await hears_tone(room.elm, tone, False)
    await hears_tone(maple, room.elm.tone)
    muted = updated(oak, audio_muted=True)
    await maple.told("member.updated", muted)
    await room.host.told("member.updated", muted)
    for one in (room.oak, room.elm):
        await one.panel.until(
            f"{one.name} shows it",
            lambda state: [m["audio_muted"] for m in state["members"] if m["id"] == oak] == [True],
            DEADLINE,
        )


async def test_the_guest_cannot_open_the_appliances_microphone(
    room: Room, guest: SdkClient
) -> None:
    maple = await room.admit(guest)
    oak, tone = room.id_of("Oak"), room.oak.tone
    await hears_tone(maple, tone)
    await guest.call("audioMute", {"memberId": oak})
    await eventually("Oak is muted", room.oak.is_muted)
    before = len(guest.events)
    await guest.call("audioUnmute", {"memberId": oak})
    # The device says no, and the room is told the truth again.
    await maple.told("member.updated", updated(oak, audio_muted=False), after=before)
    await maple.told("member.updated", updated(oak, audio_muted=True), after=before)
    assert await room.oak.is_muted()
    await hears_tone(maple, tone, False)
    # A person in the room may.
    before = len(guest.events)
    await room.oak.panel.tap("mute")
    await maple.told("member.updated", updated(oak, audio_muted=False), after=before)
    await eventually("Oak is open", lambda: room.oak.is_muted(False))
    await hears_tone(maple, tone)


async def test_the_guest_is_muted_by_another(room: Room, guest: SdkClient) -> None:
    maple = await room.admit(guest)
    await hears_tone(room.oak, maple.tone)
    await room.host.session.audio_mute(maple.member_id)
    await maple.told("member.updated", updated(maple.member_id, audio_muted=True))
    await hears_tone(room.oak, maple.tone, False)
    await hears_tone(room.elm, maple.tone, False)

    async def stands_still() -> bool:
        before, pictures = await maple.packets_sent("audio"), await maple.packets_sent("video")
        await eventually(
            "pictures go on", lambda: _more(maple.packets_sent("video"), pictures + 20)
        )
        return await maple.packets_sent("audio") == before

    await eventually("the browser sends no more sound", stands_still)
    await room.host.session.audio_unmute(maple.member_id)
    await maple.told("member.updated", updated(maple.member_id, audio_muted=False))
    sent = await maple.packets_sent("audio")
    await eventually("it sends again", lambda: _more(maple.packets_sent("audio"), sent + 20))


async def _more(count: Any, than: int) -> bool:
    return bool(await count > than)


async def test_the_room_mutes_who_goes_on_sending(room: Room, guest: SdkClient) -> None:
    maple = await room.admit(guest, stopMicrophoneWhileMuted=False)
    await hears_tone(room.oak, maple.tone)
    await guest.call("audioMute")
    await maple.told("member.updated", updated(maple.member_id, audio_muted=True))
    sent = await maple.packets_sent("audio")
    await hears_tone(room.oak, maple.tone, False)
    await eventually("it still sends", lambda: _more(maple.packets_sent("audio"), sent + 20))
    await guest.call("audioUnmute")
    await hears_tone(room.oak, maple.tone)


async def test_a_muted_camera_is_a_mute_image(room: Room, guest: SdkClient) -> None:
    # Its browser goes on sending pictures: it is the room that hides them.
    maple = await room.admit(guest, camera=77, stopCameraWhileMuted=False)
    oak = room.id_of("Oak")
    await maple.sees_camera(oak, room.oak.number)
    before = len(guest.events)
    await guest.call("videoMute", {"memberId": oak})
    await maple.told("member.updated", updated(oak, video_muted=True, visible=False), after=before)
    await maple.told("layout.changed", after=before)
    await maple.sees(is_mute_image(maple, oak))
    await room.oak.panel.until(
        "Oak's camera is closed", lambda state: state["camera_closers"] == ["remote"], DEADLINE
    )
    await room.oak.panel.tap("camera")
    await maple.sees_camera(oak, room.oak.number)

    await maple.sees_camera(maple.member_id, 77)
    await guest.call("videoMute")
    await room.host.told("member.updated", updated(maple.member_id, video_muted=True))
    await maple.sees(is_mute_image(maple, maple.member_id))
    sent = await maple.packets_sent("video")
    await eventually("it still sends", lambda: _more(maple.packets_sent("video"), sent + 20))
    assert is_mute_image(maple, maple.member_id)(await guest.video_pixels())
    await guest.call("videoUnmute")
    await maple.sees_camera(maple.member_id, 77)


async def test_who_is_deaf_hears_nothing_and_is_not_heard(room: Room, guest: SdkClient) -> None:
    maple = await room.admit(guest, stopMicrophoneWhileMuted=False)
    await hears_tone(maple, room.oak.tone)
    await hears_tone(room.oak, maple.tone)
    await guest.call("deaf")
    deaf = updated(maple.member_id, deaf=True, audio_muted=True)
    await maple.told("member.updated", deaf)
    await room.host.told("member.updated", deaf)
    await hears_tone(maple, room.oak.tone, False)
    assert (await maple.hears([room.elm.tone]))[room.elm.tone] < SILENT
    await hears_tone(room.oak, maple.tone, False)
    before = len(guest.events)
    await guest.call("undeaf")
    hearing = updated(maple.member_id, deaf=False, audio_muted=False)
    await maple.told("member.updated", hearing, after=before)
    await hears_tone(maple, room.oak.tone)
    await hears_tone(room.oak, maple.tone)
