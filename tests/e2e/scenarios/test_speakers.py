"""Loudspeakers: which one plays, and that it was pulled."""

from __future__ import annotations

from scenarios.covering import covers
from scenarios.meeting import Meeting
from scenarios.official_client import OfficialClient
from scenarios.roomlet_client import MADE

OTHER = 2
"""The number of the loudspeaker that is taken instead."""


@covers("updateSpeaker", "speaker.updated", "speaker.disconnected")
async def test_plays_on_another_loudspeaker_until_it_is_pulled(lobby: Meeting) -> None:
    witness = lobby.witness
    client = await lobby.joined("Birch")
    await client.hears_tone(witness.tone)
    other = f"synthetic:{OTHER}"
    assert await client.speaker() != other
    before = len(client.events)
    await client.call("updateSpeaker", {"deviceId": other})
    event = await client.told("speaker.updated", after=before)
    assert event["current"]["deviceId"] == other
    assert await client.speaker() == other
    await client.hears_tone(witness.tone)
    if isinstance(client, OfficialClient):
        await client.sdk.page.evaluate(f"devices.unplug({OTHER})")
    else:
        MADE[other].unplug()
    event = await client.told("speaker.disconnected", after=before)
    assert event["deviceId"] == other
    assert await client.get("active")
