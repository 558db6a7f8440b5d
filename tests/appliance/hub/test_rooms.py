"""How a room comes into being, who gets in, and how it goes, also where several things happen at
once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from appliance.hub.errors import HubError, Refused
from appliance.hub.legs import Leg
from appliance.hub.members import Member
from appliance.hub.observers import RoomObserver
from appliance.hub.records import StoredRoom
from appliance.hub.room import Room
from appliance.hub.room_options import RoomOptions
from appliance.hub.rooms import Rooms
from appliance.hub.sessions import Session
from appliance.hub.tokens import TokenOptions
from tests.appliance.hub.hub_client import DEADLINE, FakeStage
from tests.appliance.hub.quiet_room import come_in

DEMO = TokenOptions(room_name="demo")


class SlowStage(FakeStage):
    """Its end begins at once and takes as long as it may; the first one may fail."""

    def __init__(self, room: Room) -> None:
        super().__init__(room)
        self.closing = asyncio.Event()
        self.may_close = asyncio.Event()
        self.may_close.set()
        self.fault: Exception | None = None
        self.closes = 0

    async def close(self) -> None:
        self.closes += 1
        self.closing.set()
        await self.may_close.wait()
        fault, self.fault = self.fault, None
        if fault is not None:
            raise fault
        await super().close()


class Watch(RoomObserver):
    """Notes which rooms were closed, and whether their media had ended by then."""

    def __init__(self) -> None:
        self.closed_rooms: list[tuple[Room, bool]] = []

    def closed(self, room: Room) -> None:
        self.closed_rooms.append((room, stage_of(room).closed))


class House:
    """Rooms, with what they are made of."""

    def __init__(self) -> None:
        self.stored: dict[str, StoredRoom] = {}
        self.watch = Watch()
        self.rooms = self.make()

    def make(self, **settings: Any) -> Rooms:
        settings = {"stage": SlowStage, **settings}
        return Rooms(project="project", stored=self.stored.get, observer=self.watch, **settings)

    def keep(self, **options: Any) -> StoredRoom:
        room = StoredRoom("r", RoomOptions(name="demo", **options), 1.0, 1.0)
        self.stored["demo"] = room
        return room

    @property
    def closed(self) -> list[Room]:
        return [room for room, _ in self.watch.closed_rooms]


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    yield house
    async with asyncio.timeout(DEADLINE):
        await house.rooms.close()


def stage_of(room: Room) -> SlowStage:
    assert isinstance(room.stage, SlowStage)
    return room.stage


def on_the_way(room: Room) -> Leg:
    """Somebody whose leg into the room is not answered yet."""
    session = new_session()
    return Leg.invited("call", "main", session, room, "member", {})


def new_session(**options: Any) -> Session:
    return Session(TokenOptions(room_name="demo", **options), project="project", node_id="node")


def leave(room: Room, member: Member) -> None:
    room.leave(member)
    assert room.is_idle


async def released(rooms: Rooms, room: Room) -> None:
    async with asyncio.timeout(DEADLINE):
        await rooms.release(room)


# How it comes into being


async def test_a_name_has_one_room_while_it_is_open(house: House) -> None:
    rooms = house.rooms
    assert (rooms.get("demo"), len(rooms), list(rooms)) == (None, 0, [])
    room = rooms.open(DEMO)
    assert rooms.open(TokenOptions(room_name="demo", user_name="Elm")) is room
    other = rooms.open(TokenOptions(room_name="other"))
    assert (rooms.get("demo"), rooms.get("other")) == (room, other)
    assert (len(rooms), list(rooms)) == (2, [room, other])
    assert rooms.get("Demo") is None


async def test_a_room_of_a_token_alone_is_as_the_hub_is_set_and_the_token_says(
    house: House,
) -> None:
    rooms = house.make(layout="5up", max_members=7)
    token = TokenOptions(room_name="demo", room_display_name="Oak room", room_meta={"a": 1})
    room = rooms.open(token)
    assert (room.name, room.display_name, room.meta) == ("demo", "Oak room", {"a": 1})
    assert (room.layout_name, room.stays.rules.max_members) == ("5up", 7)
    assert (room.project, room.stored_id, room.observer) == ("project", None, house.watch)
    # Only who opens it says how it is.
    again = TokenOptions(room_name="demo", room_display_name="Elm room")
    assert rooms.open(again).display_name == "Oak room"
    await rooms.close()


async def test_a_room_that_lasts_is_as_it_was_set(house: House) -> None:
    stored = house.keep(display_name="Oak room", layout="2x2", max_members=3, meta={"a": 1})
    token = TokenOptions(room_name="demo", room_display_name="Elm room", room_meta={"b": 2})
    room = house.rooms.open(token)
    assert (room.stored_id, room.id) == (stored.id, stored.id)
    assert (room.display_name, room.meta, room.layout_name) == ("Oak room", {"a": 1}, "2x2")
    assert room.stays.rules.max_members == 3
    # A change of the room changes no session that goes on.
    room.meta["a"] = 2
    assert stored.options.meta == {"a": 1}


@pytest.mark.parametrize(
    ("hub", "token", "opens"),
    [(True, None, True), (False, None, False), (True, False, False), (False, True, True)],
)
async def test_a_room_that_is_not_there_is_made_where_hub_and_token_allow_it(
    house: House, hub: bool, token: bool | None, opens: bool
) -> None:
    rooms = house.make(auto_create=hub)
    session = new_session(auto_create_room=token)
    if opens:
        rooms.admit(session)
        assert rooms.open(session.options) in list(rooms)
    else:
        for attempt in (lambda: rooms.open(session.options), lambda: rooms.admit(session)):
            with pytest.raises(Refused, check=lambda one: one.code == "404"):
                attempt()
        assert len(rooms) == 0
        # The one that lasts is open to all, and so is one that somebody else has opened.
        house.keep()
        rooms.admit(session)
        assert rooms.open(session.options).stored_id == "r"
        house.stored.clear()
        rooms.admit(session)
        assert len(rooms) == 1
    await rooms.close()


async def test_a_room_whose_media_cannot_be_made_is_not_there(house: House) -> None:
    faults = [HubError("no thread can be started")]

    def make(room: Room) -> SlowStage:
        if faults:
            raise faults.pop()
        return SlowStage(room)

    rooms = house.make(stage=make)
    with pytest.raises(HubError):
        rooms.open(DEMO)
    assert (len(rooms), rooms.get("demo"), house.closed) == (0, None, [])
    assert rooms.open(DEMO) is rooms.get("demo")
    await rooms.close()


# Who gets in


async def test_the_same_are_let_in_whether_it_is_open_or_not(house: House) -> None:
    house.keep(max_members=1, join_until="2020-01-01")
    watcher = new_session(join_as="audience")
    with pytest.raises(Refused) as shut:
        house.rooms.admit(watcher)
    room = house.rooms.open(DEMO)
    with pytest.raises(Refused) as still:
        house.rooms.admit(watcher)
    assert (shut.value.code, shut.value.message) == (still.value.code, still.value.message)
    await released(house.rooms, room)
    house.keep(max_members=1)
    house.rooms.admit(new_session())
    assert len(house.rooms) == 0, "to be asked opens nothing"
    room = house.rooms.open(DEMO)
    member = come_in(room)
    with pytest.raises(Refused, match="takes 1 members"):
        house.rooms.admit(new_session())
    house.rooms.admit(watcher)
    leave(room, member)
    house.rooms.admit(new_session())


async def test_a_locked_room_and_a_deleted_one_let_nobody_in(house: House) -> None:
    house.keep()
    room = house.rooms.open(DEMO)
    come_in(room)
    room.locked = True
    with pytest.raises(Refused, match="locked"):
        house.rooms.admit(new_session())
    room.locked, room.deleted = False, True
    with pytest.raises(Refused, match="There is no room demo"):
        house.rooms.admit(new_session())


# How it goes


async def test_it_closes_once_nobody_is_there_nor_on_the_way(house: House) -> None:
    room = house.rooms.open(DEMO)
    member = come_in(room)
    await released(house.rooms, room)
    leg = on_the_way(room)
    room.leave(member)
    await released(house.rooms, room)
    assert (house.rooms.get("demo"), house.closed, stage_of(room).closes) == (room, [], 0)
    leg.end()
    await released(house.rooms, room)
    assert (len(house.rooms), house.closed, stage_of(room).closed) == (0, [room], True)
    # Who looks on was told while the media were there.
    assert house.watch.closed_rooms == [(room, False)]


async def test_its_timers_end_with_it(house: House) -> None:
    room = house.rooms.open(DEMO)
    late = asyncio.Event()
    token = TokenOptions(room_name="demo", remove_after_seconds_elapsed=1000)
    room.stays.begin("m", token, late.set)
    await released(house.rooms, room)
    assert room.stays._stays == {}


async def test_one_that_is_released_twice_closes_once(house: House) -> None:
    room = house.rooms.open(DEMO)
    stage_of(room).may_close.clear()
    first = asyncio.create_task(house.rooms.release(room))
    await stage_of(room).closing.wait()
    # Not even while it closes; and nobody has to wait for that.
    await released(house.rooms, room)
    stage_of(room).may_close.set()
    await first
    await released(house.rooms, room)
    assert (house.closed, stage_of(room).closes) == ([room], 1)


async def test_who_comes_while_it_closes_opens_a_new_one(house: House) -> None:
    old = house.rooms.open(DEMO)
    stage_of(old).may_close.clear()
    closing = asyncio.create_task(house.rooms.release(old))
    await stage_of(old).closing.wait()
    new = house.rooms.open(DEMO)
    assert (new is old, new.session_id == old.session_id, new.id) == (False, False, old.id)
    come_in(new)
    # The end of the old one is not the new one's.
    await released(house.rooms, old)
    stage_of(old).may_close.set()
    await closing
    assert (house.rooms.get("demo"), house.closed) == (new, [old])
    assert not stage_of(new).closed


async def test_all_are_closed_at_the_end_with_whoever_is_in_them(house: House) -> None:
    rooms = [house.rooms.open(TokenOptions(room_name=name)) for name in ("a", "b", "c")]
    come_in(rooms[0])
    async with asyncio.timeout(DEADLINE):
        await house.rooms.close()
        await house.rooms.close()
    assert (house.closed, len(house.rooms)) == (rooms, 0)
    assert [(stage_of(room).closes, stage_of(room).closed) for room in rooms] == [(1, True)] * 3
    # What was to happen to one of them later happens to none.
    await released(house.rooms, rooms[1])
    assert house.closed == rooms


async def test_all_close_at_the_same_time(house: House) -> None:
    rooms = [house.rooms.open(TokenOptions(room_name=name)) for name in ("a", "b")]
    for room in rooms:
        stage_of(room).may_close.clear()
    closing = asyncio.create_task(house.rooms.close())
    async with asyncio.timeout(DEADLINE):
        for room in rooms:
            await stage_of(room).closing.wait()
    assert not closing.done()
    for room in rooms:
        stage_of(room).may_close.set()
    async with asyncio.timeout(DEADLINE):
        await closing


async def test_one_whose_release_is_cut_short_is_closed_at_the_end(house: House) -> None:
    room = house.rooms.open(DEMO)
    stage_of(room).may_close.clear()
    release = asyncio.create_task(house.rooms.release(room))
    await stage_of(room).closing.wait()
    # As by a hub that stops and does not wait any longer.
    release.cancel()
    await asyncio.wait({release})
    assert not stage_of(room).closed
    stage_of(room).may_close.set()
    async with asyncio.timeout(DEADLINE):
        await house.rooms.close()
    assert (stage_of(room).closed, house.closed) == (True, [room])


async def test_the_end_waits_for_one_that_is_on_its_way_out(house: House) -> None:
    room = house.rooms.open(DEMO)
    stage_of(room).may_close.clear()
    release = asyncio.create_task(house.rooms.release(room))
    await stage_of(room).closing.wait()
    closing = asyncio.create_task(house.rooms.close())
    await asyncio.sleep(0)
    assert not closing.done()
    stage_of(room).may_close.set()
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(release, closing)
    assert (stage_of(room).closed, house.closed) == (True, [room])


async def test_one_that_does_not_close_keeps_no_other_open(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    rooms = [house.rooms.open(TokenOptions(room_name=name)) for name in ("a", "b")]
    stage_of(rooms[0]).fault = HubError("it does not want to")
    stage_of(rooms[1]).may_close.clear()
    closing = asyncio.create_task(house.rooms.close())
    async with asyncio.timeout(DEADLINE):
        await stage_of(rooms[1]).closing.wait()
        stage_of(rooms[1]).may_close.set()
        await closing
    assert stage_of(rooms[1]).closed
    errors = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert errors == ["room a has not closed: it does not want to"]


async def test_what_opens_and_closes_is_in_the_log(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await released(house.rooms, house.rooms.open(DEMO))
    assert [one.getMessage() for one in caplog.records] == [
        "room demo is open",
        "room demo is closed",
    ]
