"""The HTTP calls for sessions: what goes on in the rooms, and what went on."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel
from starlette.requests import Request

from appliance.hub.records import EndReason, EventRecord, Level, MemberRecord, SessionRecord
from appliance.hub.rest_call import Call, Nothing, Operation, Problem
from appliance.hub.rest_paging import PageAnswer, PageQuery, links
from appliance.hub.rest_recordings import RecordingAnswer, Recordings, RecordingsQuery
from appliance.hub.rest_settings import SettingsAnswer, time_of
from appliance.hub.rest_streams import StreamAnswer, of_session
from appliance.hub.room_options import RoomDefaults
from appliance.hub.store import Store

__all__ = ["SessionAnswer", "SessionCalls", "event_answer"]

Status = Literal["in-progress", "completed"]


class SessionsQuery(PageQuery):
    """Which sessions are wanted."""

    room_id: str | None = None
    room_name: str | None = None
    #: A part of the room's name.
    room_name_matches: str | None = None
    status: Status | None = None


class SessionAnswer(SettingsAnswer):
    """One meeting, from the first who joined to the last who left."""

    id: str
    #: None for a room that was made by a token alone.
    room_id: str | None
    locked: bool
    start_time: datetime
    end_time: datetime | None
    #: Seconds, of a session that goes on until now.
    duration: int
    status: Status
    #: Whether it ended by itself, or was interrupted by the end of the hub.
    end_reason: EndReason | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, session: SessionRecord, defaults: RoomDefaults) -> SessionAnswer:
        """The answer for one session."""
        end = time.time() if session.ended_at is None else session.ended_at
        return cls.build(
            session.options,
            defaults,
            id=session.id,
            room_id=session.room_id,
            locked=session.locked,
            start_time=time_of(session.started_at),
            end_time=time_of(session.ended_at),
            duration=max(int(end - session.started_at), 0),
            status="in-progress" if session.ended_at is None else "completed",
            end_reason=session.end_reason,
            created_at=time_of(session.started_at),
            updated_at=time_of(session.updated_at),
        )


class MemberAnswer(BaseModel):
    """One who took part."""

    id: str
    room_session_id: str
    name: str
    type: str
    parent_id: str | None
    join_time: datetime | None
    leave_time: datetime | None
    #: Seconds, of one who is still there until now.
    duration: int

    @classmethod
    def of(cls, member: MemberRecord) -> MemberAnswer:
        """The answer for one member."""
        end = time.time() if member.left_at is None else member.left_at
        return cls(
            id=member.id,
            room_session_id=member.room_session_id,
            name=member.name,
            type=member.type,
            parent_id=member.parent_id,
            join_time=time_of(member.joined_at),
            leave_time=time_of(member.left_at),
            duration=max(int(end - member.joined_at), 0),
        )


class EventAnswer(BaseModel):
    """Something that happened."""

    id: str
    project_id: str
    room_id: str | None
    room_session_id: str
    room_recording_id: str | None
    room_participant_id: str | None
    level: Level
    name: str
    payload: dict[str, Any]
    created_at: datetime | None


def event_answer(event: EventRecord, project: str) -> EventAnswer:
    """The answer for one event."""
    room_id = event.payload.get("room_id")
    return EventAnswer(
        id=event.id,
        project_id=project,
        room_id=room_id if isinstance(room_id, str) else None,
        room_session_id=event.room_session_id,
        room_recording_id=event.recording_id,
        room_participant_id=event.member_id,
        level=event.level,
        name=event.name,
        payload=dict(event.payload),
        created_at=time_of(event.created_at),
    )


class SessionCalls:
    """The calls under ``/room_sessions``."""

    def __init__(
        self, store: Store, recordings: Recordings, defaults: RoomDefaults, project: str
    ) -> None:
        self._store = store
        self._recordings = recordings
        self._defaults = defaults
        self._project = project

    def operations(self) -> list[Operation[Any, Any]]:
        """The calls, for the routes and for the document."""
        of_one = {"tag": "Room sessions", "method": "GET", "body": Nothing, "refusals": (404,)}
        return [
            Operation(
                method="GET",
                path="/room_sessions",
                name="list_room_sessions",
                summary="Sessions that go on, and past ones",
                tag="Room sessions",
                work=self._list,
                query=SessionsQuery,
                body=Nothing,
                answer=PageAnswer[SessionAnswer],
            ),
            Operation(
                path="/room_sessions/{id}",
                name="get_room_session",
                summary="One session",
                work=self._get,
                query=Nothing,
                answer=SessionAnswer,
                **of_one,
            ),
        ]
