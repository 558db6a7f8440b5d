"""The hub's guest entrance: a token for a room that is open to all."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

import httpx

from appliance.provisioning.web import tls_context
from appliance.service.errors import EntranceClosed
from appliance.signaling.address import cause, shown
from appliance.signaling.errors import Disconnected, ProtocolError, one_line
from appliance.signaling.token import websocket_url

TIMEOUT_S: Final = 10.0
"""For one answer, from the name's look-up to the last byte."""

ANSWER_MAX: Final = 65_536
"""Bytes of an answer that are read."""


async def guest_token(host: str, room: str, name: str) -> str:
    """Ask the hub at `host` (as `RoomSession` takes it) for a token of `room`.

    Raises EntranceClosed when the room is not open to guests, Disconnected when there is no
    hub, ProtocolError when what answers is none.  No message tells a password of `host`.
    """
    parts = urlsplit(websocket_url(host, ""))
    scheme = {"ws": "http", "wss": "https"}[parts.scheme.lower()]
    base = urlunsplit((scheme, parts.netloc, "", "", ""))
    where = shown(base)
    try:
        # Not on a thread: whoever gives up would leave it there for as long as a server likes.
        async with (
            asyncio.timeout(TIMEOUT_S),
            httpx.AsyncClient(
                verify=tls_context(None),
                # A hub is found where it is said to be; no proxy of the user's browser is asked.
                trust_env=False,
                timeout=TIMEOUT_S,
            ) as client,
            client.stream(
                "POST",
                f"{base}/guest/{quote(room, safe='')}",
                json={"name": name},
                headers={"Accept-Encoding": "identity"},
            ) as answer,
        ):
            data = bytearray()
            async for piece in answer.aiter_raw(8192):
                data += piece
                if len(data) > ANSWER_MAX:
                    break
    except (OSError, httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise Disconnected(
            f"cannot reach a room server at {where}: {_why(error, secure=scheme == 'https')}"
        ) from error
    if answer.status_code != 200:
        raise _refusal(answer.status_code, data, where, room)
    token: Any = None
    with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):
        token = json.loads(data)["token"]
    if not isinstance(token, str) or not token:
        raise ProtocolError(f"what answers at {where} is no room server of Roomlet; check the host")
    return token


def _why(error: Exception, *, secure: bool) -> str:
    if isinstance(error, httpx.TimeoutException):
        error = TimeoutError()
    elif isinstance(error, httpx.ProtocolError):
        return "it speaks no HTTP; is it a room server?"
    elif isinstance(error, httpx.InvalidURL):
        error = ValueError()
    # The library has its own errors, and behind them those of the system.
    behind: BaseException | None = error
    while behind is not None:
        if isinstance(behind, OSError):
            error = behind
        behind = behind.__cause__ or behind.__context__
    return cause(error, secure=secure)


def _refusal(status: int, data: bytes | bytearray, where: str, room: str) -> Exception:
    reason: Any = None
    with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):
        reason = json.loads(data)["errors"][0]["message"]
    if not isinstance(reason, str):
        return ProtocolError(
            f"what answers at {where} has no guest entrance ({status}); give a token"
        )
    return EntranceClosed(f"room {room} at {where}: {one_line(reason)}")
