"""Who looks on is told of everything, in turn, and before the clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from appliance.hub.members import Member
from appliance.hub.observers import RoomObserver, RoomObservers
from appliance.hub.room import Room
from appliance.hub.rooms import Rooms
from appliance.hub.tokens import TokenOptions
from tests.appliance.hub.hub_client import FakeStage
from tests.appliance.hub.quiet_room import come_in, line_of, open_room

HOOKS = {name for name in vars(RoomObserver) if not name.startswith("_")}


class Onlooker(RoomObserver):
    """Keeps what it is told in a list that it shares with others."""

    def __init__(self, name: str, told: list[tuple[Any, ...]]) -> None:
        self._name = name
        self._told = told

    def began(self, room: Room) -> None:
        self._told.append((self._name, "began", room))

    def joined(self, room: Room, member: Member) -> None:
        self._told.append((self._name, "joined", room, member))

    def left(self, room: Room, member: Member) -> None:
        self._told.append((self._name, "left", room, member))

    def emitted(self, room: Room, event_type: str, params: Mapping[str, Any]) -> None:
        self._told.append((self._name, "emitted", room, event_type, params))

    def closed(self, room: Room) -> None:
        self._told.append((self._name, "closed", room))


async def test_several_are_told_each_in_turn() -> None:
    told: list[tuple[Any, ...]] = []
    one, two, three = (Onlooker(name, told) for name in ("one", "two", "three"))
    # Of some that are one already, too.
    all_of_them = RoomObservers(one, RoomObservers(two, three))
    room = open_room()
    member, params = come_in(room), {"a": 1}
    for hook, about in (
        ("began", (room,)),
        ("joined", (room, member)),
        ("left", (room, member)),
        ("emitted", (room, "video.room.updated", params)),
        ("closed", (room,)),
    ):
        told.clear()
        getattr(all_of_them, hook)(*about)
        assert told == [(name, hook, *about) for name in ("one", "two", "three")]


def test_all_that_one_can_be_told_reaches_several() -> None:
    assert {"began", "joined", "left", "emitted", "closed"} == HOOKS
    assert vars(RoomObservers).keys() >= HOOKS
    assert vars(Onlooker).keys() >= HOOKS


async def test_one_who_looks_on_does_nothing_by_itself() -> None:
    for observer in (RoomObserver(), RoomObservers()):
        room = open_room(observer)
        member = come_in(room)
        room.leave(member)
        observer.closed(room)
        assert line_of(member).names()[:1] == ["video.room.subscribed"]


@pytest.mark.parametrize("event", ["video.room.updated", "video.member.updated"])
async def test_it_is_told_before_the_clients(event: str) -> None:
    sent: list[bool] = []

    class Early(RoomObserver):
        def emitted(self, room: Room, event_type: str, params: Mapping[str, Any]) -> None:
            if event_type == event:
                sent.append(event in line_of(member).names())

    room = open_room(Early())
    member = come_in(room)
    if event == "video.room.updated":
        room.update_room(locked=True)
    else:
        room.update(member, handraised=True)
    assert sent == [False]
    assert event in line_of(member).names()


async def test_it_hears_of_one_before_that_one_is_in_and_once_it_is_out() -> None:
    seen: list[tuple[str, list[str]]] = []

    class Counting(RoomObserver):
        def joined(self, room: Room, member: Member) -> None:
            seen.append((f"+{member.name}", [one.name for one in room.members.values()]))

        def left(self, room: Room, member: Member) -> None:
            seen.append((f"-{member.name}", [one.name for one in room.members.values()]))

    room = open_room(Counting())
    elm, oak = come_in(room, "Elm"), come_in(room, "Oak")
    room.leave(elm)
    room.leave(oak)
    # Who has left already has not left once more.
    room.leave(oak)
    assert seen == [("+Elm", []), ("+Oak", ["Elm"]), ("-Elm", ["Oak"]), ("-Oak", [])]


async def test_it_is_told_of_the_begin_once_and_before_the_first_joins() -> None:
    told: list[tuple[Any, ...]] = []
    room = open_room(Onlooker("one", told))
    assert told == []
    elm = come_in(room, "Elm")
    assert [one[1] for one in told[:2]] == ["began", "joined"]
    room.leave(elm)
    # The room is open yet, as while somebody is on the way in: it is the same session.
    come_in(room, "Oak")
    assert [one[1] for one in told].count("began") == 1


async def test_it_is_told_of_the_close_once_and_while_the_stage_is_there() -> None:
    closed: list[tuple[Room, bool]] = []

    class Last(RoomObserver):
        def closed(self, room: Room) -> None:
            assert isinstance(room.stage, FakeStage)
            closed.append((room, room.stage.closed))

    rooms = Rooms(project="project", stage=FakeStage, stored=lambda _: None, observer=Last())
    room = rooms.open(TokenOptions(room_name="demo"))
    other = rooms.open(TokenOptions(room_name="other"))
    await rooms.release(room)
    await rooms.release(room)
    assert closed == [(room, False)]
    await rooms.close()
    assert closed == [(room, False), (other, False)]
    assert isinstance(other.stage, FakeStage)
    assert other.stage.closed
