"""What outlives the hub's process: rooms, sessions, members, events, recordings and streams.

What is asked for by a client of the HTTP calls is awaited, and on the disk when it is answered.
What a running room has to tell is noted: see `database`.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from appliance.hub.database import Database
from appliance.hub.programme_tables import RecordingTable, StreamTable
from appliance.hub.records import RecordingRecord
from appliance.hub.room_tables import RoomStreamTable, RoomTable
from appliance.hub.session_tables import EventTable, MemberTable, SessionTable

__all__ = ["FILE", "Store"]

FILE: Final = "hub.sqlite3"

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


class Store:
    """The hub's memory, in a data directory: a table for each kind of record. `open` comes first,
    `close` last."""

    def __init__(self, data: Path) -> None:
        self.database: Final = Database(data / FILE)
        self.rooms: Final = RoomTable(self.database)
        self.room_streams: Final = RoomStreamTable(self.database)
        self.sessions: Final = SessionTable(self.database)
        self.members: Final = MemberTable(self.database)
        self.events: Final = EventTable(self.database)
        self.recordings: Final = RecordingTable(self.database, data)
        self.streams: Final = StreamTable(self.database)

    async def open(self) -> None:
        """Open the database. Raises DataError."""
        await self.database.open()

    async def close(self) -> None:
        """Write what is noted, and close. Safe to call twice."""
        await self.database.close()

    def alive(self, at: float) -> None:
        """Note a sign of life: the end, as it is told later, of what a crash interrupts."""
        self.database.note(lambda c: c.execute("UPDATE hub SET alive_at = ?", (at,)))

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
            return [self.recordings.read(row) for row in connection.execute(sql)]

        return await self.database.change(work)
