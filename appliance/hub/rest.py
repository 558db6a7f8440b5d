"""The hub's HTTP calls, put together: for those who hold the API token, and for guests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from appliance.hub.directory import Directory
from appliance.hub.keys import Keys
from appliance.hub.openapi import document
from appliance.hub.rest_call import (
    Call,
    Nothing,
    Operation,
    Problem,
    problem_of,
    read_body,
    routes,
)
from appliance.hub.rest_guard import Guard
from appliance.hub.rest_recordings import RecordingCalls
from appliance.hub.rest_rooms import RoomCalls
from appliance.hub.rest_sessions import SessionCalls, SessionView
from appliance.hub.rest_streams import StreamCalls
from appliance.hub.room_options import RoomDefaults
from appliance.hub.room_streams import RoomStreams
from appliance.hub.rooms import Rooms
from appliance.hub.store import Store
from appliance.hub.tokens import TokenOptions, mint, printable
from appliance.web.hosts import same_host

__all__ = ["ERROR_HANDLERS", "GUEST_SCOPES", "PREFIX", "Rest"]

PREFIX: Final = "/api/video"

#: For the whole server: what goes wrong is said in the same way everywhere.
ERROR_HANDLERS: Final[Mapping[Any, Any]] = {HTTPException: problem_of, Exception: problem_of}

#: What a guest may do: everything with oneself that this page has a button for, choose the layout,
#: and mute another whose microphone was forgotten. Nobody is unmuted by somebody else.
GUEST_SCOPES: Final = (
    "room.self.audio_mute",
    "room.self.audio_unmute",
    "room.self.video_mute",
    "room.self.video_unmute",
    "room.self.deaf",
    "room.self.undeaf",
    "room.self.raisehand",
    "room.self.lowerhand",
    "room.list_available_layouts",
    "room.set_layout",
    "room.member.audio_mute",
    "room.member.video_mute",
)


class GuestOptions(BaseModel):
    """What a visitor says at the entrance."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[
        str, StringConstraints(strip_whitespace=True, max_length=100), AfterValidator(printable)
    ] = ""
    audience: Annotated[bool, Field(strict=True)] = False


class TokenAnswer(BaseModel):
    """A room token."""

    token: str


class Rest:
    """The calls, bound to one hub's keys, rooms and store."""

    def __init__(
        self,
        keys: Keys,
        open_rooms: frozenset[str],
        *,
        store: Store,
        directory: Directory,
        rooms: Rooms,
        streams: RoomStreams,
        defaults: RoomDefaults,
    ) -> None:
        self._keys = keys
        self._open_rooms = open_rooms
        self._guard = Guard(keys)
        recordings = RecordingCalls(store, self._guard, keys.project, PREFIX)
        view = SessionView(rooms, defaults)
        of_streams = StreamCalls(store, directory, streams, defaults)
        self._operations: list[Operation[Any, Any]] = [
            self._token_operation(),
            *RoomCalls(directory, store, rooms, streams, defaults).operations(),
            *SessionCalls(store, recordings, of_streams, view, keys.project).operations(),
            *recordings.operations(),
            *of_streams.operations(),
        ]
        self._document = document(self._operations, PREFIX)

    def routes(self) -> list[BaseRoute]:
        """Where the calls are."""
        calls = Starlette(
            routes=routes(self._operations, self._guard), exception_handlers=ERROR_HANDLERS
        )
        calls.router.redirect_slashes = False
        return [
            Route("/api/openapi.json", self._openapi),
            Mount(PREFIX, calls),
            Route("/guest/{room}", self.guest, methods=["POST"]),
        ]

    async def guest(self, request: Request) -> Response:
        """``POST /guest/{room}``: a token for a visitor, if the room is open to all."""
        try:
            return await self._guest(request)
        except Problem as problem:
            return problem.response()

    async def _guest(self, request: Request) -> Response:
        if not _same_origin(request):
            message = "guests come in by this hub's own page only"
            raise Problem(403, "other_origin", message)
        room = request.path_params["room"]
        if room not in self._open_rooms:
            message = "this room is not open to guests; ask its host for a token"
            raise Problem(403, "room_not_open", message)
        guest = await read_body(request, GuestOptions)
        options = TokenOptions(
            room_name=room,
            user_name=guest.name or None,
            join_as="audience" if guest.audience else "member",
            permissions=[] if guest.audience else list(GUEST_SCOPES),
        )
        body = {"token": self._mint(options), "room": room}
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    def _token_operation(self) -> Operation[Nothing, TokenOptions]:
        return Operation(
            method="POST",
            path="/room_tokens",
            name="create_room_token",
            summary="A token that lets somebody into a room",
            tag="Room tokens",
            work=self._room_token,
            query=Nothing,
            body=TokenOptions,
            answer=TokenAnswer,
        )

    async def _room_token(self, call: Call[Nothing, TokenOptions]) -> BaseModel:
        return TokenAnswer(token=self._mint(call.body))

    async def _openapi(self, _request: Request) -> Response:
        return JSONResponse(self._document)

    def _mint(self, options: TokenOptions) -> str:
        return mint(options, self._keys.signing_key, project=self._keys.project)


def _same_origin(request: Request) -> bool:
    """Whether a browser sent this from a page of ours. What is no browser says no origin."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    return origin is None or same_host(origin, request.headers.get("host", ""))
