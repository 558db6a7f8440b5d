"""What outlives the hub's process: rooms, sessions, members, events, recordings and streams.

What is asked for by a client of the HTTP calls is awaited, and on the disk when it is answered.
What a running room has to tell is noted: see `database`.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from appliance.hub.database import Database
from appliance.hub.errors import DataError
from appliance.hub.records import (
    EventRecord,
    MemberRecord,
    Page,
    PageRequest,
    RecordingRecord,
    RoomStream,
    SessionRecord,
    StoredRoom,
    StreamRecord,
)
from appliance.hub.room_options import RoomOptions
from appliance.hub.tokens import blame

__all__ = ["FILE", "Store"]

FILE: Final = "hub.sqlite3"

T = TypeVar("T")

Condition = tuple[str, object]


class Store:
    """The hub's memory, in a data directory. `open` comes first, `close` last."""

    def __init__(self, data: Path) -> None:
        self.database: Final = Database(data / FILE)
        self._data = data

    async def open(self) -> None:
        """Open the database. Raises DataError."""
        await self.database.open()

    async def close(self) -> None:
        """Write what is noted, and close. Safe to call twice."""
        await self.database.close()

    # Rooms

    async def rooms(self) -> list[StoredRoom]:
        """All rooms. Raises DataError when one cannot be understood."""
        rows = await self.database.read(lambda c: c.execute("SELECT * FROM rooms").fetchall())
        try:
            return [_room(row) for row in rows]
        except ValidationError as error:
            raise DataError(
                f"{self.database.path} holds a room that this roomlet cannot read"
                f" ({blame(error)[1]}); restore the file, or move it away for a new one"
            ) from None

    async def add_room(self, room: StoredRoom) -> bool:
        """Keep a new room; False when there is one of that name."""
        return await self._add(
            "INSERT INTO rooms (id, name, options, created_at, updated_at) VALUES (?, ?, ?, ?, ?)",
            (room.id, room.name, _dump(room.options), room.created_at, room.updated_at),
        )

    async def change_room(self, room: StoredRoom) -> bool:
        """Keep a room's new options; False when it is gone."""
        sql = "UPDATE rooms SET options = ?, updated_at = ? WHERE id = ?"
        return await self._affect(sql, (_dump(room.options), room.updated_at, room.id))

    async def delete_room(self, room_id: str) -> bool:
        """Forget a room and its streams, not the sessions that were in it."""
        return await self._affect("DELETE FROM rooms WHERE id = ?", (room_id,))

    async def page_of_rooms(self, page: PageRequest) -> Page[StoredRoom]:
        """The rooms."""
        return await self._page("rooms", _room, page)

    # The streams of a room

    async def add_room_stream(self, stream: RoomStream) -> bool:
        """Keep a new stream of a room; False when the room is gone."""
        columns = "(id, room_id, url, created_at, updated_at)"
        return await self._add(
            f"INSERT INTO room_streams {columns} VALUES (?, ?, ?, ?, ?)",
            (stream.id, stream.room_id, stream.url, stream.created_at, stream.updated_at),
        )

    async def change_room_stream(self, stream: RoomStream) -> bool:
        """Keep a stream's new URL; False when it is gone."""
        sql = "UPDATE room_streams SET url = ?, updated_at = ? WHERE id = ?"
        return await self._affect(sql, (stream.url, stream.updated_at, stream.id))

    async def delete_room_stream(self, stream_id: str) -> bool:
        """Forget a stream of a room; False when it is gone already."""
        return await self._affect("DELETE FROM room_streams WHERE id = ?", (stream_id,))

    async def room_stream(self, stream_id: str) -> RoomStream | None:
        """One stream of a room."""
        return await self._one("room_streams", _room_stream, stream_id)

    async def page_of_room_streams(self, room_id: str, page: PageRequest) -> Page[RoomStream]:
        """The streams of a room."""
        return await self._page("room_streams", _room_stream, page, [("room_id = ?", room_id)])

    async def room_streams(self, room_id: str) -> list[RoomStream]:
        """All streams of a room, in the order in which they were set."""
        sql = "SELECT * FROM room_streams WHERE room_id = ? ORDER BY number"
        rows = await self.database.read(lambda c: c.execute(sql, (room_id,)).fetchall())
        return [_room_stream(row) for row in rows]

    # Sessions

    def session_started(self, session: SessionRecord) -> None:
        """Note that a session has begun."""
        self._note(
            "INSERT INTO room_sessions (id, room_id, name, options, locked, started_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                session.id,
                session.room_id,
                session.options.name,
                _dump(session.options),
                session.locked,
                session.started_at,
                session.updated_at,
            ),
        )

    def session_locked(self, session_id: str, locked: bool, at: float) -> None:
        """Note that a session was locked or unlocked."""
        sql = "UPDATE room_sessions SET locked = ?, updated_at = ? WHERE id = ?"
        self._note(sql, (locked, at, session_id))

    def session_ended(self, session_id: str, at: float) -> None:
        """Note that a session has ended, and with it whoever was in it."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE members SET left_at = ? WHERE room_session_id = ? AND left_at IS NULL",
                (at, session_id),
            )
            connection.execute(
                "UPDATE room_sessions SET ended_at = ?, end_reason = 'ended', updated_at = ?"
                " WHERE id = ?",
                (at, at, session_id),
            )

        self.database.note(work)

    async def session(self, session_id: str) -> SessionRecord | None:
        """One session."""
        return await self._one("room_sessions", _session, session_id)

    async def open_session(self, room_id: str) -> SessionRecord | None:
        """The session that is going on in a room."""
        sql = "SELECT * FROM room_sessions WHERE room_id = ? AND ended_at IS NULL ORDER BY number"
        row = await self.database.read(lambda c: c.execute(sql, (room_id,)).fetchone())
        return None if row is None else _session(row)

    async def page_of_sessions(
        self,
        page: PageRequest,
        *,
        room_id: str | None = None,
        name: str | None = None,
        name_part: str | None = None,
        ended: bool | None = None,
    ) -> Page[SessionRecord]:
        """The sessions that meet every condition that is given."""
        conditions: list[Condition] = []
        if room_id is not None:
            conditions.append(("room_id = ?", room_id))
        if name is not None:
            conditions.append(("name = ?", name))
        if name_part is not None:
            conditions.append(("instr(name, ?) > 0", name_part))
        if ended is not None:
            conditions.append(("(ended_at IS NOT NULL) = ?", ended))
        return await self._page("room_sessions", _session, page, conditions)

    # What happens in a session

    def member_joined(self, member: MemberRecord) -> None:
        """Note that somebody has joined."""
        self._note(
            "INSERT INTO members (id, room_session_id, name, type, parent_id, joined_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                member.id,
                member.room_session_id,
                member.name,
                member.type,
                member.parent_id,
                member.joined_at,
            ),
        )

    def member_became(self, member_id: str, kind: str) -> None:
        """Note that somebody takes part in another way from now on."""
        self._note("UPDATE members SET type = ? WHERE id = ?", (kind, member_id))

    def member_left(self, member_id: str, at: float) -> None:
        """Note that somebody has left."""
        self._note("UPDATE members SET left_at = ? WHERE id = ?", (at, member_id))

    async def page_of_members(self, session_id: str, page: PageRequest) -> Page[MemberRecord]:
        """Who took part in a session."""
        return await self._page("members", _member, page, [("room_session_id = ?", session_id)])

    def event(self, event: EventRecord) -> None:
        """Note that something has happened."""
        self._note(
            "INSERT INTO events (id, room_session_id, member_id, recording_id, level, name,"
            " payload, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                event.id,
                event.room_session_id,
                event.member_id,
                event.recording_id,
                event.level,
                event.name,
                json.dumps(event.payload),
                event.created_at,
            ),
        )

    async def page_of_events(
        self, page: PageRequest, *, session_id: str | None = None, recording_id: str | None = None
    ) -> Page[EventRecord]:
        """What happened in a session, or to a recording."""
        conditions: list[Condition] = []
        if session_id is not None:
            conditions.append(("room_session_id = ?", session_id))
        if recording_id is not None:
            conditions.append(("recording_id = ?", recording_id))
        return await self._page("events", _event, page, conditions)

    # Recordings

    def recording_changed(self, recording: RecordingRecord) -> None:
        """Note what a recording is now; a new id is a new recording."""
        path = recording.path
        if path.is_relative_to(self._data):
            # So that the data directory can be moved.
            path = path.relative_to(self._data)
        self._note_whole("recordings", {**_fields(recording), "path": str(path)})

    async def recording(self, recording_id: str) -> RecordingRecord | None:
        """One recording."""
        return await self._one("recordings", self._recording, recording_id)

    async def page_of_recordings(
        self, page: PageRequest, *, session_id: str | None = None
    ) -> Page[RecordingRecord]:
        """All recordings, or those of a session."""
        conditions = [] if session_id is None else [("room_session_id = ?", session_id)]
        return await self._page("recordings", self._recording, page, conditions)

    async def delete_recording(self, recording_id: str) -> bool:
        """Forget a recording; its file is its caller's part."""
        return await self._affect("DELETE FROM recordings WHERE id = ?", (recording_id,))

    # Streams

    def stream_changed(self, stream: StreamRecord) -> None:
        """Note what a stream is now; a new id is a new stream."""
        self._note_whole("streams", _fields(stream))

    async def stream(self, stream_id: str) -> StreamRecord | None:
        """One stream of a session."""
        return await self._one("streams", _stream, stream_id)

    async def page_of_streams(self, session_id: str, page: PageRequest) -> Page[StreamRecord]:
        """The streams that go out of a session, or went."""
        return await self._page("streams", _stream, page, [("room_session_id = ?", session_id)])

    async def going_out(self, room_stream_id: str) -> StreamRecord | None:
        """What goes out of a session just now by a stream of its room."""
        sql = (
            "SELECT * FROM streams WHERE room_stream_id = ? AND state = 'streaming'"
            " ORDER BY number DESC"
        )
        row = await self.database.read(lambda c: c.execute(sql, (room_stream_id,)).fetchone())
        return None if row is None else _stream(row)

    async def delete_stream(self, stream_id: str) -> bool:
        """Forget a stream of a session; False when it is gone already."""
        return await self._affect("DELETE FROM streams WHERE id = ?", (stream_id,))

    # The life of the process

    def alive(self, at: float) -> None:
        """Note a sign of life: the end, as it is told later, of what a crash interrupts."""
        self._note("UPDATE hub SET alive_at = ?", (at,))

    async def recover(self) -> list[RecordingRecord]:
        """End what an earlier process of the hub has left open.

        Its sessions, members and streams end with the last sign of life that there is of them,
        as interrupted. Its recordings are left ``processing``, and returned: their files are to
        be finished.
        """

        def work(connection: sqlite3.Connection) -> list[RecordingRecord]:
            connection.execute(_LAST_SIGNS)
            for step in _INTERRUPT:
                connection.execute(step)
            connection.execute("DROP TABLE last_signs")
            sql = "SELECT * FROM recordings WHERE state = 'processing' ORDER BY number"
            return [self._recording(row) for row in connection.execute(sql)]

        return await self.database.change(work)

    def _recording(self, row: sqlite3.Row) -> RecordingRecord:
        return RecordingRecord(**_columns(row, "path"), path=self._data / row["path"])

    # SQL

    async def _add(self, sql: str, values: Sequence[object]) -> bool:
        def work(connection: sqlite3.Connection) -> bool:
            try:
                connection.execute(sql, values)
            except sqlite3.IntegrityError:
                return False
            return True

        return await self.database.change(work)

    async def _affect(self, sql: str, values: Sequence[object]) -> bool:
        return await self.database.change(lambda c: c.execute(sql, values).rowcount > 0)

    def _note(self, sql: str, values: Sequence[object]) -> None:
        self.database.note(lambda c: c.execute(sql, values))

    def _note_whole(self, table: str, values: dict[str, object]) -> None:
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        news = ", ".join(f"{name} = excluded.{name}" for name in values)
        sql = (
            f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {news}"
        )
        self._note(sql, tuple(values.values()))

    async def _one(self, table: str, make: Callable[[sqlite3.Row], T], identifier: str) -> T | None:
        sql = f"SELECT * FROM {table} WHERE id = ?"
        row = await self.database.read(lambda c: c.execute(sql, (identifier,)).fetchone())
        return None if row is None else make(row)

    async def _page(
        self,
        table: str,
        make: Callable[[sqlite3.Row], T],
        page: PageRequest,
        conditions: Sequence[Condition] = (),
    ) -> Page[T]:
        where = " AND ".join(["number <= ?", *(text for text, _ in conditions)])
        # One row more tells whether there is another page.
        sql = f"SELECT * FROM {table} WHERE {where} ORDER BY number DESC LIMIT ? OFFSET ?"

        def work(connection: sqlite3.Connection) -> Page[T]:
            anchor = page.anchor
            if anchor is None:
                newest = f"SELECT coalesce(max(number), 0) FROM {table}"
                (anchor,) = connection.execute(newest).fetchone()
            values = [anchor, *(value for _, value in conditions)]
            rows = connection.execute(sql, [*values, page.size + 1, page.number * page.size])
            found = [make(row) for row in rows]
            return Page(found[: page.size], anchor, len(found) > page.size)

        return await self.database.read(work)


#: The last time that is known of each session that nobody has ended.
_LAST_SIGNS: Final = """
    CREATE TEMP TABLE last_signs AS
    SELECT id AS session_id, max(
        updated_at,
        (SELECT alive_at FROM hub),
        coalesce((SELECT max(created_at) FROM events WHERE room_session_id = room_sessions.id), 0.0)
    ) AS at
    FROM room_sessions WHERE ended_at IS NULL
"""

_INTERRUPT: Final = (
    """
    UPDATE room_sessions SET ended_at = last_signs.at, end_reason = 'interrupted',
        updated_at = last_signs.at
    FROM last_signs WHERE id = session_id
    """,
    """
    UPDATE members SET left_at = max(joined_at, ended_at) FROM room_sessions
    WHERE room_session_id = room_sessions.id AND left_at IS NULL
    """,
    # Also in a session that has ended in good order: their ends may have taken too long.
    """
    UPDATE streams SET state = 'completed', error = 'the hub was interrupted',
        ended_at = max(streams.started_at, room_sessions.ended_at),
        duration = max(0.0, room_sessions.ended_at - streams.started_at),
        updated_at = max(streams.started_at, room_sessions.ended_at)
    FROM room_sessions WHERE room_session_id = room_sessions.id AND state != 'completed'
    """,
    """
    UPDATE recordings SET state = 'processing',
        updated_at = max(recordings.started_at, room_sessions.ended_at)
    FROM room_sessions WHERE room_session_id = room_sessions.id
        AND state NOT IN ('processing', 'completed')
    """,
)


def _dump(options: RoomOptions) -> str:
    return options.model_dump_json(exclude_defaults=True)


def _fields(record: RecordingRecord | StreamRecord) -> dict[str, object]:
    return {one.name: getattr(record, one.name) for one in dataclasses.fields(record)}


def _columns(row: sqlite3.Row, *without: str) -> dict[str, Any]:
    left_out = {"number", *without}
    return {name: row[name] for name in row.keys() if name not in left_out}  # noqa: SIM118


def _options(row: sqlite3.Row) -> RoomOptions:
    return RoomOptions.model_validate_json(row["options"])


def _room(row: sqlite3.Row) -> StoredRoom:
    return StoredRoom(**_columns(row, "name", "options"), options=_options(row))


def _room_stream(row: sqlite3.Row) -> RoomStream:
    return RoomStream(**_columns(row))


def _session(row: sqlite3.Row) -> SessionRecord:
    fields = _columns(row, "name", "options", "locked")
    return SessionRecord(**fields, options=_options(row), locked=bool(row["locked"]))


def _member(row: sqlite3.Row) -> MemberRecord:
    return MemberRecord(**_columns(row))


def _event(row: sqlite3.Row) -> EventRecord:
    return EventRecord(**_columns(row, "payload"), payload=json.loads(row["payload"]))


def _stream(row: sqlite3.Row) -> StreamRecord:
    return StreamRecord(**_columns(row))
