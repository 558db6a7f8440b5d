"""What happened in a session or to a recording, as the HTTP calls give it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request

from appliance.hub.records import EventRecord, Level, Page
from appliance.hub.rest_paging import PageAnswer, PageQuery, links
from appliance.hub.rest_settings import time_of

__all__ = ["EventAnswer", "page_of_events"]


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
    created_at: datetime

    @classmethod
    def of(cls, event: EventRecord, project: str) -> EventAnswer:
        """The answer for one event."""
        room_id = event.payload.get("room_id")
        return cls(
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


def page_of_events(
    request: Request, query: PageQuery, page: Page[EventRecord], project: str
) -> PageAnswer[EventAnswer]:
    """One page of events."""
    return PageAnswer(
        links=links(request, query, page),
        data=[EventAnswer.of(event, project) for event in page.items],
    )
