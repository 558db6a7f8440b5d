"""Listening to events, and listening no longer."""

from __future__ import annotations

from typing import Any

from scenarios.client import Client
from scenarios.covering import covers, deviates
from scenarios.meeting import Meeting


async def _happens(lobby: Meeting, client: Client, number: int) -> None:
    """Let the room's meta change, and wait until the client has been told.

    A member of the room that is not the client tells when: requests of the client itself come
    back after the events before them.
    """
    before = len(lobby.witness.events)
    await lobby.witness.call("setMeta", {"number": number})
    await lobby.witness.told("room.updated", after=before)
    assert (await client.call("getMeta"))["meta"] == {"number": number}


def _tags(client: Client) -> list[tuple[str, Any]]:
    """The calls of the tagged handlers, in order."""
    return [
        (event.name, event.payload["room"]["meta"]["number"])
        for event in client.events
        if event.name in ("first", "second")
    ]


@covers("on", "once", "off")
async def test_listens_as_long_as_it_wants(lobby: Meeting) -> None:
    client = await lobby.joined()
    await client.listen("on", "room.updated", "first")
    await client.listen("once", "room.updated", "second")
    await _happens(lobby, client, 1)
    assert _tags(client) == [("first", 1), ("second", 1)]
    await _happens(lobby, client, 2)
    assert _tags(client)[2:] == [("first", 2)]
    await client.listen("on", "room.updated", "second")
    await client.listen("off", "room.updated", "first")
    await _happens(lobby, client, 3)
    assert _tags(client)[3:] == [("second", 3)]
    # Without a handler, all of the event's go.
    await client.listen("off", "room.updated")
    told = client.count("room.updated")
    await _happens(lobby, client, 4)
    assert _tags(client)[4:] == []
    assert client.count("room.updated") == told


@covers("removeAllListeners")
async def test_listens_to_one_event_no_longer(lobby: Meeting) -> None:
    client = await lobby.joined()
    await client.listen("on", "room.updated", "first")
    await _happens(lobby, client, 1)
    await client.listen("removeAllListeners", "room.updated")
    told = client.count("room.updated")
    await _happens(lobby, client, 2)
    assert _tags(client) == [("first", 1)]
    assert client.count("room.updated") == told


@covers("removeAllListeners")
@deviates("removeAllListeners", "the SDK also forgets its own listeners; ours goes on by itself")
async def test_listens_to_nothing_any_longer(lobby: Meeting) -> None:
    client = await lobby.joined()
    await client.listen("on", "room.updated", "first")
    await client.listen("removeAllListeners")
    told = len(client.events)
    await _happens(lobby, client, 1)
    assert client.events[told:] == []
    # It is in the room as before.
    await lobby.witness.hears_tone(client.tone)
    before = len(lobby.witness.events)
    await client.call("audioMute")
    await lobby.witness.told("member.updated", after=before)
    await lobby.witness.hears_tone(client.tone, False)
