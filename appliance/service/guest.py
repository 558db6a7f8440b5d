"""The hub's guest entrance: a token for a room that is open to all."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

from appliance.service.errors import EntranceClosed
from appliance.signaling.errors import Disconnected, ProtocolError, one_line
from appliance.signaling.token import websocket_url

TIMEOUT_S: Final = 10.0

ANSWER_MAX: Final = 65_536
"""Bytes of an answer that are read."""


async def guest_token(host: str, room: str, name: str) -> str:
    """Ask the hub at `host` (as `RoomSession` takes it) for a token of `room`.

    Raises EntranceClosed when the room is not open to guests, Disconnected when there is no
    hub, ProtocolError when what answers is none.
    """
    return await asyncio.to_thread(_ask, host, room, name)


def _ask(host: str, room: str, name: str) -> str:
    parts = urlsplit(websocket_url(host, ""))
    scheme = {"ws": "http", "wss": "https"}[parts.scheme.lower()]
    base = urlunsplit((scheme, parts.netloc, "", "", ""))
    request = urllib.request.Request(
        f"{base}/guest/{quote(room, safe='')}",
        json.dumps({"name": name}).encode(),
        {"Content-Type": "application/json"},
    )
    # A hub is found where it is said to be; no proxy of the user's browser is asked for it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            token = json.loads(answer.read(ANSWER_MAX)).get("token")
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(error, base, room) from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        text = one_line(getattr(reason, "strerror", None) or str(reason) or type(reason).__name__)
        raise Disconnected(
            f"cannot reach a room server at {base}: {text}; check the address and the server"
        ) from error
    except (ValueError, AttributeError):
        token = None
    if not isinstance(token, str) or not token:
        raise ProtocolError(f"what answers at {base} is no room server of Roomlet; check the host")
    return token


def _refusal(error: urllib.error.HTTPError, base: str, room: str) -> Exception:
    reason: Any = None
    with contextlib.suppress(OSError, HTTPException, ValueError, LookupError, TypeError):
        reason = json.loads(error.read(ANSWER_MAX))["errors"][0]["message"]
    if not isinstance(reason, str):
        return ProtocolError(
            f"what answers at {base} has no guest entrance ({error.code}); give a token"
        )
    return EntranceClosed(f"room {room} at {base}: {one_line(reason)}")
