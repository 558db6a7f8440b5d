"""Who is talking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scenarios.covering import covers
from scenarios.meeting import Meeting


def _talking(member_id: str, talks: bool) -> Callable[[Any], bool]:
    wanted = {"id": member_id, "talking": talks}
    return lambda payload: bool(wanted.items() <= payload["member"].items())


@covers("member.talking")
async def test_is_told_who_talks(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    other = await witness.member_id()
    await client.hears_tone(witness.tone)
    before = len(client.events)
    await witness.call("audioMute")
    told = await client.told("member.talking", _talking(other, False), before)
    assert told["room_session_id"] == await client.get("roomSessionId")
    before = len(client.events)
    await witness.call("audioUnmute")
    await client.told("member.talking", _talking(other, True), before)


@covers("member.talking")
async def test_is_heard_to_talk(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    me = await client.member_id()
    await witness.hears_tone(client.tone)
    before = len(witness.events)
    await client.call("audioMute")
    await witness.told("member.talking", _talking(me, False), before)
    before = len(witness.events)
    await client.call("audioUnmute")
    await witness.told("member.talking", _talking(me, True), before)
