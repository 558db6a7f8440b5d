"""What can be set about a room that lasts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from appliance.hub.tokens import Meta, Moment, RoomName, Seconds, Title, WholeNumber
from appliance.signaling.layouts import LAYOUTS

__all__ = ["MEMBERS_MAX", "LayoutName", "Quality", "RoomDefaults", "RoomOptions", "RoomSettings"]

MEMBERS_MAX: Final = 300

Quality = Literal["720p", "1080p"]
Fps = Annotated[Literal[20, 30], WholeNumber]


def _layout(name: str) -> str:
    if name not in LAYOUTS:
        raise ValueError(f"there is no layout {name[:80]!r}; there are {', '.join(LAYOUTS)}")
    return name


LayoutName = Annotated[
    str, AfterValidator(_layout), WithJsonSchema({"type": "string", "enum": [*LAYOUTS]})
]


class RoomSettings(BaseModel):
    """All about a room that can be changed later. What is None is as the hub is set."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    display_name: Title | None = None
    description: Annotated[str, Field(max_length=3000)] | None = None
    #: The audience does not count.
    max_members: Annotated[int, Field(ge=1, le=MEMBERS_MAX), WholeNumber] | None = None
    #: Size of the canvas and its pictures a second.
    quality: Quality | None = None
    fps: Fps | None = None
    join_from: Moment | None = None
    #: From then on nobody joins. Who is in the room stays.
    join_until: Moment | None = None
    #: When everybody is removed from the room.
    remove_at: Moment | None = None
    #: How many seconds after it joined a member is removed.
    remove_after_seconds_elapsed: Seconds | None = None
    #: The layout that a session begins with.
    layout: LayoutName | None = None
    record_on_start: bool = False
    enable_room_previews: bool = False
    #: Whether who raises a hand gets a better place.
    prioritize_handraise: bool = False
    tone_on_entry_and_exit: bool = False
    #: The canvas and the mix are always in step; the option is taken as it comes.
    sync_audio_video: bool | None = None
    meta: Meta = Field(default_factory=dict)


class RoomOptions(RoomSettings):
    """A room: the parameters of ``POST /api/video/rooms``."""

    name: RoomName

    def changed(self, settings: RoomSettings) -> RoomOptions:
        """The same room with what was given of `settings` in place of what it had."""
        names = settings.model_fields_set
        given: dict[str, Any] = {name: getattr(settings, name) for name in names}
        return self.model_copy(update=given)


@dataclass(frozen=True, slots=True)
class RoomDefaults:
    """What a room is where its settings say nothing."""

    max_members: int = 50
    quality: Quality = "720p"
    #: Pictures a second.
    fps: int = 30
    layout: str = "grid-responsive"
