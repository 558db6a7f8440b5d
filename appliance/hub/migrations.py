"""The hub's tables, as a row of steps: each brings a database of one version to the next.

The version of a database stands in its ``user_version``. A step, once released, is never changed;
what has to be otherwise comes as a new one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from appliance.hub.errors import DataError

__all__ = ["MIGRATIONS", "migrate"]

#: Times are seconds of the epoch. `number` counts rows in the order of their coming: lists are
#: paged by it.
MIGRATIONS: Final[tuple[str, ...]] = (
    """
    CREATE TABLE hub (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        alive_at REAL NOT NULL
    ) STRICT;
    INSERT INTO hub VALUES (1, 0.0);

    CREATE TABLE rooms (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL UNIQUE,
        options TEXT NOT NULL,
        created_at REAL NOT NULL,
        updated_at REAL NOT NULL
    ) STRICT;

    CREATE TABLE room_streams (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
        url TEXT NOT NULL,
        created_at REAL NOT NULL,
        updated_at REAL NOT NULL
    ) STRICT;
    CREATE INDEX room_streams_by_room ON room_streams (room_id, number);

    -- The room of a session may be gone, or never have been one that lasts.
    CREATE TABLE room_sessions (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        room_id TEXT,
        name TEXT NOT NULL,
        options TEXT NOT NULL,
        locked INTEGER NOT NULL,
        started_at REAL NOT NULL,
        ended_at REAL,
        end_reason TEXT,
        updated_at REAL NOT NULL
    ) STRICT;
    CREATE INDEX room_sessions_by_room ON room_sessions (room_id, number);
    CREATE INDEX room_sessions_by_name ON room_sessions (name, number);
    CREATE INDEX room_sessions_open ON room_sessions (id) WHERE ended_at IS NULL;

    CREATE TABLE members (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        room_session_id TEXT NOT NULL REFERENCES room_sessions (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        type TEXT NOT NULL,
        parent_id TEXT,
        joined_at REAL NOT NULL,
        left_at REAL
    ) STRICT;
    CREATE INDEX members_by_session ON members (room_session_id, number);

    CREATE TABLE events (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        room_session_id TEXT NOT NULL REFERENCES room_sessions (id) ON DELETE CASCADE,
        member_id TEXT,
        recording_id TEXT,
        level TEXT NOT NULL,
        name TEXT NOT NULL,
        payload TEXT NOT NULL,
        created_at REAL NOT NULL
    ) STRICT;
    CREATE INDEX events_by_session ON events (room_session_id, number);

    CREATE TABLE recordings (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        room_session_id TEXT NOT NULL REFERENCES room_sessions (id) ON DELETE CASCADE,
        state TEXT NOT NULL,
        path TEXT NOT NULL,
        started_at REAL NOT NULL,
        ended_at REAL,
        duration REAL,
        size INTEGER,
        error TEXT,
        updated_at REAL NOT NULL
    ) STRICT;
    CREATE INDEX recordings_by_session ON recordings (room_session_id, number);

    CREATE TABLE streams (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        room_session_id TEXT NOT NULL REFERENCES room_sessions (id) ON DELETE CASCADE,
        room_stream_id TEXT,
        url TEXT NOT NULL,
        state TEXT NOT NULL,
        started_at REAL NOT NULL,
        ended_at REAL,
        duration REAL,
        error TEXT,
        updated_at REAL NOT NULL
    ) STRICT;
    CREATE INDEX streams_by_session ON streams (room_session_id, number);
    CREATE INDEX streams_by_room_stream ON streams (room_stream_id, number);
    """,
)


def migrate(connection: sqlite3.Connection, path: Path, steps: Sequence[str] = MIGRATIONS) -> None:
    """Bring a database to the newest version, each step whole or not at all.

    Raises DataError when it is of a newer version than this hub knows, and sqlite3.Error.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(steps):
        raise DataError(
            f"{path} was written by a newer roomlet (version {version} of its tables, this one"
            f" knows {len(steps)}); install that roomlet, or choose another directory with --data"
        )
    for number, step in enumerate(steps[version:], version + 1):
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {step}; PRAGMA user_version = {number};")
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
