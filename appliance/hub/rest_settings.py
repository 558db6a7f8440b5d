"""A room's settings as the HTTP calls give them: whole, with the hub's defaults filled in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, WithJsonSchema

from appliance.hub.room_options import Quality, RoomDefaults, RoomOptions

__all__ = ["Flag", "SettingsAnswer", "maybe_time_of", "time_of"]


def _flag(value: object) -> object:
    flags = {"true": True, "false": False}
    if isinstance(value, str):
        if value not in flags:
            raise ValueError("must be true or false")
        return flags[value]
    return value


Flag = Annotated[bool, BeforeValidator(_flag), WithJsonSchema({"type": "boolean"})]
"""A flag in a query."""


def time_of(seconds: float) -> datetime:
    """Seconds of the epoch as a time."""
    return datetime.fromtimestamp(seconds, UTC)


def maybe_time_of(seconds: float | None) -> datetime | None:
    """Seconds of the epoch as a time, if it has come."""
    return None if seconds is None else time_of(seconds)


class SettingsAnswer(BaseModel):
    """How a room is set, or was when its session began."""

    name: str
    display_name: str
    max_members: int
    quality: Quality
    fps: int
    join_from: datetime | None
    join_until: datetime | None
    remove_at: datetime | None
    remove_after_seconds_elapsed: int | None
    layout: str
    record_on_start: bool
    enable_room_previews: bool
    prioritize_handraise: bool
    tone_on_entry_and_exit: bool
    sync_audio_video: bool | None
    meta: dict[str, Any]

    @classmethod
    def build(cls, options: RoomOptions, defaults: RoomDefaults, **more: object) -> Self:
        """The answer with `more` fields of the class that is derived from this one."""
        fields: dict[str, object] = {
            name: getattr(options, name) for name in SettingsAnswer.model_fields
        }
        fields["display_name"] = options.display_name or options.name
        for name in ("max_members", "quality", "fps", "layout"):
            fields[name] = fields[name] or getattr(defaults, name)
        return cls.model_validate({**fields, **more})
