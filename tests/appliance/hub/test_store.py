"""What is kept comes back as it was, page by page, and what was interrupted gets an end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.hub.errors import DataError
from appliance.hub.records import (
    EventRecord,
    MemberRecord,
    PageRequest,
    RecordingRecord,
    RoomStream,
    SessionRecord,
    StoredRoom,
    StreamRecord,
)
from appliance.hub.room_options import RoomOptions
from appliance.hub.store import FILE, Store

ALL = PageRequest(size=1000)

OPTIONS = RoomOptions(
    name="demo",
    display_name="Demo ☃",
    max_members=7,
    quality="1080p",
    fps=20,
    join_from=datetime(2030, 1, 1, tzinfo=UTC),
    layout="5up",
    record_on_start=True,
    meta={"a": [1, {"b": None}]},
)

SESSION = SessionRecord("s", "r", OPTIONS, 10.0, 10.0)
RECORDING = RecordingRecord("rec", "s", "recording", Path("film.mp4"), 11.0, 11.0)
STREAM = StreamRecord("st", "s", None, "rtmp://127.0.0.1/key", "streaming", 12.0, 12.0)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(tmp_path)
    await store.open()
    yield store
    await store.close()


async def test_rooms(store: Store) -> None:
    room = StoredRoom("r", OPTIONS, 1.0, 1.0)
    assert await store.add_room(room)
    assert not await store.add_room(replace(room, id="other"))
    assert await store.rooms() == [room]
    changed = replace(room, options=RoomOptions(name="demo", fps=30), updated_at=2.0)
    assert await store.change_room(changed)
    assert await store.rooms() == [changed]
    assert await store.delete_room("r")
    assert not await store.delete_room("r")
    assert not await store.change_room(changed)
    assert await store.rooms() == []


async def test_streams_go_with_their_room(store: Store) -> None:
    stream = RoomStream("x", "r", "rtmp://127.0.0.1/a", 1.0, 1.0)
    assert not await store.add_room_stream(stream)
    await store.add_room(StoredRoom("r", OPTIONS, 1.0, 1.0))
    assert await store.add_room_stream(stream)
    changed = replace(stream, url="rtmp://127.0.0.1/b", updated_at=2.0)
    assert await store.change_room_stream(changed)
    assert await store.room_stream("x") == changed
    assert await store.room_streams("r") == [changed]
    await store.delete_room("r")
    assert await store.room_stream("x") is None
    assert not await store.delete_room_stream("x")


async def test_a_session_and_all_that_happened_in_it(store: Store) -> None:
    member = MemberRecord("m", "s", "Oak", "member", 10.0)
    event = EventRecord("e", "s", "member.joined", {"x": ["ü", None]}, 10.0, member_id="m")
    store.session_started(SESSION)
    store.member_joined(member)
    store.event(event)
    store.recording_changed(RECORDING)
    store.stream_changed(STREAM)
    store.session_locked("s", True, 11.0)
    assert await store.session("s") == replace(SESSION, locked=True, updated_at=11.0)
    assert await store.open_session("r") is not None
    store.member_left("m", 20.0)
    store.member_joined(replace(member, id="n"))
    store.session_ended("s", 30.0)
    session = await store.session("s")
    assert session is not None
    assert (session.ended_at, session.end_reason) == (30.0, "ended")
    assert await store.open_session("r") is None
    members = (await store.page_of_members("s", ALL)).items
    # Who is there to the end leaves with it.
    assert [(one.id, one.left_at) for one in members] == [("n", 30.0), ("m", 20.0)]
    assert (await store.page_of_events(ALL, session_id="s")).items == [event]
    assert (await store.page_of_events(ALL, recording_id="rec")).items == []
    assert await store.recording("rec") == replace(RECORDING, path=store._data / "film.mp4")
    assert (await store.page_of_streams("s", ALL)).items == [STREAM]


async def test_recordings_follow_the_data_directory(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    store = Store(old)
    await store.open()
    store.session_started(SESSION)
    store.recording_changed(replace(RECORDING, path=old / "films" / "a.mp4"))
    store.recording_changed(replace(RECORDING, id="far", path=Path("/elsewhere/b.mp4")))
    await store.close()
    old.rename(new)
    store = Store(new)
    await store.open()
    paths = [one.path for one in (await store.page_of_recordings(ALL)).items]
    assert paths == [Path("/elsewhere/b.mp4"), new / "films" / "a.mp4"]
    await store.close()


async def test_pages_stand_still_while_the_list_grows(store: Store) -> None:
    async def add(number: int) -> None:
        options = RoomOptions(name=f"room-{number}")
        await store.add_room(StoredRoom(f"id-{number}", options, 1.0, 1.0))

    for number in range(10):
        await add(number)
    seen: list[str] = []
    page = await store.page_of_rooms(PageRequest(size=4))
    anchor = page.anchor
    for number in range(1, 10):
        seen += [room.id for room in page.items]
        if not page.more:
            break
        await add(100 + number)
        page = await store.page_of_rooms(PageRequest(number, 4, anchor))
    assert seen == [f"id-{number}" for number in reversed(range(10))]
    assert len((await store.page_of_rooms(ALL)).items) == 12
    assert (await store.page_of_rooms(PageRequest(99, 1000))).items == []


async def test_sessions_by_their_qualities(store: Store) -> None:
    for number, name in enumerate(["oak", "elm", "oak-2"]):
        room_id = None if name == "elm" else name
        options = RoomOptions(name=name)
        store.session_started(SessionRecord(f"s{number}", room_id, options, 1.0, 1.0))
    store.session_ended("s2", 5.0)

    async def found(**conditions: object) -> list[str]:
        page = await store.page_of_sessions(ALL, **conditions)  # type: ignore[arg-type]
        return [session.id for session in page.items]

    assert await found() == ["s2", "s1", "s0"]
    assert await found(name="oak") == ["s0"]
    assert await found(name_part="oak") == ["s2", "s0"]
    assert await found(name_part="%") == []
    assert await found(room_id="oak") == ["s0"]
    assert await found(ended=True) == ["s2"]
    assert await found(ended=False, name_part="a") == ["s0"]
    assert await found(name="' OR 1=1 --") == []


async def test_what_was_interrupted_gets_an_end(store: Store) -> None:
    store.session_started(SESSION)
    store.member_joined(MemberRecord("m", "s", "Oak", "member", 10.0))
    store.recording_changed(RECORDING)
    store.recording_changed(
        replace(RECORDING, id="whole", state="completed", ended_at=12.0, duration=1.0)
    )
    store.stream_changed(STREAM)
    store.alive(40.0)
    store.session_started(replace(SESSION, id="young", started_at=50.0, updated_at=50.0))
    store.session_started(replace(SESSION, id="past"))
    store.session_ended("past", 15.0)
    unfinished = await store.recover()
    assert [(one.id, one.state) for one in unfinished] == [("rec", "processing")]
    session = await store.session("s")
    assert session is not None
    assert (session.ended_at, session.end_reason) == (40.0, "interrupted")
    young, past = await store.session("young"), await store.session("past")
    assert young is not None
    assert past is not None
    assert (young.ended_at, young.end_reason) == (50.0, "interrupted")
    assert (past.ended_at, past.end_reason) == (15.0, "ended")
    (member,) = (await store.page_of_members("s", ALL)).items
    assert member.left_at == 40.0
    (stream,) = (await store.page_of_streams("s", ALL)).items
    assert (stream.state, stream.ended_at, stream.duration) == ("completed", 40.0, 28.0)
    assert stream.error == "the hub was interrupted"
    whole = await store.recording("whole")
    assert whole is not None
    assert (whole.state, whole.error) == ("completed", None)
    # A hub that is interrupted again before it has finished them tries once more.
    assert [one.id for one in await store.recover()] == ["rec"]


async def test_what_a_session_has_left_open_gets_an_end_too(store: Store) -> None:
    store.session_started(SESSION)
    store.recording_changed(RECORDING)
    store.stream_changed(STREAM)
    store.session_ended("s", 30.0)
    (unfinished,) = await store.recover()
    assert (unfinished.state, unfinished.updated_at) == ("processing", 30.0)
    stream = await store.stream("st")
    assert stream is not None
    assert (stream.state, stream.ended_at) == ("completed", 30.0)
    session = await store.session("s")
    assert session is not None
    assert session.end_reason == "ended"


async def test_a_later_event_is_a_sign_of_life(store: Store) -> None:
    store.session_started(SESSION)
    store.event(EventRecord("e", "s", "room.updated", {}, 60.0))
    store.alive(40.0)
    await store.recover()
    session = await store.session("s")
    assert session is not None
    assert session.ended_at == 60.0


async def test_no_url_of_a_stream_is_shown_by_accident() -> None:
    assert "key" not in repr(STREAM)
    assert "key" not in repr(RoomStream("x", "r", "rtmp://127.0.0.1/key", 1.0, 1.0))


async def test_a_room_that_cannot_be_read(store: Store) -> None:
    await store.add_room(StoredRoom("r", OPTIONS, 1.0, 1.0))
    await store.database.change(
        lambda c: c.execute("""UPDATE rooms SET options = '{"name": "demo", "fps": 7}'""")
    )
    with pytest.raises(DataError, match=rf"{FILE} holds a room .*fps") as caught:
        await store.rooms()
    assert "\n" not in str(caught.value)
