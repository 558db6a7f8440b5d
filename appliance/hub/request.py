"""One request of a client about a room, past its permission and the existence of whom it names;
and what most methods do with its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from appliance.hub.calls import Calls
from appliance.hub.errors import Refused
from appliance.hub.members import Member
from appliance.hub.room import Room
from appliance.hub.sessions import Session
from appliance.signaling.layouts import is_position

if TYPE_CHECKING:
    from appliance.hub.broadcasts import Broadcasts
    from appliance.hub.playbacks import Playbacks
    from appliance.hub.recordings import Recordings

__all__ = [
    "Method",
    "Outcome",
    "Programme",
    "Request",
    "invalid",
    "number",
    "position_of",
    "positions_of",
]


@dataclass(frozen=True, slots=True)
class Programme:
    """What goes on in the rooms beside their members, as members can ask for it: of all rooms."""

    recordings: Recordings
    playbacks: Playbacks
    broadcasts: Broadcasts


@dataclass(frozen=True, slots=True)
class Request:
    """One request that has passed the gates."""

    session: Session
    room: Room
    #: Whom it is about: the caller, unless it names another.
    member: Member
    params: Mapping[str, Any]
    calls: Calls
    programme: Programme


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer's fields beside `code` and `message`, and what is left to do once it is sent."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    then: Callable[[], None] | None = None


Method = Callable[[Request], Outcome | None]


def invalid(text: str) -> Refused:
    """The refusal of a value that cannot be."""
    return Refused("422", text)


def number(params: Mapping[str, Any], name: str, lowest: int, highest: int) -> int:
    """A parameter that must be a number in a range. Raises Refused."""
    value = params.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid(f"{name} must be a number")
    if not lowest <= value <= highest:
        raise invalid(f"{name} must be from {lowest} to {highest}")
    return round(value)


def position_of(value: object) -> str:
    """A position that some layout might have. Raises Refused."""
    if not isinstance(value, str) or not is_position(value):
        raise invalid("a position is auto, off-canvas, reserved-N or standard-N")
    return value


def positions_of(request: Request, given: object, own: str | None) -> dict[str, str]:
    """The positions that were `given`, by member id; ``self`` stands for `own`. Raises Refused."""
    if not isinstance(given, dict):
        raise invalid("positions must be an object")
    wishes: dict[str, str] = {}
    for member_id, position in given.items():
        target = own if member_id == "self" else member_id
        if target is None or target not in request.room.members:
            raise Refused("404", f"The member {member_id[:80]} is not in the room")
        wishes[target] = position_of(position)
    return wishes
