"""Who takes part in a room, and in what state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from appliance.hub.talking import Talking

if TYPE_CHECKING:
    from appliance.hub.sessions import Session

MemberType = Literal["member", "screen", "device", "audience"]

DEFAULT_SENSITIVITY: Final = 50
"""In the middle of 0 to 100."""


@dataclass(eq=False, slots=True)
class Member:
    """One who takes part: a person, a shared screen, an extra device, or one of the audience."""

    id: str
    name: str
    type: MemberType
    session: Session
    parent_id: str | None = None
    audio_muted: bool = False
    video_muted: bool = False
    deaf: bool = False
    on_hold: bool = False
    #: Whether a picture of it can be seen.
    visible: bool = False
    handraised: bool = False
    input_volume: int = 0
    output_volume: int = 0
    input_sensitivity: int = DEFAULT_SENSITIVITY
    requested_position: str = "auto"
    meta: dict[str, Any] = field(default_factory=dict)
    #: Whether it is to have a place on the canvas.
    on_canvas: bool = True
    #: What its active leg brings, muted or not.
    brings_audio: bool = True
    brings_video: bool = True
    #: Whether pictures can come just now: it brings them, and its leg is connected.
    has_video: bool = False
    voice: Talking = field(default_factory=Talking)
