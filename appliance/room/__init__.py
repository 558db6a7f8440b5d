"""RoomSession, the public API: join a room, act in it, hear what happens."""

from appliance.media.errors import NegotiationError
from appliance.signaling.errors import (
    AuthError,
    Disconnected,
    NotFound,
    PermissionDenied,
    RequestTimeout,
    RpcError,
)
from appliance.signaling.payload import Payload

from .devices import LocalStream
from .errors import (
    AlreadyJoined,
    GateHeld,
    JoinRefused,
    JoinTimeout,
    NothingToJoin,
    NotJoined,
    Overconstrained,
    RoomError,
    SessionEnded,
)
from .overlay import LocalOverlay
from .properties import RemoteStream
from .session import RECONNECTION_ATTEMPT_TIMEOUT, RoomSession

__all__ = [
    "RECONNECTION_ATTEMPT_TIMEOUT",
    "AlreadyJoined",
    "AuthError",
    "Disconnected",
    "GateHeld",
    "JoinRefused",
    "JoinTimeout",
    "LocalOverlay",
    "LocalStream",
    "NegotiationError",
    "NotFound",
    "NotJoined",
    "NothingToJoin",
    "Overconstrained",
    "Payload",
    "PermissionDenied",
    "RemoteStream",
    "RequestTimeout",
    "RoomError",
    "RoomSession",
    "RpcError",
    "SessionEnded",
]
