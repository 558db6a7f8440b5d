"""A web service that gives room tokens."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from appliance.provisioning import Config
from appliance.provisioning.errors import Unreachable
from appliance.provisioning.web import tls_context
from appliance.service.errors import EntranceClosed
from appliance.signaling.errors import Disconnected, ProtocolError, one_line

DEADLINE: Final = 15.0
"""Seconds for one answer, from the name's look-up to the last byte."""

ANSWER_MAX: Final = 65_536
"""Bytes of an answer that are read."""


async def endpoint_token(config: Config, room_name: str | None = None) -> str:
    """Ask the `token_url` of a configuration for a token of its room, or of another one.

    A POST with the JSON object `{"user_name": ..., "room_name": ...}`, the room left out where
    the configuration names none; the answer is a JSON object with `token`.  Redirections are not
    followed: they would take the secret elsewhere.  Raises ConfigError for a secret that is not
    there, EntranceClosed for an answer 4xx, Disconnected for no answer or 5xx, ProtocolError for
    anything else.  No message tells the secret, the token or a word of the answer.
    """
    room = config.room
    assert room.token_url is not None, "the configuration has another way in"
    headers = {name: value.get_secret_value() for name, value in room.token_headers.items()}
    headers["Accept-Encoding"] = "identity"
    secret = await asyncio.to_thread(config.read_token_secret)
    if secret is not None:
        headers["Authorization"] = secret
    wanted = {"user_name": room.user_name}
    if name := room_name or room.name:
        wanted["room_name"] = name
    parts = urlsplit(room.token_url)
    where = f"https://{parts.hostname}{f':{parts.port}' if parts.port else ''}"
    try:
        async with (
            asyncio.timeout(DEADLINE),
            httpx.AsyncClient(
                verify=tls_context(room.token_ca_file),
                # What the environment says would go past the configuration.
                trust_env=False,
                timeout=DEADLINE,
            ) as client,
            client.stream("POST", room.token_url, json=wanted, headers=headers) as answer,
        ):
            status = answer.status_code
            data = bytearray()
            async for piece in answer.aiter_raw(8192):
                data += piece
                if len(data) > ANSWER_MAX:
                    break
    except (Unreachable, OSError, httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
        raise Disconnected(
            f"cannot ask {where} for a room token: {_reason(error)}; check room.token_url"
        ) from None
    if status in (408, 429) or status >= 500:
        raise Disconnected(f"{where} gives no room token now (it answers {status})")
    if status >= 400:
        raise EntranceClosed(
            f"{where} gives no room token (it answers {status}); check the secret and token_url"
        )
    whole = status in (200, 201) and len(data) <= ANSWER_MAX
    token = _token(bytes(data)) if whole else None
    if token is None:
        raise ProtocolError(
            f"what answers at {where} ({status}) gives no room token; check room.token_url"
        )
    return token


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "it does not answer in time"
    if isinstance(error, httpx.ProtocolError):
        # Its text may hold what was answered, or a header.
        return "it speaks no HTTP"
    return one_line(str(error) or type(error).__name__)


def _token(data: bytes) -> str | None:
    try:
        found: Any = json.loads(data)["token"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    fit = isinstance(found, str) and found.isascii() and found.isprintable() and " " not in found
    return found if fit and found else None
