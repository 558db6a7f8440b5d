"""The HTTP calls for sessions: what goes on in the rooms, and what went on."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel

from appliance.hub.records import EndReason, MemberRecord, SessionRecord
from appliance.hub.rest_call import Call, Nothing, Operation, fetch, found
from appliance.hub.rest_events import EventAnswer, page_of_events
from appliance.hub.rest_paging import PageAnswer, PageQuery, links
from appliance.hub.rest_recordings import RecordingAnswer, RecordingCalls, RecordingsQuery
from appliance.hub.rest_settings import SettingsAnswer, maybe_time_of, time_of
from appliance.hub.rest_streams import StreamAnswer, StreamCalls
from appliance.hub.room_options import RoomDefaults
from appliance.hub.rooms import Rooms
from appliance.hub.store import Store

__all__ = ["SessionAnswer", "SessionCalls", "SessionView"]

TAG: Final = "Room sessions"

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
    #: Where a picture of the room is, while somebody is in it, if previews are made.
    preview_url: str | None
    created_at: datetime
    updated_at: datetime


class SessionView:
    """Sessions as they are answered: what is kept of them, and what the running room says."""

    def __init__(self, rooms: Rooms, defaults: RoomDefaults) -> None:
        self._rooms = rooms
        self._defaults = defaults

    def answer(self, session: SessionRecord) -> SessionAnswer:
        """The answer for one session."""
        running = (room for room in self._rooms if room.session_id == session.id)
        return SessionAnswer.build(
            session.options,
            self._defaults,
            id=session.id,
            room_id=session.room_id,
            locked=session.locked,
            start_time=time_of(session.started_at),
            end_time=maybe_time_of(session.ended_at),
            duration=_duration(session.started_at, session.ended_at),
            status="in-progress" if session.ended_at is None else "completed",
            end_reason=session.end_reason,
            preview_url=next((room.preview_url for room in running), None),
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
    join_time: datetime
    leave_time: datetime | None
    #: Seconds, of one who is still there until now.
    duration: int

    @classmethod
    def of(cls, member: MemberRecord) -> MemberAnswer:
        """The answer for one member."""
        return cls(
            id=member.id,
            room_session_id=member.room_session_id,
            name=member.name,
            type=member.type,
            parent_id=member.parent_id,
            join_time=time_of(member.joined_at),
            leave_time=maybe_time_of(member.left_at),
            duration=_duration(member.joined_at, member.left_at),
        )


class SessionCalls:
    """The calls under ``/room_sessions``."""

    def __init__(
        self,
        store: Store,
        recordings: RecordingCalls,
        streams: StreamCalls,
        view: SessionView,
        project: str,
    ) -> None:
        self._store = store
        self._recordings_of = recordings
        self._streams_of = streams
        self._view = view
        self._project = project

    def operations(self) -> list[Operation[Any, Any]]:
        """The calls, for the routes and for the document."""
        one = "/room_sessions/{id}"
        return [
            fetch(
                "/room_sessions",
                "list_room_sessions",
                "Sessions that go on, and past ones",
                TAG,
                self._list,
                SessionsQuery,
                PageAnswer[SessionAnswer],
            ),
            fetch(one, "get_room_session", "One session", TAG, self._get, Nothing, SessionAnswer),
            fetch(
                f"{one}/members",
                "list_room_session_members",
                "Who took part in a session",
                TAG,
                self._members,
                PageQuery,
                PageAnswer[MemberAnswer],
            ),
            fetch(
                f"{one}/events",
                "list_room_session_events",
                "What happened in a session",
                TAG,
                self._events,
                PageQuery,
                PageAnswer[EventAnswer],
            ),
            fetch(
                f"{one}/recordings",
                "list_room_session_recordings",
                "The recordings of a session",
                TAG,
                self._recordings,
                RecordingsQuery,
                PageAnswer[RecordingAnswer],
            ),
            fetch(
                f"{one}/streams",
                "list_room_session_streams",
                "The streams that go out of a session, or went",
                TAG,
                self._streams,
                PageQuery,
                PageAnswer[StreamAnswer],
            ),
        ]

    async def _list(self, call: Call[SessionsQuery, Nothing]) -> BaseModel:
        query = call.query
        page = await self._store.sessions.page(
            query.request(),
            room_id=query.room_id,
            name=query.room_name,
            name_part=query.room_name_matches,
            ended=None if query.status is None else query.status == "completed",
        )
        return PageAnswer(
            links=links(call.request, query, page),
            data=[self._view.answer(session) for session in page.items],
        )

    async def _get(self, call: Call[Nothing, Nothing]) -> BaseModel:
        return self._view.answer(await self._find(call.id))

    async def _members(self, call: Call[PageQuery, Nothing]) -> BaseModel:
        session = await self._find(call.id)
        page = await self._store.members.page(session.id, call.query.request())
        return PageAnswer(
            links=links(call.request, call.query, page),
            data=[MemberAnswer.of(member) for member in page.items],
        )

    async def _events(self, call: Call[PageQuery, Nothing]) -> BaseModel:
        session = await self._find(call.id)
        page = await self._store.events.page(call.query.request(), session_id=session.id)
        return page_of_events(call.request, call.query, page, self._project)

    async def _recordings(self, call: Call[RecordingsQuery, Nothing]) -> BaseModel:
        session = await self._find(call.id)
        return await self._recordings_of.page(call.request, call.query, session.id)

    async def _streams(self, call: Call[PageQuery, Nothing]) -> BaseModel:
        session = await self._find(call.id)
        return await self._streams_of.page(call.request, call.query, session)

    async def _find(self, session_id: str) -> SessionRecord:
        return found(await self._store.sessions.one(session_id), "room session")


def _duration(begin: float, end: float | None) -> int:
    return max(int((time.time() if end is None else end) - begin), 0)
