"""Metadata of the room and of its members."""

from __future__ import annotations

from typing import Any

import pytest
from scenarios.client import Client, Refused, room_updated, updated
from scenarios.covering import covers, deviates
from scenarios.meeting import Meeting

BEGIN: dict[str, Any] = {"foo": "bar", "baz": True}
UPDATE: dict[str, Any] = {"baz": False, "t": 10, "deep": {"list": [1, None, "ä"]}}


@covers("setMeta", "updateMeta", "deleteMeta", "getMeta", "room.updated")
@deviates("deleteMeta", "the SDK resolves with the server's code and message; ours with nothing")
async def test_keeps_meta_of_the_room(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    before = len(witness.events)

    async def has(meta: dict[str, Any]) -> None:
        await witness.told("room.updated", room_updated(meta=meta), before)
        assert (await witness.call("getMeta"))["meta"] == meta
        assert (await client.call("getMeta"))["meta"] == meta

    assert (await client.call("getMeta"))["meta"] == {}
    await client.call("setMeta", {"gone": 1})
    await has({"gone": 1})
    await client.call("setMeta", BEGIN)
    await has(BEGIN)
    await client.call("updateMeta", UPDATE)
    await has(BEGIN | UPDATE)
    result = await client.call("deleteMeta", ["foo", "deep"])
    await has({"baz": False, "t": 10})
    assert (result is None) == (client.kind == "roomlet")
    await client.call("setMeta", {})
    await has({})


async def _keeps(meeting: Meeting, owner: Client, wish: dict[str, str]) -> None:
    client, witness = meeting.client, meeting.witness
    owner_id = await owner.member_id()
    before = len(witness.events)

    async def has(meta: dict[str, Any]) -> None:
        await witness.told("member.updated", updated(owner_id, meta=meta), before)
        known = await witness.call("getMemberMeta", {"memberId": owner_id})
        assert known["meta"] == meta
        assert (await client.call("getMemberMeta", wish))["meta"] == meta

    await client.call("setMemberMeta", {**wish, "meta": {"gone": 1}})
    await has({"gone": 1})
    await client.call("setMemberMeta", {**wish, "meta": BEGIN})
    await has(BEGIN)
    await client.call("updateMemberMeta", {**wish, "meta": UPDATE})
    await has(BEGIN | UPDATE)
    await client.call("deleteMemberMeta", {**wish, "keys": ["foo", "deep"]})
    await has({"baz": False, "t": 10})
    await client.call("setMemberMeta", {**wish, "meta": {}})
    await has({})


@covers("setMemberMeta", "updateMemberMeta", "deleteMemberMeta", "getMemberMeta", "member.updated")
async def test_keeps_meta_of_itself(meeting: Meeting) -> None:
    await _keeps(meeting, meeting.client, {})


@covers("setMemberMeta", "updateMemberMeta", "deleteMemberMeta", "getMemberMeta")
async def test_keeps_meta_of_another(meeting: Meeting) -> None:
    await _keeps(meeting, meeting.witness, {"memberId": await meeting.witness.member_id()})


@covers("setMeta", "updateMeta", "deleteMeta", "setMemberMeta", "getMeta", "getMemberMeta")
async def test_does_not_keep_meta_without_permission(meeting: Meeting) -> None:
    witness = meeting.witness
    other = await witness.member_id()
    birch = await meeting.joined("Birch", 4, permissions=[])
    before = len(witness.events)
    for method, wish in (
        ("setMeta", {"foo": 1}),
        ("updateMeta", {"foo": 1}),
        ("deleteMeta", ["foo"]),
        ("setMemberMeta", {"meta": {"foo": 1}}),
        ("updateMemberMeta", {"memberId": other, "meta": {"foo": 1}}),
        ("deleteMemberMeta", {"memberId": other, "keys": ["foo"]}),
    ):
        with pytest.raises(Refused) as refused:
            await birch.call(method, wish)
        assert refused.value.code == "403", method
    # To read needs none.
    assert (await birch.call("getMeta"))["meta"] == {}
    assert (await birch.call("getMemberMeta", {"memberId": other}))["meta"] == {}
    told = [event.payload for event in witness.events[before:] if event.name == "member.updated"]
    assert not [one for one in told if "meta" in one["member"].get("updated", ())]
    assert witness.count("room.updated", before) == 0
