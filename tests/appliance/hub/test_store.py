"""What was interrupted gets an end."""

from __future__ import annotations

from dataclasses import replace

from appliance.hub.records import (
    EventRecord,
    MemberRecord,
)
from appliance.hub.store import Store
from tests.appliance.hub.stored import ALL, RECORDING, SESSION, STREAM


async def test_what_was_interrupted_gets_an_end(store: Store) -> None:
    store.sessions.started(SESSION)
    store.members.joined(MemberRecord("m", "s", "Oak", "member", 10.0))
    store.recordings.changed(RECORDING)
    store.recordings.changed(
        replace(RECORDING, id="whole", state="completed", ended_at=12.0, duration=1.0)
    )
    store.streams.changed(STREAM)
    store.alive(40.0)
    store.sessions.started(replace(SESSION, id="young", started_at=50.0, updated_at=50.0))
    store.sessions.started(replace(SESSION, id="past"))
    store.sessions.ended("past", 15.0)
    unfinished = await store.recover()
    assert [(one.id, one.state) for one in unfinished] == [("rec", "processing")]
    session = await store.sessions.one("s")
    assert session is not None
    assert (session.ended_at, session.end_reason) == (40.0, "interrupted")
    young, past = await store.sessions.one("young"), await store.sessions.one("past")
    assert young is not None
    assert past is not None
    assert (young.ended_at, young.end_reason) == (50.0, "interrupted")
    assert (past.ended_at, past.end_reason) == (15.0, "ended")
    (member,) = (await store.members.page("s", ALL)).items
    assert member.left_at == 40.0
    (stream,) = (await store.streams.page("s", ALL)).items
    assert (stream.state, stream.ended_at, stream.duration) == ("completed", 40.0, 28.0)
    assert stream.error == "the hub was interrupted"
    whole = await store.recordings.one("whole")
    assert whole is not None
    assert (whole.state, whole.error) == ("completed", None)
    # A hub that is interrupted again before it has finished them tries once more.
    assert [one.id for one in await store.recover()] == ["rec"]


async def test_what_a_session_has_left_open_gets_an_end_too(store: Store) -> None:
    store.sessions.started(SESSION)
    store.recordings.changed(RECORDING)
    store.streams.changed(STREAM)
    store.sessions.ended("s", 30.0)
    (unfinished,) = await store.recover()
    assert (unfinished.state, unfinished.updated_at) == ("processing", 30.0)
    stream = await store.streams.one("st")
    assert stream is not None
    assert (stream.state, stream.ended_at) == ("completed", 30.0)
    session = await store.sessions.one("s")
    assert session is not None
    assert session.end_reason == "ended"


async def test_a_later_event_is_a_sign_of_life(store: Store) -> None:
    store.sessions.started(SESSION)
    store.events.happened(EventRecord("e", "s", "room.updated", {}, 60.0))
    store.alive(40.0)
    await store.recover()
    session = await store.sessions.one("s")
    assert session is not None
    assert session.ended_at == 60.0
