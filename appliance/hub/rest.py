"""The hub's HTTP calls: tokens for those who hold the API token, and the entrance for guests."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from appliance.hub.keys import Keys
from appliance.hub.tokens import TokenOptions, blame, mint, printable

__all__ = ["GUEST_SCOPES", "Rest"]

#: Bytes of a request's body.
BODY_MAX: Final = 65_536

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


class Rest:
    """The calls, bound to one hub's keys and rooms."""

    def __init__(self, keys: Keys, open_rooms: frozenset[str]) -> None:
        self._keys = keys
        self._open_rooms = open_rooms

    async def room_tokens(self, request: Request) -> Response:
        """``POST /api/video/room_tokens``: a room token for what the body asks for."""
        if not self._authorized(request):
            return _error(
                401,
                "unauthorized",
                "the project id and the API token are needed (HTTP basic authentication)",
                headers={"WWW-Authenticate": 'Basic realm="roomlet"'},
            )
        try:
            options = TokenOptions.model_validate(await _body(request))
        except _BadBody as error:
            return _error(error.status, "invalid_body", str(error))
        except ValidationError as error:
            return _invalid(error)
        token = mint(options, self._keys.signing_key, project=self._keys.project)
        return JSONResponse({"token": token}, headers={"Cache-Control": "no-store"})

    async def guest(self, request: Request) -> Response:
        """``POST /guest/{room}``: a token for a visitor, if the room is open to all."""
        if not _same_origin(request):
            message = "guests come in by this hub's own page only"
            return _error(403, "other_origin", message)
        room = request.path_params["room"]
        if room not in self._open_rooms:
            message = "this room is not open to guests; ask its host for a token"
            return _error(403, "room_not_open", message)
        try:
            guest = GuestOptions.model_validate(await _body(request))
            options = TokenOptions(
                room_name=room,
                user_name=guest.name or None,
                join_as="audience" if guest.audience else "member",
                permissions=[] if guest.audience else list(GUEST_SCOPES),
                auto_create_room=True,
            )
        except _BadBody as error:
            return _error(error.status, "invalid_body", str(error))
        except ValidationError as error:
            return _invalid(error)
        token = mint(options, self._keys.signing_key, project=self._keys.project)
        body = {"token": token, "room": room}
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    def _authorized(self, request: Request) -> bool:
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        try:
            given = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            given = b""
        project, _, api_token = given.partition(b":")
        # Both are compared, always, so that the time tells nothing.
        right_project = hmac.compare_digest(project, self._keys.project.encode())
        right_token = hmac.compare_digest(api_token, self._keys.api_token.encode())
        return scheme.lower() == "basic" and right_project and right_token


class _BadBody(ValueError):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object that a request brings; an empty body is an empty object."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_MAX:
            raise _BadBody(413, f"the body has more than {BODY_MAX} bytes")
        chunks.append(chunk)
    text = b"".join(chunks)
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise _BadBody(400, "the body is not JSON") from None
    if not isinstance(value, dict):
        raise _BadBody(400, "the body must be a JSON object")
    return value


def _same_origin(request: Request) -> bool:
    """Whether a browser sent this from a page of ours. What is no browser says no origin."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _error(
    status: int,
    code: str,
    message: str,
    *,
    attribute: str | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    error = {"code": code, "message": message}
    if attribute is not None:
        error["attribute"] = attribute
    return JSONResponse({"errors": [error]}, status, headers=headers)


def _invalid(error: ValidationError) -> Response:
    field, message = blame(error)
    return _error(422, "invalid_parameter", message, attribute=field)
