"""The HTTP calls for recordings, and for their files."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from appliance.hub.records import RecordingRecord, RecordingState
from appliance.hub.rest_call import Call, Nothing, Operation, Problem, fetch, found, remove
from appliance.hub.rest_events import EventAnswer, page_of_events
from appliance.hub.rest_guard import Guard
from appliance.hub.rest_paging import PageAnswer, PageQuery, links
from appliance.hub.rest_settings import maybe_time_of, time_of
from appliance.hub.store import Store

__all__ = ["MediaTtl", "RecordingAnswer", "RecordingCalls", "RecordingsQuery"]

log = logging.getLogger(__name__)

TAG: Final = "Room recordings"

MEDIA_TYPE: Final = "video/mp4"

MediaTtl = Annotated[int, Field(ge=1, le=604_800)]
"""Seconds that a link to a file is good for."""

_TTL: Final = 900


class RecordingQuery(BaseModel):
    """How one recording is wanted."""

    model_config = ConfigDict(extra="forbid")

    media_ttl: MediaTtl = _TTL


class RecordingsQuery(PageQuery):
    """Which recordings are wanted."""

    media_ttl: MediaTtl = _TTL


class MediaQuery(BaseModel):
    """What a link to a file carries; nothing with the API token."""

    model_config = ConfigDict(extra="forbid")

    expires: str | None = None
    signature: str | None = None


class RecordingAnswer(BaseModel):
    """A recording."""

    id: str
    room_session_id: str
    status: RecordingState
    started_at: datetime
    finished_at: datetime | None
    #: Seconds.
    duration: int | None
    size_in_bytes: int | None
    format: Literal["video/mp4"]
    #: A link to the file that is good for some time; None as long as it is written.
    uri: str | None
    #: Why it ended before anybody ended it.
    error: str | None
    created_at: datetime
    updated_at: datetime


class RecordingCalls:
    """The calls under ``/room_recordings``, mounted at `prefix`."""

    def __init__(self, store: Store, guard: Guard, project: str, prefix: str) -> None:
        self._store = store
        self._guard = guard
        self._project = project
        self._prefix = prefix

    def operations(self) -> list[Operation[Any, Any]]:
        """The calls, for the routes and for the document."""
        one = "/room_recordings/{id}"
        return [
            fetch(
                "/room_recordings",
                "list_room_recordings",
                "All recordings",
                TAG,
                self._list,
                RecordingsQuery,
                PageAnswer[RecordingAnswer],
            ),
            fetch(
                one,
                "get_room_recording",
                "One recording",
                TAG,
                self._get,
                RecordingQuery,
                RecordingAnswer,
            ),
            remove(
                one,
                "delete_room_recording",
                "Delete a recording that has ended, and its file",
                TAG,
                self._delete,
                409,
            ),
            fetch(
                f"{one}/events",
                "list_room_recording_events",
                "What happened to a recording",
                TAG,
                self._events,
                PageQuery,
                PageAnswer[EventAnswer],
            ),
            Operation(
                method="GET",
                path=f"{one}/media",
                name="get_room_recording_media",
                summary="The file of a recording that has ended, also in parts",
                tag=TAG,
                work=self._media,
                query=MediaQuery,
                body=Nothing,
                answer=None,
                media_type=MEDIA_TYPE,
                refusals=(404,),
                by_link=True,
            ),
        ]

    async def page(
        self, request: Request, query: RecordingsQuery, session_id: str | None = None
    ) -> PageAnswer[RecordingAnswer]:
        """One page of all recordings, or of those of a session."""
        page = await self._store.recordings.page(query.request(), session_id=session_id)
        return PageAnswer(
            links=links(request, query, page),
            data=[self._answer(request, one, query.media_ttl) for one in page.items],
        )

    async def _list(self, call: Call[RecordingsQuery, Nothing]) -> BaseModel:
        return await self.page(call.request, call.query)

    async def _get(self, call: Call[RecordingQuery, Nothing]) -> BaseModel:
        return self._answer(call.request, await self._find(call.id), call.query.media_ttl)

    async def _delete(self, call: Call[Nothing, Nothing]) -> None:
        recording = await self._find(call.id)
        if recording.state != "completed":
            raise Problem(409, "recording_not_completed", "the recording goes on; stop it first")
        try:
            await asyncio.to_thread(recording.path.unlink, missing_ok=True)
        except OSError as error:
            log.warning("recording %s cannot be deleted: %s", recording.id, error)
            reason = f"its file cannot be deleted: {(error.strerror or 'no reason given').lower()}"
            raise Problem(503, "store_failed", reason) from error
        await self._store.recordings.delete(recording.id)

    async def _events(self, call: Call[PageQuery, Nothing]) -> BaseModel:
        recording = await self._find(call.id)
        page = await self._store.events.page(call.query.request(), recording_id=recording.id)
        return page_of_events(call.request, call.query, page, self._project)

    async def _media(self, call: Call[MediaQuery, Nothing]) -> Response:
        recording = await self._find(call.id)
        path = found(await asyncio.to_thread(_whole_file, recording), "file (yet)")
        # Anybody may have the link: no cache on the way keeps what it leads to.
        return FileResponse(
            path,
            media_type=MEDIA_TYPE,
            filename=f"{recording.id}.mp4",
            content_disposition_type="inline",
            headers={"Cache-Control": "private, no-store"},
        )

    async def _find(self, recording_id: str) -> RecordingRecord:
        return found(await self._store.recordings.one(recording_id), "recording")

    def _answer(self, request: Request, recording: RecordingRecord, ttl: int) -> RecordingAnswer:
        uri = None
        if recording.state == "completed" and recording.size:
            path = f"{self._prefix}/room_recordings/{recording.id}/media"
            uri = str(request.base_url.replace(path="")) + self._guard.link(path, ttl)
        return RecordingAnswer(
            id=recording.id,
            room_session_id=recording.room_session_id,
            status=recording.state,
            started_at=time_of(recording.started_at),
            finished_at=maybe_time_of(recording.ended_at),
            duration=None if recording.duration is None else round(recording.duration),
            size_in_bytes=recording.size,
            format="video/mp4",
            uri=uri,
            error=recording.error,
            created_at=time_of(recording.started_at),
            updated_at=time_of(recording.updated_at),
        )


def _whole_file(recording: RecordingRecord) -> Path | None:
    is_whole = recording.state == "completed" and recording.path.is_file()
    return recording.path if is_whole else None
