"""What goes out of the sessions, recordings and streams, as the store keeps them."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path

from appliance.hub.database import Database
from appliance.hub.records import Page, PageRequest, RecordingRecord, StreamRecord
from appliance.hub.table import Table, columns

__all__ = ["RecordingTable", "StreamTable"]


class RecordingTable(Table[RecordingRecord]):
    """The recordings. Their files, mostly below the data directory, are their callers' part."""

    def __init__(self, database: Database, data: Path) -> None:
        super().__init__(database, "recordings", self.read)
        self._data = data

    def read(self, row: sqlite3.Row) -> RecordingRecord:
        """The recording in a row."""
        return RecordingRecord(**columns(row, "path"), path=self._data / row["path"])

    def changed(self, recording: RecordingRecord) -> None:
        """Note what a recording is now; a new id is a new recording."""
        path = recording.path
        if path.is_relative_to(self._data):
            # So that the data directory can be moved.
            path = path.relative_to(self._data)
        self._note_whole({**_fields(recording), "path": str(path)})

    async def page(
        self, page: PageRequest, *, session_id: str | None = None
    ) -> Page[RecordingRecord]:
        """All recordings, or those of a session, page by page."""
        return await self._page(
            page, [] if session_id is None else [("room_session_id = ?", session_id)]
        )


class StreamTable(Table[StreamRecord]):
    """The streams that go out of sessions, or went."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, "streams", lambda row: StreamRecord(**columns(row)))

    def changed(self, stream: StreamRecord) -> None:
        """Note what a stream is now; a new id is a new stream."""
        self._note_whole(_fields(stream))

    async def page(self, session_id: str, page: PageRequest) -> Page[StreamRecord]:
        """The streams of a session, page by page."""
        return await self._page(page, [("room_session_id = ?", session_id)])

    async def going_out(self, room_stream_id: str) -> StreamRecord | None:
        """What goes out of a session just now by a stream of its room."""
        condition = "state = 'streaming' AND room_stream_id = ?"
        return await self._first(condition, room_stream_id, "number DESC")


def _fields(record: RecordingRecord | StreamRecord) -> dict[str, object]:
    return {one.name: getattr(record, one.name) for one in dataclasses.fields(record)}
