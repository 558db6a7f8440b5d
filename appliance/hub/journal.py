"""What is kept of a meeting while it goes on: its begin and end, who was there, what happened."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from appliance.hub.members import Member
from appliance.hub.observers import RoomObserver
from appliance.hub.records import (
    EventRecord,
    Level,
    MemberRecord,
    RecordingRecord,
    RecordingState,
    SessionRecord,
    StreamRecord,
    StreamState,
)
from appliance.hub.room import Room
from appliance.hub.store import Store

__all__ = ["EVENTS_MAX", "Journal"]

log = logging.getLogger(__name__)

EVENTS_MAX: Final = 10_000
"""Events that are kept of one session: no client fills the disk by muting for days."""

ALIVE_PERIOD: Final = 30.0
"""Seconds between signs of life. So much a session is told too short after a crash."""

#: Events that tell of the moment only.
_PASSING: Final = frozenset(
    {
        "video.layout.changed",
        "video.member.talking",
        "video.room.audience_count",
        # The journal knows of the end by itself, and of each one.
        "video.room.ended",
    }
)


class Journal(RoomObserver):
    """Notes in the store what the rooms tell. Lives on the loop; never waits, never fails."""

    def __init__(self, store: Store) -> None:
        self._store = store
        #: The sessions that go on, and how many events are kept of each.
        self._events: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None

    def began(self, room: Room) -> None:
        """The session begins."""
        now = time.time()
        self._events[room.session_id] = 0
        self._store.sessions.started(
            SessionRecord(
                id=room.session_id,
                room_id=room.stored_id,
                options=room.options,
                started_at=now,
                updated_at=now,
                locked=room.locked,
            )
        )
        self._event(room, "room.started", _ids(room))
        if self._timer is None:
            self._sign_of_life()

    def joined(self, room: Room, member: Member) -> None:
        """Somebody joins."""
        self._store.members.joined(
            MemberRecord(
                id=member.id,
                room_session_id=room.session_id,
                name=member.name,
                type=member.type,
                joined_at=time.time(),
                parent_id=member.parent_id,
            )
        )

    def left(self, room: Room, member: Member) -> None:
        """Somebody has left."""
        self._store.members.left(member.id, time.time())

    def emitted(self, room: Room, event_type: str, params: Mapping[str, Any]) -> None:
        """Everybody is told of something."""
        if event_type in _PASSING or room.session_id not in self._events:
            return
        name = event_type.removeprefix("video.")
        kind = name.partition(".")[0]
        about = params.get(kind)
        identifier = about.get("id") if isinstance(about, dict) else None
        if name == "member.joined" and isinstance(identifier, str) and isinstance(about, dict):
            # Also told of one of the audience who was promoted.
            self._store.members.became(identifier, str(about["type"]))
        elif name == "member.left" and isinstance(identifier, str) and identifier in room.members:
            self._store.members.became(identifier, "audience")
        if kind == "room" and isinstance(about, dict) and "locked" in about.get("updated", ()):
            self._store.sessions.locked(room.session_id, bool(about["locked"]), time.time())
        self._event(
            room,
            name,
            params,
            member_id=identifier if kind == "member" else None,
            recording_id=identifier if kind == "recording" else None,
        )

    def closed(self, room: Room) -> None:
        """The room has no members any more."""
        if room.session_id not in self._events:
            return
        now = time.time()
        self._event(room, "room.ended", _ids(room))
        del self._events[room.session_id]
        self._store.sessions.ended(room.session_id, now)
        if not self._events and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def recording(
        self,
        room: Room,
        recording_id: str,
        *,
        state: RecordingState,
        path: Path,
        started_at: float,
        ended_at: float | None = None,
        duration: float | None = None,
        error: str | None = None,
    ) -> None:
        """What a recording of the room is now. Times in seconds of the epoch."""
        size = path.stat().st_size if state == "completed" and path.exists() else None
        self._store.recordings.changed(
            RecordingRecord(
                id=recording_id,
                room_session_id=room.session_id,
                state=state,
                path=path,
                started_at=started_at,
                updated_at=time.time(),
                ended_at=ended_at,
                duration=duration,
                size=size,
                error=error,
            )
        )
        if error is not None:
            payload = {**_ids(room), "recording": {"id": recording_id, "error": error}}
            self._event(room, "recording.failed", payload, recording_id=recording_id, level="error")

    def stream(
        self,
        room: Room,
        stream_id: str,
        *,
        url: str,
        state: StreamState,
        started_at: float,
        ended_at: float | None = None,
        duration: float | None = None,
        error: str | None = None,
        room_stream_id: str | None = None,
    ) -> None:
        """What a stream of the room is now. Times in seconds of the epoch.

        `room_stream_id` is the room's own stream that it is of.
        """
        self._store.streams.changed(
            StreamRecord(
                id=stream_id,
                room_session_id=room.session_id,
                room_stream_id=room_stream_id,
                url=url,
                state=state,
                started_at=started_at,
                updated_at=time.time(),
                ended_at=ended_at,
                duration=duration,
                error=error,
            )
        )

    def close(self) -> None:
        """No more signs of life."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sign_of_life(self) -> None:
        self._store.alive(time.time())
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(ALIVE_PERIOD, self._sign_of_life)

    def _event(
        self,
        room: Room,
        name: str,
        payload: Mapping[str, Any],
        *,
        member_id: str | None = None,
        recording_id: str | None = None,
        level: Level = "info",
    ) -> None:
        number = self._events.get(room.session_id, 0) + 1
        if room.session_id in self._events:
            self._events[room.session_id] = number
        if number > EVENTS_MAX and name != "room.ended":
            if number == EVENTS_MAX + 1:
                log.warning("room %s: no more than %d events are kept", room.name, EVENTS_MAX)
            return
        self._store.events.happened(
            EventRecord(
                id=str(uuid.uuid4()),
                room_session_id=room.session_id,
                name=name,
                payload=payload,
                created_at=time.time(),
                member_id=member_id,
                recording_id=recording_id,
                level=level,
            )
        )


def _ids(room: Room) -> dict[str, Any]:
    return {"room_id": room.id, "room_session_id": room.session_id}
