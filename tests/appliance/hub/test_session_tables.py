"""Sessions come back with all that happened in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from appliance.hub.records import (
    EventRecord,
    MemberRecord,
    SessionRecord,
)
from appliance.hub.room_options import RoomOptions
from appliance.hub.store import Store
from tests.appliance.hub.stored import ALL, RECORDING, SESSION, STREAM


async def test_a_session_and_all_that_happened_in_it(store: Store, tmp_path: Path) -> None:
    member = MemberRecord("m", "s", "Oak", "member", 10.0)
    event = EventRecord("e", "s", "member.joined", {"x": ["ü", None]}, 10.0, member_id="m")
    store.sessions.started(SESSION)
    store.members.joined(member)
    store.events.happened(event)
    store.recordings.changed(RECORDING)
    store.streams.changed(STREAM)
    store.sessions.locked("s", True, 11.0)
    assert await store.sessions.one("s") == replace(SESSION, locked=True, updated_at=11.0)
    assert await store.sessions.open_in("r") is not None
    store.members.left("m", 20.0)
    store.members.joined(replace(member, id="n"))
    store.sessions.ended("s", 30.0)
    session = await store.sessions.one("s")
    assert session is not None
    assert (session.ended_at, session.end_reason) == (30.0, "ended")
    assert await store.sessions.open_in("r") is None
    members = (await store.members.page("s", ALL)).items
    # Who is there to the end leaves with it.
    assert [(one.id, one.left_at) for one in members] == [("n", 30.0), ("m", 20.0)]
    assert (await store.events.page(ALL, session_id="s")).items == [event]
    assert (await store.events.page(ALL, recording_id="rec")).items == []
    assert await store.recordings.one("rec") == replace(RECORDING, path=tmp_path / "film.mp4")
    assert (await store.streams.page("s", ALL)).items == [STREAM]


async def test_sessions_by_their_qualities(store: Store) -> None:
    for number, name in enumerate(["oak", "elm", "oak-2"]):
        room_id = None if name == "elm" else name
        options = RoomOptions(name=name)
        store.sessions.started(SessionRecord(f"s{number}", room_id, options, 1.0, 1.0))
    store.sessions.ended("s2", 5.0)

    async def found(**conditions: object) -> list[str]:
        page = await store.sessions.page(ALL, **conditions)  # type: ignore[arg-type]
        return [session.id for session in page.items]

    assert await found() == ["s2", "s1", "s0"]
    assert await found(name="oak") == ["s0"]
    assert await found(name_part="oak") == ["s2", "s0"]
    assert await found(name_part="%") == []
    assert await found(room_id="oak") == ["s0"]
    assert await found(ended=True) == ["s2"]
    assert await found(ended=False, name_part="a") == ["s0"]
    assert await found(name="' OR 1=1 --") == []
