"""Who watches, and who takes part."""

from __future__ import annotations

from room import EVERYTHING, eventually
from scenarios.client import about, tone_of
from scenarios.covering import covers, deviates
from scenarios.meeting import Meeting

AUDIENCE = {"join_as": "audience"}


@covers("join", "interactivityMode", "room.audience_count")
async def test_joins_as_audience(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    before = len(witness.events)
    guest = await meeting.guest("Birch", token=AUDIENCE)
    await guest.call("join", {})
    assert await guest.get("interactivityMode") == "audience"
    await guest.sees(
        "somebody",
        lambda pixels: any(place.camera(pixels) is not None for place in guest.layers().values()),
    )
    await guest.hears_tone(client.tone)
    await guest.hears_tone(witness.tone)
    await witness.hears_tone(guest.tone, False)
    await witness.told("room.audience_count", lambda e: e["total"] == 1, before)
    assert witness.count("member.joined", before) == 0
    await guest.call("leave")
    await witness.told("room.audience_count", lambda e: e["total"] == 0, before)


@covers(
    "promote",
    "demote",
    "member.promoted",
    "member.demoted",
    "interactivityMode",
    "permissions",
    "room.joined",
)
@deviates("promote", "the SDK opens the first devices that there are, whatever `join` asked for")
async def test_is_let_in_and_sent_back(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    guest = await meeting.guest("Birch", token=AUDIENCE)
    # The devices of the one who lets it in are the first: it is silent from here on.
    sends = guest.device if guest.kind == "roomlet" else client.device
    await guest.join()
    audience_id = await guest.member_id()
    await guest.hears_tone(client.tone)
    await client.call("audioMute")
    await witness.hears_tone(client.tone, False)
    before = len(witness.events)
    await client.call(
        "promote",
        {"memberId": audience_id, "mediaAllowed": "all", "permissions": list(EVERYTHING)},
    )
    # That is told to the one whom it is about.
    await guest.told("member.promoted", lambda e: e["member_id"] == audience_id)
    await witness.told("member.joined", lambda e: e["member"]["name"] == "Birch", before)

    async def taking_part() -> bool:
        return await guest.get("interactivityMode") == "member" and guest.count("room.joined") == 2

    await eventually("the guest takes part", taking_part)
    me = await guest.member_id()
    assert "room.set_layout" in await guest.get("permissions")
    await witness.hears_tone(tone_of(sends))
    await witness.sees_camera(me, sends)
    await guest.hears_tone(witness.tone)

    before = len(witness.events)
    await client.call("demote", {"memberId": me})
    await guest.told("member.demoted", lambda e: e["member_id"] == me)
    await witness.told("member.left", about(me), before)
    assert witness.count("member.promoted") == witness.count("member.demoted") == 0

    async def watching() -> bool:
        mode = await guest.get("interactivityMode")
        return mode == "audience" and guest.count("room.joined") == 3

    await eventually("the guest watches", watching)
    await witness.hears_tone(tone_of(sends), False)
    await eventually("the guest has no place", lambda: me not in witness.layers())
    await client.call("audioUnmute")
    await guest.hears_tone(client.tone)
    assert guest.count("room.left") == 0
