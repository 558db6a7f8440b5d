"""A guest with the official SDK who loses the hub, and comes back as the same member."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from room import Cable, Room, hears_tone
from sdk_client import Pixels, SdkClient

from hal.camera import scene

AWAY_MS = 4000
"""How long the cable is out, by the clock in the appliance's pictures."""


@pytest.fixture
async def cable(room: Room) -> AsyncIterator[Cable]:
    async with Cable.to(room.hub.address) as cable:
        yield cable


async def test_a_guest_outlives_its_socket(room: Room, guest: SdkClient, cable: Cable) -> None:
    maple = await room.admit(guest, url=cable.url, stopMicrophoneWhileMuted=False)
    assert cable.connections == 1
    oak = room.id_of("Oak")
    await maple.sees_camera(oak, room.oak.number)
    place = maple.layers()[oak]

    def clock(pixels: Pixels) -> int | None:
        code = scene.decode(pixels.luma, *place)
        return None if code is None else code.clock_ms

    await cable.cut()
    before, seen = len(room.host.events), len(guest.events)
    start = clock(await maple.sees(lambda pixels: clock(pixels) is not None))
    assert start is not None
    # Pictures and sound go on.
    await maple.sees(lambda p: (now := clock(p)) is not None and now - start > AWAY_MS)
    await hears_tone(room.oak, maple.tone)
    # What happens meanwhile is told afterwards.
    await room.host.session.audio_mute(maple.member_id)
    assert cable.connections == 1
    await cable.plug()
    await maple.told(
        "member.updated",
        lambda e: e["member"]["id"] == maple.member_id and e["member"].get("audio_muted"),
        after=seen,
    )
    assert cable.connections > 1

    # The same member, and all works again, in both directions.
    assert await guest.get("memberId") == maple.member_id
    ids = [member["id"] for member in (await guest.call("getMembers"))["members"]]
    assert ids.count(maple.member_id) == 1
    assert len(ids) == 4

    await hears_tone(room.oak, maple.tone, False)
    await guest.call("audioUnmute")
    await hears_tone(room.oak, maple.tone)
    await maple.sees_camera(oak, room.oak.number)
    names = {name for name, _ in room.host.events[before:]}
    assert "member.left" not in names
    assert "member.joined" not in names
    assert "room.left" not in {event.name for event in guest.events}

    await guest.leave()
    await room.host.told("member.left", lambda e: e["member"]["id"] == maple.member_id)


async def test_a_guest_comes_back_after_a_reload(room: Room, guest: SdkClient) -> None:
    maple = await room.admit(guest)
    before = len(room.host.events)
    await guest.page.reload()
    again = await room.admit(guest, tone=maple.tone)
    assert again.member_id == maple.member_id
    oak = room.id_of("Oak")
    await again.sees_camera(oak, room.oak.number)

    await hears_tone(room.oak, maple.tone)
    names = {name for name, _ in room.host.events[before:]}
    assert not names & {"member.joined", "member.left"}
    assert len((await guest.call("getMembers"))["members"]) == 4
