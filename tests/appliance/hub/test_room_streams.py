"""What goes out of a room is what the store says, whoever comes, goes or changes it meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from appliance.hub.errors import StoreError
from appliance.hub.records import RoomStream, SessionRecord, StoredRoom, StreamRecord
from appliance.hub.room import Room
from appliance.hub.room_options import RoomOptions
from appliance.hub.room_streams import RoomStreams
from appliance.hub.store import Store
from appliance.hub.tasks import Tasks
from tests.appliance.hub.hub_client import DEADLINE
from tests.appliance.hub.quiet_room import come_in, open_room

T = TypeVar("T")

URL, OTHER = "rtmp://127.0.0.1/live/key", "rtmp://127.0.0.1/live/other"
STORED = StoredRoom("r", RoomOptions(name="demo"), 1.0, 1.0)


class Antenna:
    """What sends rooms out: nothing is sent, and each end comes when it may."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        #: What goes out, as (session, stream, URL): all of them, also one that does so twice.
        self.going: list[tuple[str, str, str]] = []
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.tasks = Tasks()

    @property
    def urls(self) -> list[str]:
        return [url for _, _, url in self.going]

    def start(self, room: Room, stream: RoomStream) -> None:
        self.calls.append(("start", stream.url))
        self.going.append((room.session_id, stream.id, stream.url))

    def stop(self, room: Room, stream_id: str) -> list[asyncio.Task[None]]:
        self.calls.append(("stop", stream_id))
        ended = [one for one in self.going if one[:2] == (room.session_id, stream_id)]
        self.going = [one for one in self.going if one not in ended]
        return [self.tasks.start(self._end(), f"end of {url}") for _, _, url in ended]

    async def _end(self) -> None:
        await self.may_end.wait()
        self.calls.append(("ended", ""))


class Desk:
    """The streams of one stored room, with all that they need."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.tasks = Tasks()
        self.antenna = Antenna()
        self.streams = RoomStreams(store, self.antenna, self.tasks)

    def room(self, stored: StoredRoom | None = STORED) -> Room:
        return open_room(self.streams, stored)

    def close(self, room: Room) -> None:
        for member in list(room.members.values()):
            room.leave(member)
        room.observer.closed(room)

    async def drain(self) -> None:
        async with asyncio.timeout(DEADLINE):
            await self.tasks.drain()

    async def add(self, url: str = URL) -> RoomStream:
        stream = await self.streams.add(STORED, url)
        assert stream is not None
        return stream

    async def kept(self) -> list[str]:
        return [one.url for one in await self.store.room_streams.of_room(STORED.id)]

    @contextlib.contextmanager
    def slow(self) -> Iterator[None]:
        """The disk does nothing before the end of the block; then all in turn."""
        gate = threading.Event()
        self.store.database.note(lambda _: gate.wait(DEADLINE))
        try:
            yield
        finally:
            gate.set()


@pytest.fixture
async def desk(store: Store) -> AsyncIterator[Desk]:
    await store.rooms.add(STORED)
    desk = Desk(store)
    yield desk
    desk.antenna.may_end.set()
    await desk.drain()
    async with asyncio.timeout(DEADLINE):
        await desk.antenna.tasks.drain()


async def turn() -> None:
    """Let what was just started come to where it waits for the disk."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_they_go_out_with_every_session_once(desk: Desk) -> None:
    first, second = await desk.add(), await desk.add(OTHER)
    assert (desk.antenna.calls, await desk.kept()) == ([], [URL, OTHER])
    for _ in range(2):
        room = desk.room()
        elm = come_in(room, "Elm")
        come_in(room, "Oak")
        room.leave(elm)
        await desk.drain()
        assert desk.antenna.going == [
            (room.session_id, first.id, URL),
            (room.session_id, second.id, OTHER),
        ]
        desk.close(room)
        # Their end is not its affair.
        assert ("stop", first.id) not in desk.antenna.calls
        desk.antenna.going.clear()


async def test_one_who_comes_in_while_the_last_one_goes_sends_none_twice(desk: Desk) -> None:
    await desk.add()
    room = desk.room()
    elm = come_in(room, "Elm")
    await desk.drain()
    # Oak is on the way in: the room stays open.
    room.leave(elm)
    more = await desk.add(OTHER)
    assert desk.antenna.urls == [URL, OTHER]
    await desk.streams.delete(more)
    assert desk.antenna.urls == [URL]
    come_in(room, "Oak")
    await desk.drain()
    assert desk.antenna.urls == [URL]


async def test_a_room_that_does_not_last_has_none(desk: Desk) -> None:
    await desk.add()
    come_in(desk.room(None))
    assert (len(desk.tasks), desk.antenna.calls) == (0, [])


async def test_no_other_room_is_sent_or_ended(desk: Desk) -> None:
    other = StoredRoom("other", RoomOptions(name="other"), 1.0, 1.0)
    await desk.store.rooms.add(other)
    first, room = desk.room(other), desk.room()
    for one in (first, room):
        come_in(one)
    await desk.drain()
    await desk.add()
    await desk.streams.add(other, OTHER)
    assert [(one[0], one[2]) for one in desk.antenna.going] == [
        (room.session_id, URL),
        (first.session_id, OTHER),
    ]
    desk.streams.end_all(STORED)
    assert desk.antenna.urls == [OTHER]


async def test_one_that_is_new_goes_out_at_once_and_ends_when_it_is_forgotten(desk: Desk) -> None:
    room = desk.room()
    come_in(room)
    await desk.drain()
    stream = await desk.add()
    assert desk.antenna.going == [(room.session_id, stream.id, URL)]
    changed = await desk.streams.change(stream, OTHER)
    assert changed is not None
    assert (changed.id, changed.url, changed.created_at) == (stream.id, OTHER, stream.created_at)
    assert changed.updated_at >= stream.updated_at
    assert desk.antenna.going == [(room.session_id, stream.id, OTHER)]
    # The old one ends before the new one begins: it may be the same place.
    assert desk.antenna.calls == [("start", URL), ("stop", stream.id), ("start", OTHER)]
    # To where it goes already it is not sent anew.
    assert await desk.streams.change(changed, OTHER) is not None
    assert len(desk.antenna.calls) == 3 + desk.antenna.calls.count(("ended", ""))
    await desk.streams.delete(changed)
    assert (desk.antenna.going, await desk.kept()) == ([], [])


async def test_what_is_gone_is_told_and_nothing_is_sent(desk: Desk) -> None:
    room = desk.room()
    come_in(room)
    await desk.drain()
    stream = await desk.add()
    await desk.streams.delete(stream)
    calls = list(desk.antenna.calls)
    assert await desk.streams.change(stream, OTHER) is None
    await desk.streams.delete(stream)
    await desk.store.rooms.delete(STORED.id)
    assert await desk.streams.add(STORED, URL) is None
    assert [one for one in desk.antenna.calls if one[0] != "ended"] == calls


async def with_the_first(
    desk: Desk, room: Room, act: Coroutine[Any, Any, T], *, joins_first: bool
) -> T:
    """What an act says during which somebody comes in as the first, the store slow for both."""
    with desk.slow():
        if joins_first:
            come_in(room)
            await turn()
        acting = asyncio.create_task(act)
        await turn()
        if not joins_first:
            come_in(room)
            await turn()
    told = await acting
    await desk.drain()
    return told


@pytest.mark.parametrize("joins_first", [True, False])
async def test_a_new_one_and_the_first_who_joins_at_once(desk: Desk, joins_first: bool) -> None:
    room = desk.room()
    stream = await with_the_first(desk, room, desk.add(), joins_first=joins_first)
    assert desk.antenna.going == [(room.session_id, stream.id, URL)]


@pytest.mark.parametrize("joins_first", [True, False])
async def test_a_changed_one_and_the_first_who_joins_at_once(desk: Desk, joins_first: bool) -> None:
    stream = await desk.add()
    room = desk.room()
    change = desk.streams.change(stream, OTHER)
    await with_the_first(desk, room, change, joins_first=joins_first)
    assert desk.antenna.going == [(room.session_id, stream.id, OTHER)]


@pytest.mark.parametrize("joins_first", [True, False])
async def test_one_that_is_forgotten_while_the_first_joins(desk: Desk, joins_first: bool) -> None:
    stream = await desk.add()
    delete = desk.streams.delete(stream)
    await with_the_first(desk, desk.room(), delete, joins_first=joins_first)
    assert (desk.antenna.going, await desk.kept()) == ([], [])


@pytest.mark.parametrize("urls", [(OTHER, URL), (URL, OTHER), (OTHER, OTHER)])
async def test_of_two_changes_at_once_the_last_one_counts(
    desk: Desk, urls: tuple[str, str]
) -> None:
    room = desk.room()
    come_in(room)
    await desk.drain()
    stream = await desk.add()
    with desk.slow():
        # Both know it as it was before.
        changing = [asyncio.create_task(desk.streams.change(stream, url)) for url in urls]
        await turn()
    await asyncio.gather(*changing)
    assert desk.antenna.going == [(room.session_id, stream.id, urls[-1])]
    assert await desk.kept() == [urls[-1]]


async def test_a_room_that_closes_before_its_streams_are_read_sends_none(desk: Desk) -> None:
    await desk.add()
    room = desk.room()
    with desk.slow():
        come_in(room)
        await turn()
        adding = asyncio.create_task(desk.add(OTHER))
        await turn()
        desk.close(room)
    await adding
    await desk.drain()
    assert desk.antenna.calls == []


async def test_with_the_room_all_end_also_one_that_comes_just_before(desk: Desk) -> None:
    room = desk.room()
    come_in(room)
    await desk.drain()
    await desk.add()
    with desk.slow():
        adding = asyncio.create_task(desk.streams.add(STORED, OTHER))
        await turn()
        deleting = asyncio.create_task(desk.store.rooms.delete(STORED.id))
        await turn()
        late = asyncio.create_task(desk.streams.add(STORED, OTHER))
        await turn()
    await deleting
    desk.streams.end_all(STORED)
    assert await adding is not None
    assert await late is None
    assert desk.antenna.going == []
    assert [call for call, _ in desk.antenna.calls if call == "start"] == ["start"] * 2
    # Of a room without a session there is nothing to end.
    desk.close(room)
    desk.streams.end_all(STORED)


async def test_a_store_that_cannot_be_read_is_told_and_the_room_goes_on(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    stream = await desk.add()
    await desk.store.close()
    room = desk.room()
    member = come_in(room)
    await desk.drain()
    (line,) = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert line.getMessage() == (
        f"room demo is not streamed by its own streams: {desk.store.database.path} is closed"
    )
    assert (desk.antenna.calls, list(room.members)) == ([], [member.id])
    for attempt in (
        desk.streams.add(STORED, URL),
        desk.streams.change(stream, OTHER),
        desk.streams.delete(stream),
        desk.streams.delete_of_session(room.session_id, "s"),
    ):
        with pytest.raises(StoreError):
            await attempt
    assert desk.antenna.going == []


# Of one session


def session_stream(room: Room, stream_id: str) -> StreamRecord:
    return StreamRecord(stream_id, room.session_id, None, URL, "streaming", 1.0, 1.0)


async def test_one_of_a_session_is_forgotten_once_it_has_ended(desk: Desk) -> None:
    # Also of a room that does not last.
    room, other = desk.room(None), desk.room(None)
    for one in (room, other):
        come_in(one)
        desk.store.sessions.started(
            SessionRecord(one.session_id, None, RoomOptions(name="demo"), 1.0, 1.0)
        )
        desk.antenna.going.append((one.session_id, "s", URL))
    desk.store.streams.changed(session_stream(room, "s"))
    desk.antenna.may_end.clear()
    deleting = asyncio.create_task(desk.streams.delete_of_session(room.session_id, "s"))
    await turn()
    assert desk.antenna.calls == [("stop", "s")]
    assert await desk.store.streams.one("s") is not None
    assert not deleting.done()
    desk.antenna.may_end.set()
    async with asyncio.timeout(DEADLINE):
        await deleting
    assert await desk.store.streams.one("s") is None
    assert desk.antenna.going == [(other.session_id, "s", URL)]


async def test_one_of_a_session_that_is_over_is_forgotten_at_once(desk: Desk) -> None:
    room = desk.room()
    come_in(room)
    record = SessionRecord(room.session_id, None, RoomOptions(name="demo"), 1.0, 1.0)
    desk.store.sessions.started(record)
    desk.store.streams.changed(session_stream(room, "s"))
    desk.close(room)
    await desk.streams.delete_of_session(room.session_id, "s")
    assert await desk.store.streams.one("s") is None
    assert desk.antenna.calls == []


async def test_one_that_was_ended_in_its_session_comes_back_with_another_url(desk: Desk) -> None:
    room = desk.room()
    come_in(room)
    await desk.drain()
    stream = await desk.add()
    desk.antenna.stop(room, stream.id)
    assert await desk.streams.change(stream, URL) is not None
    assert desk.antenna.going == []
    assert await desk.streams.change(stream, OTHER) is not None
    assert desk.antenna.urls == [OTHER]
