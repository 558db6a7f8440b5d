"""The sessions, who took part in them and what happened there, as the store keeps them."""

from __future__ import annotations

import json
import sqlite3

from appliance.hub.database import Database
from appliance.hub.records import EventRecord, MemberRecord, Page, PageRequest, SessionRecord
from appliance.hub.room_tables import dump_options, load_options
from appliance.hub.table import Condition, Table, columns

__all__ = ["EventTable", "MemberTable", "SessionTable"]


class SessionTable(Table[SessionRecord]):
    """The sessions: each is one meeting, from the first who joined to the last who left."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, "room_sessions", _session)

    def started(self, session: SessionRecord) -> None:
        """Note that a session has begun."""
        self._note(
            {
                "id": session.id,
                "room_id": session.room_id,
                "name": session.options.name,
                "options": dump_options(session.options),
                "locked": session.locked,
                "started_at": session.started_at,
                "updated_at": session.updated_at,
            }
        )

    def locked(self, session_id: str, locked: bool, at: float) -> None:
        """Note that a session was locked or unlocked."""
        self._note_change(session_id, {"locked": locked, "updated_at": at})

    def ended(self, session_id: str, at: float) -> None:
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

        self._database.note(work)

    async def open_in(self, room_id: str) -> SessionRecord | None:
        """The session that is going on in a room."""
        return await self._first("ended_at IS NULL AND room_id = ?", room_id)

    async def page(
        self,
        page: PageRequest,
        *,
        room_id: str | None = None,
        name: str | None = None,
        name_part: str | None = None,
        ended: bool | None = None,
    ) -> Page[SessionRecord]:
        """The sessions that meet every condition that is given, page by page."""
        conditions: list[Condition] = []
        if room_id is not None:
            conditions.append(("room_id = ?", room_id))
        if name is not None:
            conditions.append(("name = ?", name))
        if name_part is not None:
            conditions.append(("instr(name, ?) > 0", name_part))
        if ended is not None:
            conditions.append(("(ended_at IS NOT NULL) = ?", ended))
        return await self._page(page, conditions)


class MemberTable(Table[MemberRecord]):
    """Who took part."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, "members", lambda row: MemberRecord(**columns(row)))

    def joined(self, member: MemberRecord) -> None:
        """Note that somebody has joined."""
        self._note(
            {
                "id": member.id,
                "room_session_id": member.room_session_id,
                "name": member.name,
                "type": member.type,
                "parent_id": member.parent_id,
                "joined_at": member.joined_at,
            }
        )

    def became(self, member_id: str, kind: str) -> None:
        """Note that somebody takes part in another way from now on."""
        self._note_change(member_id, {"type": kind})

    def left(self, member_id: str, at: float) -> None:
        """Note that somebody has left."""
        self._note_change(member_id, {"left_at": at})

    async def page(self, session_id: str, page: PageRequest) -> Page[MemberRecord]:
        """Who took part in a session, page by page."""
        return await self._page(page, [("room_session_id = ?", session_id)])


class EventTable(Table[EventRecord]):
    """What happened."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, "events", _event)

    def happened(self, event: EventRecord) -> None:
        """Note that something has happened."""
        self._note(
            {
                "id": event.id,
                "room_session_id": event.room_session_id,
                "member_id": event.member_id,
                "recording_id": event.recording_id,
                "level": event.level,
                "name": event.name,
                "payload": json.dumps(event.payload),
                "created_at": event.created_at,
            }
        )

    async def page(
        self, page: PageRequest, *, session_id: str | None = None, recording_id: str | None = None
    ) -> Page[EventRecord]:
        """What happened in a session, or to a recording, page by page."""
        conditions: list[Condition] = []
        if session_id is not None:
            conditions.append(("room_session_id = ?", session_id))
        if recording_id is not None:
            conditions.append(("recording_id = ?", recording_id))
        return await self._page(page, conditions)


def _session(row: sqlite3.Row) -> SessionRecord:
    fields = columns(row, "name", "options", "locked")
    return SessionRecord(**fields, options=load_options(row), locked=bool(row["locked"]))


def _event(row: sqlite3.Row) -> EventRecord:
    return EventRecord(**columns(row, "payload"), payload=json.loads(row["payload"]))
