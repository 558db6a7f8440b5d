"""What an extra leg of a call stands on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from appliance.media.capture import CameraCapture, MicCapture

from .call import Call, Leg, Signal
from .devices import Devices
from .muting import Kind
from .plan import MediaPlan
from .state import RoomState
from .tasks import Tasks
from .works import Rpc

if TYPE_CHECKING:
    from .extra_leg import ExtraLeg


@dataclass(frozen=True, slots=True)
class Home:
    """What an extra leg needs of the session that it belongs to."""

    require: Callable[[str], None]
    """Raises NotJoined or SessionEnded while there is no room."""
    rpc: Rpc
    signal: Signal
    call_id: Callable[[], str]
    state: RoomState
    devices: Devices
    make_leg: Callable[[Devices, MediaPlan], Leg]
    enter: Callable[[Call], Awaitable[Mapping[str, Any]]]
    """Dials the call and returns the new member, one leg after the other."""
    changed: Callable[[ExtraLeg], None]
    """Called when the leg has come into the room or gone."""
    handlers: Tasks
    """Where `async` handlers run, so that the session ends them."""
    stop_while_muted: Mapping[Kind, bool]
    allow_remote_unmute: bool
    on_microphone: Callable[[MicCapture], Callable[[], None]] | None
    """Called with each further microphone before it can open; what it returns, at its end."""
    on_camera: Callable[[CameraCapture], Callable[[], None]] | None
    """The same for each further camera; what is shared as a screen is none, but see `Tie`."""
