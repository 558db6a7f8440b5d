"""The ways out of a room: one's own wish, another's, and the end of the object."""

from __future__ import annotations

import pytest
from room import eventually
from scenarios.client import Refused, about
from scenarios.covering import covers, deviates
from scenarios.meeting import Meeting


@covers("leave", "room.left", "member.left")
async def test_leaves(lobby: Meeting) -> None:
    witness = lobby.witness
    client = await lobby.joined()
    me = await client.member_id()
    await witness.sees_camera(me, client.device)
    await witness.hears_tone(client.tone)
    before = len(witness.events)
    await client.call("leave")
    left = await witness.told("member.left", about(me), before)
    assert left["member"]["type"] == "member"
    await eventually("it has no place", lambda: me not in witness.layers())
    await witness.lacks_camera(client.device)
    await witness.hears_tone(client.tone, False)
    own = await client.told("room.left")
    assert (own or {}).get("reason") is None
    assert not await client.get("active")


@covers("destroy")
@deviates("destroy", "the SDK ends its object and leaves the media running; ours ends both")
async def test_is_destroyed(lobby: Meeting) -> None:
    witness = lobby.witness
    client = await lobby.joined()
    me = await client.member_id()
    await witness.hears_tone(client.tone)
    before, told = len(witness.events), len(client.events)
    await client.call("destroy")
    # Nothing is said to the server: to the others the member is still there.
    await witness.hears_tone(client.tone, client.kind == "official")
    await witness.call("setMeta", {"after": "destroy"})
    await witness.told("room.updated", after=before)
    members = (await witness.call("getMembers"))["members"]
    assert me in {member["id"] for member in members}
    assert witness.count("member.left", before) == 0
    # Of the room, no listener hears any more.
    names = {event.name for event in client.events[told:]}
    assert "room.updated" not in names, names


@covers("removeMember", "room.left", "member.left")
async def test_is_removed_by_another(lobby: Meeting) -> None:
    witness = lobby.witness
    client = await lobby.joined()
    other = await lobby.joined("Birch", 4)
    target = await other.member_id()
    before = len(witness.events)
    await client.call("removeMember", {"memberId": target})
    await witness.told("member.left", about(target), before)
    await client.told("member.left", about(target))
    gone = await other.told("room.left")
    assert (gone or {}).get("reason") is None
    assert not await other.get("active")
    await witness.lacks_camera(other.device)
    await witness.hears_tone(other.tone, False)
    assert await client.get("active")


@covers("removeMember")
async def test_does_not_remove_without_permission(lobby: Meeting) -> None:
    client = await lobby.joined(permissions=["room.self.audio_mute"])
    with pytest.raises(Refused) as refused:
        await client.call("removeMember", {"memberId": await lobby.witness.member_id()})
    assert refused.value.code == "403"
    assert await lobby.witness.get("active")


@covers("removeAllMembers", "room.left")
async def test_removes_everybody(lobby: Meeting) -> None:
    witness = lobby.witness
    client = await lobby.joined()
    await client.call("removeAllMembers")
    await witness.told("room.left")
    await client.told("room.left")
    assert not await witness.get("active")
    assert not await client.get("active")
