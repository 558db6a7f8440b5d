"""How loud one is, how loud one hears, and from which level on one counts."""

from __future__ import annotations

import pytest
from scenarios.client import LOUD, Refused, updated
from scenarios.covering import covers
from scenarios.meeting import Meeting

QUIETER = -30
"""A volume, in steps of half a dB."""

LOW = LOUD - 15.0
"""dBFS of every tone at that volume."""


@covers("setInputVolume", "member.updated")
async def test_sets_its_own_microphone(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    me = await client.member_id()
    before = len(witness.events)
    await witness.hears_at(client.tone, LOUD)
    await client.call("setInputVolume", {"volume": QUIETER})
    await witness.told("member.updated", updated(me, input_volume=QUIETER), before)
    await witness.hears_at(client.tone, LOW)
    await client.call("setInputVolume", {"volume": -50})
    await witness.hears_tone(client.tone, False)
    await client.call("setInputVolume", {"volume": 0})
    await witness.hears_at(client.tone, LOUD)


@covers("setInputVolume")
async def test_sets_the_microphone_of_another(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    other = await witness.member_id()
    before = len(witness.events)
    await client.hears_at(witness.tone, LOUD)
    await client.call("setInputVolume", {"memberId": other, "volume": QUIETER})
    await witness.told("member.updated", updated(other, input_volume=QUIETER), before)
    await client.hears_at(witness.tone, LOW)
    await client.call("setInputVolume", {"memberId": other, "volume": 0})
    await client.hears_at(witness.tone, LOUD)


@covers("setOutputVolume", "member.updated")
async def test_sets_its_own_loudspeaker(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    me = await client.member_id()
    before = len(witness.events)
    await client.hears_at(witness.tone, LOUD)
    await client.call("setOutputVolume", {"volume": QUIETER})
    await witness.told("member.updated", updated(me, output_volume=QUIETER), before)
    await client.hears_at(witness.tone, LOW)
    # What others hear of it stays.
    await witness.hears_at(client.tone, LOUD)
    await client.call("setOutputVolume", {"volume": 0})
    await client.hears_at(witness.tone, LOUD)


@covers("setOutputVolume")
async def test_sets_the_loudspeaker_of_another(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    other = await witness.member_id()
    before = len(witness.events)
    await witness.hears_at(client.tone, LOUD)
    await client.call("setOutputVolume", {"memberId": other, "volume": QUIETER})
    await witness.told("member.updated", updated(other, output_volume=QUIETER), before)
    await witness.hears_at(client.tone, LOW)
    await client.call("setOutputVolume", {"memberId": other, "volume": 0})
    await witness.hears_at(client.tone, LOUD)


@covers("setInputSensitivity", "member.updated", "member.talking")
async def test_sets_its_own_sensitivity(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    me = await client.member_id()
    await witness.hears_tone(client.tone)
    before = len(witness.events)
    # 0 is "essentially muted".
    await client.call("setInputSensitivity", {"value": 0})
    await witness.told("member.updated", updated(me, input_sensitivity=0), before)
    await witness.hears_tone(client.tone, False)
    await witness.told(
        "member.talking",
        lambda e: e["member"] == e["member"] | {"id": me, "talking": False},
        before,
    )
    await client.call("setInputSensitivity", {"value": 50})
    await witness.hears_tone(client.tone)


@covers("setInputSensitivity")
async def test_sets_the_sensitivity_of_another(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    other = await witness.member_id()
    await client.hears_tone(witness.tone)
    before = len(witness.events)
    await client.call("setInputSensitivity", {"memberId": other, "value": 0})
    await witness.told("member.updated", updated(other, input_sensitivity=0), before)
    await client.hears_tone(witness.tone, False)
    await client.call("setInputSensitivity", {"memberId": other, "value": 50})
    await client.hears_tone(witness.tone)


@covers("setInputVolume", "setOutputVolume", "setInputSensitivity")
async def test_does_not_set_without_permission(meeting: Meeting) -> None:
    witness = meeting.witness
    other = await witness.member_id()
    birch = await meeting.joined("Birch", 4, permissions=[])
    for method, wish in (
        ("setInputVolume", {"volume": -50}),
        ("setOutputVolume", {"volume": -50}),
        ("setInputSensitivity", {"value": 0}),
    ):
        for target in ({}, {"memberId": other}):
            with pytest.raises(Refused) as refused:
                await birch.call(method, {**wish, **target})
            assert refused.value.code == "403"
    await witness.hears_tone(birch.tone)
    await birch.hears_tone(witness.tone)
    await meeting.client.hears_tone(witness.tone)
