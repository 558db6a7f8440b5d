"""All that outlives a meeting: opened before anybody joins, at work meanwhile, and closed last."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.hub.archive import Archive
from appliance.hub.errors import DataError
from appliance.hub.migrations import MIGRATIONS
from appliance.hub.records import RecordingRecord
from appliance.hub.room import Room
from appliance.hub.rooms import Rooms
from appliance.hub.store import FILE
from appliance.hub.streamer import StreamState
from appliance.hub.tasks import Tasks
from appliance.hub.tokens import TokenOptions
from tests.appliance.hub.hub_client import DEADLINE, FakeStage, until
from tests.appliance.hub.quiet_room import come_in
from tests.appliance.hub.stored import ALL, RECORDING, SESSION

URL = "rtmp://127.0.0.1/live/key"


class Quiet:
    """A stream that goes nowhere."""

    def __init__(self, room: Room, url: str, on_change: Callable[[StreamState], None]) -> None:
        self.state = StreamState(str(uuid.uuid4()), "streaming", 10.0, url=url)
        self._on_change = on_change

    def start(self) -> None:
        """It has nowhere to go."""

    async def stop(self) -> StreamState:
        self.state = replace(self.state, state="completed", ended_at=12.0, duration=2.0)
        self._on_change(self.state)
        return self.state


class Hub:
    """Archives of one data directory, one after the other, as hubs would have them."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.tasks = Tasks()
        self.archive = self.new()
        self.repaired: list[str] = []

    def new(self) -> Archive:
        self.archive = Archive(self.data, self.tasks, make_stream=Quiet, finish=self._finish)
        return self.archive

    def rooms(self) -> Rooms:
        return Rooms(
            project="project",
            stage=FakeStage,
            stored=self.archive.directory.named,
            observer=self.archive.observer,
        )

    async def drain(self) -> None:
        async with asyncio.timeout(DEADLINE):
            await self.tasks.drain()

    def _finish(self, path: Path) -> float:
        self.repaired.append(path.stem)
        return 1.5


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    hub = Hub(tmp_path)
    yield hub
    await hub.drain()
    await hub.archive.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert not [one.name for one in threading.enumerate() if one.name.startswith("hub store")]


async def recordings(archive: Archive) -> dict[str, RecordingRecord]:
    return {one.id: one for one in (await archive.store.recordings.page(ALL)).items}


async def leave_open(hub: Hub, *names: str) -> None:
    """Let a hub end in the midst of a session with these recordings."""
    store = hub.archive.store
    await hub.archive.open(())
    store.sessions.started(SESSION)
    for name in names:
        path = hub.data / f"{name}.mp4"
        path.write_bytes(b"film")
        store.recordings.changed(replace(RECORDING, id=name, path=path))
    await hub.archive.close()


async def test_rooms_that_are_missing_are_made_once(hub: Hub) -> None:
    await hub.archive.open(("demo", "lobby"))
    made = hub.archive.directory.named("demo")
    assert made is not None
    await hub.archive.close()
    archive = hub.new()
    await archive.open(("demo", "other"))
    assert archive.directory.named("demo") == made
    assert [one.name for one in await archive.store.rooms.all()] == ["demo", "lobby", "other"]


async def test_what_was_interrupted_is_ended_at_once_and_its_files_repaired_at_work(
    hub: Hub,
) -> None:
    await leave_open(hub, "a", "b")
    archive = hub.new()
    await archive.open(())
    session = await archive.store.sessions.one(SESSION.id)
    assert session is not None
    assert session.end_reason == "interrupted"
    assert {one.state for one in (await recordings(archive)).values()} == {"processing"}
    # Not before there are rooms: opening does not take as long as the films.
    assert (hub.repaired, len(hub.tasks)) == ([], 0)
    archive.start()
    assert len(hub.tasks) == 1
    await hub.drain()
    assert hub.repaired == ["a", "b"]
    done = await recordings(archive)
    assert {(one.state, one.duration, one.size) for one in done.values()} == {("completed", 1.5, 4)}


async def test_where_nothing_was_interrupted_there_is_no_work(hub: Hub) -> None:
    await leave_open(hub)
    archive = hub.new()
    await archive.open(())
    archive.start()
    assert (len(hub.tasks), hub.repaired) == (0, [])


async def test_what_goes_on_in_the_rooms_is_kept_and_sent(hub: Hub) -> None:
    archive = hub.archive
    await archive.open(("demo",))
    rooms = hub.rooms()
    archive.start()
    stored = archive.directory.named("demo")
    assert stored is not None
    stream = await archive.streams.add(stored, URL)
    assert stream is not None
    room = rooms.open(TokenOptions(room_name="demo"))
    member = come_in(room)
    # The room's own stream goes out with the first who is there.
    await until(lambda: archive.broadcasts.states(room))
    session = await archive.store.sessions.one(room.session_id)
    assert session is not None
    assert (session.room_id, session.ended_at) == (stored.id, None)
    going = await archive.store.streams.going_out(stream.id)
    assert going is not None
    assert going.room_session_id == room.session_id
    # It is known of the room that somebody is in it: another stream goes out now.
    assert await archive.streams.add(stored, URL) is not None
    assert len(archive.broadcasts.states(room)) == 2
    room.leave(member)
    await rooms.release(room)
    await hub.drain()
    assert archive.broadcasts.states(room) == []
    session = await archive.store.sessions.one(room.session_id)
    assert session is not None
    assert session.end_reason == "ended"
    events = (await archive.store.events.page(ALL, session_id=room.session_id)).items
    names = [one.name for one in reversed(events)]
    assert (names[0], names[-1]) == ("room.started", "room.ended")
    assert "stream.started" in names
    (person,) = (await archive.store.members.page(room.session_id, ALL)).items
    assert (person.id, person.left_at is None) == (member.id, False)


async def test_what_is_noted_last_is_there_at_the_next_start(hub: Hub) -> None:
    await hub.archive.open(("demo",))
    rooms = hub.rooms()
    hub.archive.start()
    room = rooms.open(TokenOptions(room_name="demo"))
    member = come_in(room)
    room.update_room(meta={"last": True})
    timer = hub.archive.journal._timer
    assert timer is not None
    before = time.time()
    await hub.archive.close()
    # Nobody gives a sign of life any more.
    assert timer.cancelled()
    archive = hub.new()
    await archive.open(())
    events = (await archive.store.events.page(ALL, session_id=room.session_id)).items
    assert events[0].payload["room"]["meta"] == {"last": True}
    (person,) = (await archive.store.members.page(room.session_id, ALL)).items
    assert person.id == member.id
    # It was in the room when the hub ended.
    assert person.left_at is not None
    assert person.left_at <= before


async def test_it_can_be_closed_twice_and_before_it_is_open(hub: Hub) -> None:
    await hub.archive.close()
    await hub.archive.open(())
    await hub.archive.close()
    await hub.archive.close()


def no_tables(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.close()


def no_database(path: Path) -> None:
    path.write_text("nonsense " * 1000)


def a_room_of_another_kind(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        for step in MIGRATIONS:
            connection.executescript(step)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute(
            "INSERT INTO rooms (id, name, options, created_at, updated_at)"
            " VALUES ('r', 'demo', '{\"name\": 7}', 1.0, 1.0)"
        )
    connection.close()


@pytest.mark.parametrize("spoil", [no_tables, no_database, a_room_of_another_kind])
async def test_data_that_cannot_be_used_are_named_and_let_go(
    hub: Hub, spoil: Callable[[Path], None]
) -> None:
    spoil(hub.data / FILE)
    with pytest.raises(DataError) as caught:
        await hub.archive.open(("demo",))
    assert str(hub.data / FILE) in str(caught.value)
    assert "\n" not in str(caught.value)
    await hub.archive.close()
    # Once it is mended the directory can be used, by this process too.
    (hub.data / FILE).unlink()
    await hub.new().open(("demo",))
    assert hub.archive.directory.named("demo") is not None


async def test_a_directory_has_one_archive_at_a_time(hub: Hub) -> None:
    await hub.archive.open(())
    other = Archive(hub.data, hub.tasks, make_stream=Quiet, finish=lambda _: 0.0)
    with pytest.raises(DataError, match="another hub uses the data directory"):
        await other.open(())
    await other.close()
    # It has not taken anything away from the one that is there.
    assert await hub.archive.store.rooms.all() == []
