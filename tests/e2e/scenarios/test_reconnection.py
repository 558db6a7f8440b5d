"""What is lost, and comes back: the socket, the media, both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio
from room import Cable
from scenarios.client import updated
from scenarios.covering import covers
from scenarios.meeting import Meeting

AWAY = 15.0
"""Seconds without the network that a member outlives."""

WATCHING = {"watchMediaPackets": True}
"""The SDK looks at its packets only where it is told to; we need no telling."""


@pytest_asyncio.fixture(loop_scope="session")
async def cable(meeting: Meeting) -> AsyncIterator[Cable]:
    """The guest's way to the hub."""
    async with Cable.to(meeting.hub.address) as cable:
        yield cable
        # Guests say goodbye over it.
        await meeting.end_scenario()


@covers("memberId", "active", "audioMute")
async def test_outlives_its_socket(meeting: Meeting, cable: Cable) -> None:
    witness = meeting.witness
    guest = await meeting.joined("Birch", host=cable.url)
    me = await guest.member_id()
    await witness.hears_tone(guest.tone)
    before = len(witness.events)
    await cable.cut()
    await asyncio.sleep(AWAY)  # the thing that is tested
    await witness.hears_tone(guest.tone)
    await cable.plug()
    await guest.call("audioMute")
    await witness.told("member.updated", updated(me, audio_muted=True), before)
    await witness.hears_tone(guest.tone, False)
    assert await guest.member_id() == me
    assert guest.count("room.left") == 0
    assert witness.count("member.left", before) == witness.count("member.joined", before) == 0


@covers(
    "media.connected",
    "media.disconnected",
    "media.reconnecting",
    "memberId",
    only="roomlet",
    because="the SDK restarts ICE and never sends the invite for it: it gives up after 12 s",
)
async def test_gets_its_media_back(meeting: Meeting, cable: Cable) -> None:
    witness = meeting.witness
    guest = await meeting.joined("Birch", host=cable.url)
    me = await guest.member_id()
    await witness.hears_tone(guest.tone)
    await guest.told("media.connected")
    before, seen = len(witness.events), len(guest.events)
    meeting.hub.lose_newest_media()
    await guest.told("media.disconnected", after=seen)
    await guest.told("media.reconnecting", after=seen)
    await guest.told("media.connected", after=seen)
    await witness.hears_tone(guest.tone)
    await witness.sees_camera(me, guest.device)
    await guest.hears_tone(witness.tone)
    assert await guest.member_id() == me
    assert witness.count("member.left", before) == witness.count("member.joined", before) == 0


@covers("room.left", "media.disconnected", "media.reconnecting", "active")
async def test_gives_up_in_the_end(meeting: Meeting, cable: Cable) -> None:
    witness = meeting.witness
    options = WATCHING if meeting.client.kind == "official" else {}
    guest = await meeting.joined("Birch", host=cable.url, **options)
    await witness.hears_tone(guest.tone)
    seen = len(guest.events)
    await cable.cut()
    meeting.hub.lose_newest_media()
    await guest.told("media.reconnecting", after=seen)
    left = await guest.told("room.left", after=seen)
    assert left["reason"] == "RECONNECTION_ATTEMPT_TIMEOUT"
    assert not await guest.get("active")
    await witness.hears_tone(guest.tone, False)
