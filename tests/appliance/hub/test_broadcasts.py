"""Each stream that goes out of a room is told of, kept, and ended with its session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from appliance.hub.broadcasts import Broadcasts
from appliance.hub.errors import HubError
from appliance.hub.journal import Journal
from appliance.hub.records import RoomStream, StreamRecord
from appliance.hub.room import Room
from appliance.hub.store import Store
from appliance.hub.streamer import StreamState
from appliance.hub.tasks import Tasks
from appliance.hub.urls import STREAMED, UrlError, check_url
from tests.appliance.hub.hub_client import DEADLINE
from tests.appliance.hub.quiet_room import come_in, line_of, open_room
from tests.appliance.hub.stored import ALL

URL, OTHER = "rtmp://127.0.0.1/live/key", "rtmp://127.0.0.1/live/other"
MAY = ("room.stream",)


class Quiet:
    """A stream that goes nowhere, and ends when it may."""

    def __init__(self, state: StreamState, on_change: Callable[[StreamState], None]) -> None:
        self.state = state
        self.started = False
        self.asked_to_stop = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.fault: Exception | None = None
        self._on_change = on_change

    def start(self) -> None:
        self.started = True

    async def stop(self) -> StreamState:
        self.asked_to_stop.set()
        await self.may_end.wait()
        if self.fault is not None:
            raise self.fault
        if self.state.state != "completed":
            self.change(state="completed", ended_at=12.5, duration=2.5)
        return self.state

    def change(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)
        self._on_change(self.state)


class Studio:
    """The broadcasts, with all that they need and make."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.tasks = Tasks()
        self.journal = Journal(store)
        self.made: list[Quiet] = []
        self.broadcasts = Broadcasts(self.journal, self.tasks, self._make)

    def room(self) -> Room:
        """A room that the journal knows of, with nobody in it."""
        return open_room(self.journal)

    async def drain(self) -> None:
        async with asyncio.timeout(DEADLINE):
            await self.tasks.drain()

    async def kept(self, room: Room) -> dict[str, StreamRecord]:
        page = await self.store.streams.page(room.session_id, ALL)
        return {one.id: one for one in page.items}

    def _make(self, room: Room, url: str, on_change: Callable[[StreamState], None]) -> Quiet:
        check_url(url, STREAMED)
        state = StreamState(f"stream-{len(self.made) + 1}", "streaming", 10.0, url=url)
        self.made.append(Quiet(state, on_change))
        return self.made[-1]


@pytest.fixture
async def studio(store: Store) -> AsyncIterator[Studio]:
    studio = Studio(store)
    yield studio
    await studio.drain()
    studio.journal.close()
    # Nothing is remembered of streams that have ended.
    going = {one.state.id for one in studio.made if one.state.state != "completed"}
    assert studio.broadcasts._of_room.keys() <= going


def about(room: Room, url: str = URL, **more: Any) -> dict[str, Any]:
    ids = {"room_id": room.id, "room_session_id": room.session_id}
    wire = {"id": "stream-1", "state": "streaming", "duration": None, "started_at": 10.0}
    return {**ids, "stream": {**ids, **wire, "ended_at": None, "url": url, **more}}


async def test_one_that_begins_is_told_listed_and_kept(studio: Studio) -> None:
    room = studio.room()
    line = line_of(come_in(room, permissions=MAY))
    seen = len(line.events)
    state = studio.broadcasts.begin(room, URL)
    assert studio.made[0].started
    assert state is studio.made[0].state
    assert studio.broadcasts.states(room) == [state]
    assert room.streams == {state.id: state.to_wire()}
    assert room.streaming is True
    # The stream first, and then that there is one.
    assert line.names()[seen:] == ["video.stream.started", "video.room.updated"]
    assert line.events[seen][1] == about(room)
    (kept,) = (await studio.kept(room)).values()
    assert kept == StreamRecord(
        state.id, room.session_id, None, URL, "streaming", 10.0, kept.updated_at
    )
    # With another one it streams no more than before.
    studio.broadcasts.begin(room, OTHER)
    assert line.names()[seen + 2 :] == ["video.stream.started"]
    assert [one.url for one in studio.broadcasts.states(room)] == [URL, OTHER]


@pytest.mark.parametrize("url", ["http://127.0.0.1/x", "rtmp://", "file:///etc/passwd"])
async def test_an_address_that_is_none_changes_nothing(studio: Studio, url: str) -> None:
    room = studio.room()
    line = line_of(come_in(room, permissions=MAY))
    seen = len(line.events)
    with pytest.raises(UrlError):
        studio.broadcasts.begin(room, url)
    assert (studio.broadcasts.states(room), room.streams, room.streaming) == ([], {}, False)
    assert line.events[seen:] == []
    assert await studio.kept(room) == {}


async def test_those_who_may_not_stream_hear_only_that_the_room_does(studio: Studio) -> None:
    room = studio.room()
    host = line_of(come_in(room, "Host", ("room.stream.start",)))
    guest = line_of(come_in(room, "Guest", ("room.recording",)))
    seen = len(guest.events)
    state = studio.broadcasts.begin(room, URL)
    studio.broadcasts.end(room, state.id)
    await studio.drain()
    assert guest.names()[seen:] == ["video.room.updated"] * 2
    assert URL not in str(guest.events)
    assert [name for name in host.names() if "stream" in name] == [
        "video.stream.started",
        "video.stream.ended",
    ]


async def test_what_becomes_of_it_is_kept_and_no_event(studio: Studio) -> None:
    room = studio.room()
    line = line_of(come_in(room, permissions=MAY))
    state = studio.broadcasts.begin(room, URL)
    seen = len(line.events)
    studio.made[0].change(error="the target refuses")
    assert (await studio.kept(room))[state.id].error == "the target refuses"
    studio.made[0].change(connected=True, error=None)
    kept = (await studio.kept(room))[state.id]
    assert (kept.state, kept.error) == ("streaming", None)
    assert studio.broadcasts.states(room) == [studio.made[0].state]
    assert line.events[seen:] == []


async def test_one_that_is_ended_is_told_and_forgotten_when_it_has_ended(studio: Studio) -> None:
    room = studio.room()
    line = line_of(come_in(room, permissions=MAY))
    first, second = studio.broadcasts.begin(room, URL), studio.broadcasts.begin(room, OTHER)
    seen = len(line.events)
    studio.made[0].may_end.clear()
    task = studio.broadcasts.end(room, first.id)
    assert task is not None
    async with asyncio.timeout(DEADLINE):
        await studio.made[0].asked_to_stop.wait()
    # It goes on until it has ended, however long it says goodbye.
    assert len(studio.broadcasts.states(room)) == 2
    assert (len(studio.tasks), line.events[seen:]) == (1, [])
    studio.made[0].may_end.set()
    async with asyncio.timeout(DEADLINE):
        await task
    ended = about(room, state="completed", duration=2.5, ended_at=12.5)
    assert line.events[seen:] == [("video.stream.ended", ended)]
    assert [one.id for one in studio.broadcasts.states(room)] == [second.id]
    assert list(room.streams) == [second.id]
    assert room.streaming is True
    kept = (await studio.kept(room))[first.id]
    assert (kept.state, kept.duration, kept.ended_at) == ("completed", 2.5, 12.5)
    assert studio.broadcasts.end(room, first.id) is None
    # With the last one the room streams no more.
    studio.broadcasts.end(room, second.id)
    await studio.drain()
    assert line.names()[seen + 1 :] == ["video.stream.ended", "video.room.updated"]
    assert (studio.broadcasts.states(room), room.streams, room.streaming) == ([], {}, False)
    assert len(studio.tasks) == 0


async def test_one_that_is_ended_twice_ends_once(studio: Studio) -> None:
    room = studio.room()
    line = line_of(come_in(room, permissions=MAY))
    state = studio.broadcasts.begin(room, URL)
    tasks = [studio.broadcasts.end(room, state.id) for _ in range(2)]
    assert all(tasks)
    await studio.drain()
    assert line.names().count("video.stream.ended") == 1


async def test_only_the_room_s_own_can_be_ended(studio: Studio) -> None:
    room, other = studio.room(), studio.room()
    come_in(room)
    come_in(other)
    state = studio.broadcasts.begin(room, URL)
    assert studio.broadcasts.end(room, "nothing") is None
    assert studio.broadcasts.end(other, state.id) is None
    assert studio.broadcasts.stop(other, state.id) == []
    assert (studio.broadcasts.states(room), studio.broadcasts.states(other)) == ([state], [])
    assert (room.streaming, other.streaming) == (True, False)


async def test_streams_of_the_room_are_stopped_by_the_room_s_id_or_their_own(
    studio: Studio,
) -> None:
    room = studio.room()
    come_in(room)
    for stream_id in ("a", "b", "b"):
        studio.broadcasts.start(room, RoomStream(stream_id, "r", URL, 1.0, 1.0))
    studio.broadcasts.begin(room, OTHER)
    kept = await studio.kept(room)
    assert [one.room_stream_id for one in kept.values()] == [None, "b", "b", "a"]
    assert studio.broadcasts.stop(room, "nothing") == []
    tasks = studio.broadcasts.stop(room, "b")
    assert len(tasks) == 2
    async with asyncio.timeout(DEADLINE):
        await asyncio.wait(tasks)
    assert [one.id for one in studio.broadcasts.states(room)] == ["stream-1", "stream-4"]
    # Also when it has ended it is known whose it was.
    kept = await studio.kept(room)
    assert [one.room_stream_id for one in kept.values()] == [None, "b", "b", "a"]
    assert len(studio.broadcasts.stop(room, "stream-1")) == 1
    await studio.drain()
    assert [one.id for one in studio.broadcasts.states(room)] == ["stream-4"]
    assert studio.broadcasts.stop(room, "a") == []


async def test_with_the_session_all_its_streams_end_and_no_others(studio: Studio) -> None:
    room, other = studio.room(), studio.room()
    member = come_in(room)
    come_in(other)
    for one in (room, room, other):
        studio.broadcasts.begin(one, URL)
    room.leave(member)
    studio.journal.closed(room)
    studio.broadcasts.closed(room)
    await studio.drain()
    assert studio.broadcasts.states(room) == []
    assert {one.state for one in (await studio.kept(room)).values()} == {"completed"}
    assert [one.state for one in studio.broadcasts.states(other)] == ["streaming"]
    # Of a session without streams nothing is left to end.
    studio.broadcasts.closed(room)
    assert len(studio.tasks) == 0


async def test_an_end_that_fails_is_logged_and_nothing_else(
    studio: Studio, caplog: pytest.LogCaptureFixture
) -> None:
    room = studio.room()
    come_in(room)
    state = studio.broadcasts.begin(room, URL)
    studio.made[0].fault = HubError("it does not want to")
    studio.broadcasts.end(room, state.id)
    await studio.drain()
    errors = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert errors == [f"end of stream {state.id} failed: it does not want to"]
    # It goes on, and can be ended again.
    assert studio.broadcasts.states(room) == [state]
    studio.made[0].fault = None
    studio.broadcasts.end(room, state.id)
    await studio.drain()
    assert studio.broadcasts.states(room) == []
