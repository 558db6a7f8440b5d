"""RoomSession, the public API: join a room, act in it, hear what happens."""

from appliance.media.constraints import MediaTrackConstraints
from appliance.media.errors import NegotiationError
from appliance.signaling.errors import (
    AuthError,
    Disconnected,
    NotAdmitted,
    NotFound,
    PermissionDenied,
    RequestTimeout,
    RpcError,
)
from appliance.signaling.payload import Payload

from .errors import (
    AlreadyJoined,
    GateHeld,
    JoinRefused,
    JoinTimeout,
    NothingToJoin,
    NotInUse,
    NotJoined,
    Overconstrained,
    OverconstrainedError,
    RoomError,
    SessionEnded,
)
from .extra_leg import RoomSessionDevice, RoomSessionScreenShare
from .local_stream import LocalStream
from .overlay import LocalOverlay
from .playback import RoomSessionPlayback
from .properties import RemoteStream
from .recording import RoomSessionRecording
from .session import RECONNECTION_ATTEMPT_TIMEOUT, RoomSession
from .stream import RoomSessionStream

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
    "MediaTrackConstraints",
    "NegotiationError",
    "NotAdmitted",
    "NotFound",
    "NotInUse",
    "NotJoined",
    "NothingToJoin",
    "Overconstrained",
    "OverconstrainedError",
    "Payload",
    "PermissionDenied",
    "RemoteStream",
    "RequestTimeout",
    "RoomError",
    "RoomSession",
    "RoomSessionDevice",
    "RoomSessionPlayback",
    "RoomSessionRecording",
    "RoomSessionScreenShare",
    "RoomSessionStream",
    "RpcError",
    "SessionEnded",
]
