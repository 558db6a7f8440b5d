"""The HTTP calls for streams: those that rooms have of their own, and those of a session."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.requests import Request

from appliance.hub.directory import Directory
from appliance.hub.records import RoomStream, SessionRecord, StoredRoom, StreamRecord
from appliance.hub.rest_call import Call, Nothing, Operation, Problem, fetch, found, remove
from appliance.hub.rest_paging import PageAnswer, PageQuery, links
from appliance.hub.rest_settings import maybe_time_of, time_of
from appliance.hub.room_options import RoomDefaults, RoomOptions
from appliance.hub.room_streams import RoomStreams
from appliance.hub.store import Store
from appliance.hub.urls import STREAMED, UrlError, check_url

__all__ = ["StreamAnswer", "StreamCalls", "StreamOptions"]

TAG: Final = "Streams"

_SIZES: Final = {"720p": (1280, 720), "1080p": (1920, 1080)}


def _url(text: str) -> str:
    try:
        return check_url(text, STREAMED)
    except UrlError as error:
        raise ValueError(str(error)) from None


class StreamOptions(BaseModel):
    """Where a room is to be streamed to."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    #: An RTMP or RTMPS URL, with the key that its server asks for.
    url: Annotated[
        str,
        Field(max_length=2000, json_schema_extra={"format": "rtmp-url"}),
        AfterValidator(_url),
    ]


class StreamAnswer(BaseModel):
    """A stream: a room's own, or what goes or went out of one session."""

    id: str
    url: str
    stream_type: Literal["rtmp", "rtmps"]
    width: int
    height: int
    fps: int
    #: None for a stream of a session.
    room_id: str | None
    #: None for a stream of a room while nobody is there.
    room_session_id: str | None
    #: The room's own stream that the one of a session is of.
    room_stream_id: str | None
    status: Literal["waiting", "streaming", "completed"]
    started_at: datetime | None
    finished_at: datetime | None
    #: Seconds.
    duration: int | None
    #: What is or was wrong with it.
    error: str | None
    created_at: datetime
    updated_at: datetime


class StreamCalls:
    """The calls under ``/streams`` and ``/rooms/{id}/streams``."""

    def __init__(
        self, store: Store, directory: Directory, streams: RoomStreams, defaults: RoomDefaults
    ) -> None:
        self._store = store
        self._directory = directory
        self._streams = streams
        self._defaults = defaults

    def operations(self) -> list[Operation[Any, Any]]:
        """The calls, for the routes and for the document."""
        one, of_room = "/streams/{id}", "/rooms/{id}/streams"
        return [
            fetch(
                of_room,
                "list_room_streams",
                "Where a room is streamed to",
                TAG,
                self._list,
                PageQuery,
                PageAnswer[StreamAnswer],
            ),
            Operation(
                method="POST",
                path=of_room,
                name="create_room_stream",
                summary="Stream a room, now and every time that somebody is in it",
                tag=TAG,
                work=self._create,
                query=Nothing,
                body=StreamOptions,
                answer=StreamAnswer,
                status=201,
                refusals=(404,),
            ),
            fetch(one, "get_stream", "One stream", TAG, self._get, Nothing, StreamAnswer),
            Operation(
                method="PUT",
                path=one,
                name="update_stream",
                summary="Send a room's stream to another place",
                tag=TAG,
                work=self._change,
                query=Nothing,
                body=StreamOptions,
                answer=StreamAnswer,
                refusals=(404, 409),
            ),
            remove(one, "delete_stream", "End a stream, and forget it", TAG, self._delete),
        ]

    async def page(
        self, request: Request, query: PageQuery, session: SessionRecord
    ) -> PageAnswer[StreamAnswer]:
        """One page of the streams of a session."""
        page = await self._store.streams.page(session.id, query.request())
        return PageAnswer(
            links=links(request, query, page),
            data=[self._of_session(stream, session) for stream in page.items],
        )

    async def _list(self, call: Call[PageQuery, Nothing]) -> BaseModel:
        room = self._room(call.id)
        page = await self._store.room_streams.page(room.id, call.query.request())
        return PageAnswer(
            links=links(call.request, call.query, page),
            data=[await self._of_room(stream, room) for stream in page.items],
        )

    async def _create(self, call: Call[Nothing, StreamOptions]) -> BaseModel:
        room = self._room(call.id)
        stream = found(await self._streams.add(room, call.body.url), "room")
        return await self._of_room(stream, room)

    async def _get(self, call: Call[Nothing, Nothing]) -> BaseModel:
        if (stream := await self._store.room_streams.one(call.id)) is not None:
            return await self._of_room(stream, self._room(stream.room_id))
        going = await self._session_stream(call.id)
        session = found(await self._store.sessions.one(going.room_session_id), "stream")
        return self._of_session(going, session)

    async def _change(self, call: Call[Nothing, StreamOptions]) -> BaseModel:
        stream = await self._store.room_streams.one(call.id)
        if stream is None:
            await self._session_stream(call.id)
            text = "a stream of a session goes where it goes; start another one"
            raise Problem(409, "stream_of_session", text)
        changed = found(await self._streams.change(stream, call.body.url), "stream")
        return await self._of_room(changed, self._room(changed.room_id))

    async def _delete(self, call: Call[Nothing, Nothing]) -> None:
        if (stream := await self._store.room_streams.one(call.id)) is not None:
            await self._streams.delete(stream)
            return
        going = await self._session_stream(call.id)
        await self._streams.delete_of_session(going.room_session_id, going.id)

    def _room(self, id_or_name: str) -> StoredRoom:
        return found(self._directory.find(id_or_name), "room")

    async def _session_stream(self, stream_id: str) -> StreamRecord:
        return found(await self._store.streams.one(stream_id), "stream")

    async def _of_room(self, stream: RoomStream, room: StoredRoom) -> StreamAnswer:
        going = await self._store.streams.going_out(stream.id)
        return StreamAnswer(
            id=stream.id,
            **self._picture(stream.url, room.options),
            room_id=stream.room_id,
            room_session_id=None if going is None else going.room_session_id,
            room_stream_id=None,
            status="waiting" if going is None else "streaming",
            started_at=None if going is None else time_of(going.started_at),
            finished_at=None,
            duration=None,
            error=None if going is None else going.error,
            created_at=time_of(stream.created_at),
            updated_at=time_of(stream.updated_at),
        )

    def _of_session(self, stream: StreamRecord, session: SessionRecord) -> StreamAnswer:
        return StreamAnswer(
            id=stream.id,
            **self._picture(stream.url, session.options),
            room_id=None,
            room_session_id=stream.room_session_id,
            room_stream_id=stream.room_stream_id,
            status=stream.state,
            started_at=time_of(stream.started_at),
            finished_at=maybe_time_of(stream.ended_at),
            duration=None if stream.duration is None else round(stream.duration),
            error=stream.error,
            created_at=time_of(stream.started_at),
            updated_at=time_of(stream.updated_at),
        )

    def _picture(self, url: str, options: RoomOptions) -> dict[str, Any]:
        width, height = _SIZES[options.quality or self._defaults.quality]
        kind = url.partition(":")[0].lower()
        fps = options.fps or self._defaults.fps
        return {"url": url, "stream_type": kind, "width": width, "height": height, "fps": fps}
