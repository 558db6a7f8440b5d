"""What a room token says to the client that carries it. Nothing here checks a signature."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any

from .errors import ProtocolError, one_line

__all__ = ["DEFAULT_URL", "TokenInfo", "inspect", "websocket_url"]

#: Where a token leads that names no host.
DEFAULT_URL = "wss://relay.signalwire.com"

_SCHEME = re.compile(r"wss?://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What can be read from a token without its key."""

    #: ``"VRT"`` for a room token, also where the token does not tell; ``"SAT"`` for a subscriber's.
    type: str = "VRT"
    #: The host that the token wants to be used with (header ``ch``).
    host: str | None = None
    #: The name of the room (claim ``r``), on one line: it ends in logs and on a screen.
    room: str | None = None


def inspect(token: str) -> TokenInfo:
    """Read a token. Never raises: a token that is no JWT tells nothing, and may still be good."""
    header, _, rest = token.partition(".")
    claims = rest.partition(".")[0]
    head, body = _decode(header), _decode(claims)
    room = _text(body.get("r"))
    return TokenInfo(
        type=_text(head.get("typ")) or "VRT",
        host=_text(head.get("ch")),
        room=None if room is None else one_line(room) or None,
    )


def websocket_url(host: str | None, token: str) -> str:
    """Where to connect: the token's own host, else ``host``, else :data:`DEFAULT_URL`.

    A host that begins with ``ws://`` or ``wss://`` is used as it is, with port, path and query.
    Any other gets ``wss://`` put before it.

    Raises:
        ProtocolError: the host has another scheme, or holds blanks.
    """
    target = inspect(token).host or (host or "").strip() or DEFAULT_URL
    if any(c.isspace() for c in target):
        raise ProtocolError(f"the host {target!r} holds a blank; give ws://HOST:PORT or HOST")
    if _SCHEME.match(target):
        return target
    if "://" in target:
        raise ProtocolError(f"the host {target!r} is no WebSocket address; give ws://HOST:PORT")
    return f"wss://{target}"


def _decode(part: str) -> dict[str, Any]:
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        value = json.loads(raw)
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
