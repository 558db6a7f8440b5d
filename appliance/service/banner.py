"""What the screen says beside the picture."""

from __future__ import annotations

from collections.abc import Collection

from appliance.media.gate import Party
from hal.controls import Status, Tally
from hal.display import Banner


def banner(
    status: Status, tally: Tally, closers: Collection[Party], *, room: str, reason: str = ""
) -> Banner:
    """Room, state and the next step, for people across the room.

    `closers` are those of the microphone's gate, `reason` is why the status is what it is.
    In a call in which all is well nothing covers the picture.
    """
    muted = tally is Tally.MUTED
    match status:
        case Status.STARTING:
            return Banner("Starting")
        case Status.IDLE:
            return Banner(_sentence("Not in a call", reason))
        case Status.JOINING:
            return Banner(_sentence(f"Joining {room}", reason))
        case Status.RECONNECTING:
            return Banner(_sentence(f"{room}: connection lost, reconnecting", reason), muted)
        case Status.FAULT:
            return Banner(_sentence("Out of order", reason), muted)
        case Status.IN_ROOM if tally is Tally.FAULT:
            return Banner("The mute light does not work. The microphone is off.", muted=True)
        case Status.IN_ROOM:
            return Banner(_muted_by(closers) if muted else "", muted)


def _muted_by(closers: Collection[Party]) -> str:
    if Party.LATCH in closers:
        return "Muted by the switch. Move it back to speak."
    if Party.ROOM not in closers and Party.REMOTE in closers:
        return "Muted by the room. Press the button to speak."
    return "Muted. Press the button to speak."


def _sentence(text: str, reason: str) -> str:
    return f"{text}: {reason}" if reason else text
