"""What can go wrong between a room client and its server.

::

    SignalingError
    +-- Disconnected        (ConnectionError)  there is no connection, or it was lost
    +-- RequestTimeout      (TimeoutError)     the server did not answer in time
    +-- ProtocolError       (ValueError)       what came is not the protocol
    +-- AuthError                              the server does not accept the token
    +-- RpcError                               the server answered with an error
        +-- PermissionDenied                   code 403
        |   +-- NotAdmitted                    a call, whatever the token allows
        +-- NotFound        (LookupError)      code 404

Every message is one line. None holds a token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = [
    "AuthError",
    "Disconnected",
    "NotAdmitted",
    "NotFound",
    "PermissionDenied",
    "ProtocolError",
    "RequestTimeout",
    "RpcError",
    "SignalingError",
    "rpc_error",
]

#: Longer texts from a server are cut: they end in logs and on a screen.
MAX_MESSAGE = 300

#: The method that carries calls, in an envelope.
_CALL = "video.message"

#: How the reason begins where the token does not allow what was asked.
_TOKEN = "Unauthorized"

#: The status in front of a refused token's reason.
_PREFIX = re.compile(
    r"^(Authentication service failed with status \w+, )?401( Unauthorized)?(: ?|$)"
)


class SignalingError(Exception):
    """Base of every error of this package."""


class Disconnected(SignalingError, ConnectionError):
    """There is no connection to the server, or it was lost before the answer came."""


class RequestTimeout(SignalingError, TimeoutError):
    """The server did not answer in time."""


class ProtocolError(SignalingError, ValueError):
    """A frame, or a part of one, is not what the protocol allows."""


class AuthError(SignalingError):
    """The server does not accept the token."""

    def __init__(self, code: int | str, message: str) -> None:
        super().__init__(code, message)
        #: The server's code as it came, for example ``-32002``.
        self.code = code
        #: The server's text, on one line.
        self.message = one_line(message)

    def __str__(self) -> str:
        words = _words(self.message)
        # A remedy of the server's own is nearer to the cause than ours.
        remedy = "" if ";" in words else "; get a new token"
        return f"the server refused the token{words and f': {words}'}{remedy}"


class RpcError(SignalingError):
    """The server answered a request with an error."""

    #: Added to the message: what to do about it.
    remedy = ""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        method: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(code, message)
        #: The server's code as text, for example ``"409"`` or ``"-32002"``; empty when none came.
        self.code = code
        #: The server's text, on one line.
        self.message = one_line(message)
        #: The method that failed, where known.
        self.method = method
        #: The whole object that the server sent.
        self.details: dict[str, Any] = dict(details or {})

    def __str__(self) -> str:
        text = " ".join(part for part in (self.code, self.message) if part) or "no reason given"
        if self.method == _CALL and self.message:
            # For people who want into a room: its own words, and none of the wire's.
            text = self.message[0].lower() + self.message[1:]
        elif self.method:
            text = f"{self.method}: {text}"
        # A remedy of the server's own is nearer to the cause than ours.
        return f"{text}; {self.remedy}" if self.remedy and ";" not in self.message else text


class PermissionDenied(RpcError):
    """The token does not allow it (code 403)."""

    remedy = "ask for a token with this permission"


class NotAdmitted(PermissionDenied):
    """The room does not take the call now: it is locked or full, or it is not its time."""

    remedy = "ask the room's host"


class NotFound(RpcError, LookupError):
    """The member, recording or other target does not exist (code 404)."""

    remedy = "it may have left or ended"


def _words(message: str) -> str:
    """What a server has to say, without the technical prefix and an empty object behind it."""
    return _PREFIX.sub("", message).removesuffix("{}").rstrip(": ")


def one_line(text: object) -> str:
    """Any text or number as one printable line of at most :data:`MAX_MESSAGE` characters.

    Lists and objects have no text: printing one that is nested too deep would fail.
    """
    raw = str(text) if isinstance(text, str | int | float) else "(unreadable)"
    line = " ".join("".join(c if c.isprintable() else " " for c in raw[:4096]).split())
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 1] + "…"


def rpc_error(details: Mapping[str, Any], method: str | None = None) -> RpcError:
    """The exception for a JSON-RPC ``error``, or for a result whose ``code`` is not 2xx.

    Only ``code`` and ``message`` are read; either may be missing or of any type.
    """
    code = details.get("code")
    text = "" if code is None else one_line(code)
    message = details.get("message")
    reason = "" if message is None else one_line(message)
    kind = {"403": PermissionDenied, "404": NotFound}.get(text, RpcError)
    if kind is PermissionDenied and method == _CALL and not reason.startswith(_TOKEN):
        kind = NotAdmitted
    return kind(text, reason, method=method, details=details)
