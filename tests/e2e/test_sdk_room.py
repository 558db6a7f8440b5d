"""Members, layouts and goodbyes, as a guest with the official SDK and the others are told."""

from __future__ import annotations

from typing import Any

import pytest
from room import DEADLINE, Host, Place, Room, eventually, hears_tone
from sdk_client import SdkClient


def about(member_id: str) -> Any:
    """Whether an event is about this member."""
    return lambda payload: payload["member"]["id"] == member_id


async def test_the_guest_sees_who_is_there(room: Room, guest: SdkClient) -> None:
    maple = await room.admit(guest)
    joined = await maple.told("room.joined")
    there = {"Oak", "Elm", "Ash", "Maple"}
    assert {member["name"] for member in joined["room_session"]["members"]} == there
    members = (await guest.call("getMembers"))["members"]
    assert {member["name"] for member in members} == there
    assert {member["id"] for member in members} == {one["id"] for one in room.host.members.values()}
    assert maple.member_id == room.id_of("Maple")

    async with Host.joined(room.hub, "Yew") as yew:
        yew_id = yew.session.member_id
        assert yew_id is not None
        arrived = await maple.told("member.joined", about(yew_id))
        assert arrived["member"]["name"] == "Yew"
        await maple.told(
            "memberList.updated",
            lambda e: yew_id in {member["id"] for member in e["members"]},
        )
        assert len((await guest.call("getMembers"))["members"]) == 5
        after = len(guest.events)
    await maple.told("member.left", about(yew_id))
    await maple.told(
        "memberList.updated",
        lambda e: yew_id not in {member["id"] for member in e["members"]},
        after=after,
    )
    assert len((await guest.call("getMembers"))["members"]) == 4


async def test_the_guest_is_told_who_talks(room: Room, guest: SdkClient) -> None:
    maple = await room.admit(guest)
    oak = room.id_of("Oak")

    def talking(member_id: str, talks: bool) -> Any:
        wanted = {"id": member_id, "talking": talks}
        return lambda payload: wanted.items() <= payload["member"].items()

    await room.host.told("member.talking", talking(maple.member_id, True))
    # Only who talks can stop.
    await hears_tone(maple, room.oak.tone)
    after = len(guest.events)
    await room.oak.panel.tap("mute")
    await maple.told("member.talking", talking(oak, False), after=after)
    after = len(guest.events)
    await room.oak.panel.tap("mute")
    await maple.told("member.talking", talking(oak, True), after=after)


async def test_the_guest_chooses_the_layout(room: Room, guest: SdkClient) -> None:
    maple = await room.admit(guest)
    oak, elm = room.id_of("Oak"), room.id_of("Elm")
    layouts = (await guest.call("getLayouts"))["layouts"]
    assert {"grid-responsive", "highlight-1-responsive", "2x1"} <= set(layouts)

    async def choose(name: str, **positions: str) -> dict[str, Place]:
        before = len(guest.events)
        await guest.call("setLayout", {"name": name, "positions": positions})

        def wanted(payload: Any) -> bool:
            layout = payload["layout"]
            held = {layer["member_id"]: layer["position"] for layer in layout["layers"]}
            wishes = {one: place for one, place in positions.items() if place != "auto"}
            return layout["name"] == name and wishes.items() <= held.items()

        await maple.told("layout.changed", wanted, after=before)
        await room.host.told("layout.changed", wanted)
        return maple.layers()

    # Four in a grid: each has a quarter.
    four = maple.layers()
    assert {(place.width, place.height) for place in four.values()} == {(50, 50)}
    assert len(four) == 4

    two = await choose("2x1", **{oak: "standard-2", elm: "standard-1"})
    assert two == {elm: (0, 25, 50, 50), oak: (50, 25, 50, 50)}
    await maple.sees_camera(oak, room.oak.number)
    await maple.sees_camera(elm, room.elm.number)
    swapped = await choose("2x1", **{oak: "standard-1", elm: "standard-2"})
    assert swapped == {oak: two[elm], elm: two[oak]}
    await maple.sees(lambda pixels: [swapped[one].camera(pixels) for one in (oak, elm)] == [1, 2])

    large = await choose("highlight-1-responsive", **{oak: "reserved-1", elm: "auto"})
    assert (large[oak].width, large[oak].height) == (80, 80)
    assert len(large) == 4
    await maple.sees_camera(oak, room.oak.number)
    other = await choose("highlight-1-responsive", **{oak: "auto", elm: "reserved-1"})
    assert other[elm] == large[oak]
    await maple.sees_camera(elm, room.elm.number)

    grid = await choose("grid-responsive", **{elm: "auto"})
    assert set(grid.values()) == set(four.values())
    await maple.sees_camera(oak, room.oak.number)
    await maple.sees_camera(elm, room.elm.number)


async def test_the_guest_leaves(room: Room, guest: SdkClient) -> None:
    maple = await room.admit(guest)
    assert len(room.host.layers()) == 4
    before = len(room.host.events)
    await guest.leave()
    assert await maple.told("room.left") in (None, {})
    await room.host.told("member.left", about(maple.member_id), after=before)
    gone = {"Oak", "Elm", "Ash"}
    for one in (room.oak, room.elm):
        await one.panel.until(
            f"{one.name} shows that the guest is gone",
            lambda state: {member["name"] for member in state["members"]} == gone,
            DEADLINE,
        )
    await eventually("the layout has three places", lambda: len(room.host.layers()) == 3)
    assert maple.member_id not in room.host.layers()


async def test_the_guest_is_removed(room: Room, guest: SdkClient) -> None:
    maple = await room.admit(guest)
    before = len(room.host.events)
    await room.host.session.remove_member(maple.member_id)
    await maple.told("room.left")
    await room.host.told("member.left", about(maple.member_id), after=before)
    await eventually("the layout has three places", lambda: len(room.host.layers()) == 3)
    with pytest.raises(Exception, match="before the room was connected"):
        await guest.call("audioMute")


async def test_the_guest_removes_another(room: Room, guest: SdkClient) -> None:
    maple = await room.admit(guest, permissions=["room.member.remove"])
    async with Host.joined(room.hub, "Yew") as yew:
        yew_id = yew.session.member_id
        assert yew_id is not None
        await guest.call("removeMember", {"memberId": yew_id})
        await yew.told("room.left", lambda _: True)
        assert not yew.session.active
        await maple.told("member.left", about(yew_id))
