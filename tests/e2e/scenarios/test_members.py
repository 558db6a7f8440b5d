"""Who is in the room, and what is told of it."""

from __future__ import annotations

from room import eventually
from scenarios.client import about, updated
from scenarios.covering import covers, deviates
from scenarios.meeting import Meeting

FIELDS = {
    "audio_muted": False,
    "deaf": False,
    "handraised": False,
    "input_sensitivity": 50,
    "input_volume": 0,
    "output_volume": 0,
    "type": "member",
    "video_muted": False,
}
"""A member as it comes in; whether it is visible shows with its first picture."""


@covers("getMembers")
async def test_asks_who_is_there(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    members = {one["name"]: one for one in (await client.call("getMembers"))["members"]}
    assert set(members) == {client.name, witness.name}
    for one in (client, witness):
        member = members[one.name]
        assert member["id"] == await one.member_id()
        assert member["room_id"] == await one.get("roomId")
        assert member["room_session_id"] == await one.get("roomSessionId")
        assert {key: member[key] for key in FIELDS} == FIELDS


@covers("member.joined", "member.left", "getMembers")
async def test_is_told_who_comes_and_goes(meeting: Meeting) -> None:
    client = meeting.client
    before = len(client.events)
    birch = await meeting.joined("Birch", 4)
    birch_id = await birch.member_id()
    arrived = await client.told("member.joined", about(birch_id), before)
    assert arrived["member"]["name"] == "Birch"
    assert {key: arrived["member"][key] for key in FIELDS} == FIELDS
    assert len((await client.call("getMembers"))["members"]) == 3
    await client.sees_camera(birch_id, birch.device)
    before = len(client.events)
    await birch.call("leave")
    left = await client.told("member.left", about(birch_id), before)
    assert left["member"]["type"] == "member"
    assert left["room_session_id"] == await client.get("roomSessionId")
    assert len((await client.call("getMembers"))["members"]) == 2
    await client.lacks_camera(birch.device)


@covers("memberList.updated")
@deviates(
    "memberList.updated",
    "the SDK's list begins empty and learns of members by their events; ours is complete from the"
    " moment of joining",
)
async def test_keeps_a_list_of_members(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    me, other = await client.member_id(), await witness.member_id()

    def lists(after: int) -> list[set[str]]:
        return [
            {member["id"] for member in event.payload["members"]}
            for event in client.events[after:]
            if event.name == "memberList.updated"
        ]

    if client.kind == "roomlet":
        assert lists(0)[0] == {me, other}
    before = len(client.events)
    birch = await meeting.joined("Birch", 4)
    birch_id = await birch.member_id()
    await eventually("Birch is in the list", lambda: birch_id in (lists(before) or [set()])[-1])
    await witness.call("setMemberMeta", {"memberId": me, "meta": {"number": 1}})
    await client.told(
        "memberList.updated",
        lambda e: {"number": 1} in [member.get("meta") for member in e["members"]],
        before,
    )
    if client.kind == "roomlet":
        assert lists(before)[-1] == {me, other, birch_id}
    await birch.call("leave")
    await eventually("Birch is no more in the list", lambda: birch_id not in lists(before)[-1])


@covers("member.updated")
@deviates("member.updated", "the SDK emits it twice for each event of the server, ours once")
async def test_is_told_of_changes(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    other = await witness.member_id()
    before = len(client.events)
    await witness.call("audioMute")
    told = await client.told("member.updated", updated(other, audio_muted=True), before)
    # With all that is known, and what has changed by its name.
    assert FIELDS.keys() <= told["member"].keys()
    assert told["member"]["name"] == witness.name
    await client.hears_tone(witness.tone, False)
    test = updated(other, audio_muted=True)
    times = sum(e.name == "member.updated" and test(e.payload) for e in client.events[before:])
    assert times == (1 if client.kind == "roomlet" else 2)
    await witness.call("audioUnmute")
    await client.hears_tone(witness.tone)


@covers("room.audience_count")
@deviates("room.audience_count", "the SDK emits it as `room.audienceCount`; ours under both names")
async def test_is_told_how_many_look_on(meeting: Meeting) -> None:
    client = meeting.client
    name = "room.audience_count" if client.kind == "roomlet" else "room.audienceCount"
    before = len(client.events)
    birch = await meeting.guest("Birch", 4, token={"join_as": "audience"})
    await birch.join()
    told = await client.told(name, lambda e: e["total"] == 1, before)
    assert told["room_id"] == await client.get("roomId")
    before = len(client.events)
    await birch.call("leave")
    await client.told(name, lambda e: e["total"] == 0, before)
    if client.kind == "official":
        assert client.count("room.audience_count") == 0
