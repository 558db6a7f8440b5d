"""What a method of the room can raise; each text is one line with cause and remedy.

::

    RoomError
    +-- NotJoined        (RuntimeError)     the session is not in a room
    +-- AlreadyJoined    (RuntimeError)     it is in one, or on its way
    +-- SessionEnded     (RuntimeError)     it was, and will not be again
    +-- JoinRefused      (ConnectionError)  the room ended the call before it began
    +-- JoinTimeout      (TimeoutError)     the room did not answer in time
    +-- NothingToJoin    (ValueError)       neither sound nor pictures, in neither direction
    +-- GateHeld         (PermissionError)  somebody with a better right keeps it muted
    +-- NotInUse         (LookupError)      the call has no such device
    +-- Overconstrained  (ValueError)       no device is as wanted

From the layers below come, unchanged, `AuthError`, `PermissionDenied` (403), `NotFound`
(404), `RpcError`, `RequestTimeout` and `Disconnected` of `appliance.signaling.errors`,
`NegotiationError` of `appliance.media.errors`, and the `HalError` tree of `hal.errors`.
"""

from __future__ import annotations

from collections.abc import Iterable

from appliance.media import constraints


class RoomError(Exception):
    """Any failure of a room session itself."""


class NotJoined(RoomError, RuntimeError):
    """The session is not in a room yet."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} needs a room: call join() first")


class AlreadyJoined(RoomError, RuntimeError):
    """The session is in a room, or on its way into one."""

    def __init__(self) -> None:
        super().__init__("join() was called already: leave() first, or make another RoomSession")


class SessionEnded(RoomError, RuntimeError):
    """The session has left its room; a session joins once."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is over for this session: it has ended; make a new RoomSession")


class JoinRefused(RoomError, ConnectionError):
    """The room ended the call before it began.  `code` and `cause` are the server's own."""

    def __init__(self, code: str, cause: str) -> None:
        super().__init__(f"the room refused the call: {cause} ({code})")
        self.code = code
        self.cause = cause


class JoinTimeout(RoomError, TimeoutError):
    """The room took the call and then did not go on in time."""


class NothingToJoin(RoomError, ValueError):
    """Nothing would be sent and nothing received."""


class GateHeld(RoomError, PermissionError):
    """The microphone or camera stays muted, because of `closers` (names of parties)."""

    def __init__(self, what: str, closers: Iterable[str]) -> None:
        self.closers = tuple(sorted(closers))
        super().__init__(
            f"the {what} stays muted: held by {', '.join(self.closers)};"
            " it opens again where it was closed"
        )


class NotInUse(RoomError, LookupError):
    """The call has no such device to change."""

    def __init__(self, what: str) -> None:
        super().__init__(f"this call has no {what}: join with one, or ask for the right to send")


class Overconstrained(RoomError, constraints.Overconstrained):
    """No device can do what was asked.  `constraint` names the first one not met."""


OverconstrainedError = Overconstrained
"""Its name in the browser."""
