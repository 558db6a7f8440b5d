"""What the client's protocol says: frames for the socket, and events for its owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from .errors import SignalingError

__all__ = [
    "Answered",
    "ClientEvent",
    "Draining",
    "Ignored",
    "Outgoing",
    "Pinged",
    "Ready",
    "Received",
    "Refused",
]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A frame for the socket."""

    text: str
    #: The request that this frame is, which should be answered in time; None for an answer.
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """The server accepted the token."""

    result: dict[str, Any]
    #: It is the session of the earlier connection: its calls live on.
    resumed: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """The server did not accept the connection; trying again with the same token is vain."""

    error: SignalingError


@dataclass(frozen=True, slots=True)
class Answered:
    """A request is over: with a result, or with an error."""

    id: str
    result: dict[str, Any] | None = None
    error: SignalingError | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """An event of the server, already acknowledged.

    The params of ``webrtc.message`` are the Verto request with ``node_id`` beside its method.
    """

    type: str
    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pinged:
    """The server pinged: from now on a long silence means that it is gone."""


@dataclass(frozen=True, slots=True)
class Draining:
    """The server announced that it will close the socket."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A frame that means nothing here."""

    reason: str


ClientEvent: TypeAlias = Ready | Refused | Answered | Received | Pinged | Draining | Ignored
