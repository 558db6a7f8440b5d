"""What the hub keeps of rooms and of what went on in them. Times are seconds of the epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from appliance.hub.room_options import RoomOptions

RecordingState = Literal["recording", "paused", "processing", "completed"]
StreamState = Literal["streaming", "completed"]
EndReason = Literal["ended", "interrupted"]
Level = Literal["info", "warning", "error"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredRoom:
    """A room that lasts, whether somebody is in it or not."""

    id: str
    options: RoomOptions
    created_at: float
    updated_at: float

    @property
    def name(self) -> str:
        """The name that tokens are for."""
        return self.options.name


@dataclass(frozen=True, slots=True)
class RoomStream:
    """Where every session of a room is streamed to."""

    id: str
    room_id: str
    url: str = field(repr=False)
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One meeting, from the first who joined to the last who left."""

    id: str
    #: None for a room that was made by a token alone.
    room_id: str | None
    #: As the room was set when the session began.
    options: RoomOptions
    started_at: float
    updated_at: float
    locked: bool = False
    ended_at: float | None = None
    end_reason: EndReason | None = None


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """One who took part."""

    id: str
    room_session_id: str
    name: str
    type: str
    joined_at: float
    parent_id: str | None = None
    left_at: float | None = None


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something that happened in a session."""

    id: str
    room_session_id: str
    name: str
    payload: Mapping[str, Any]
    created_at: float
    member_id: str | None = None
    recording_id: str | None = None
    level: Level = "info"


@dataclass(frozen=True, slots=True)
class RecordingRecord:
    """A recording and its file. `duration` in seconds, `size` in bytes."""

    id: str
    room_session_id: str
    state: RecordingState
    path: Path
    started_at: float
    updated_at: float
    ended_at: float | None = None
    duration: float | None = None
    size: int | None = None
    #: Why it ended before anybody ended it, in one line.
    error: str | None = None


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """A stream that goes out of a session, or went. `duration` in seconds."""

    id: str
    room_session_id: str
    #: The room's own stream that this one is of; None for one that a member has started.
    room_stream_id: str | None
    url: str = field(repr=False)
    state: StreamState
    started_at: float
    updated_at: float
    ended_at: float | None = None
    duration: float | None = None
    #: What is or was wrong with it, in one line.
    error: str | None = None


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which part of a list is wanted.

    `anchor` is the number of the newest row that there was when the first page was read: what is
    younger moves nothing to another page.
    """

    number: int = 0
    size: int = 50
    anchor: int | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list, the newest first."""

    items: list[T]
    anchor: int
    #: Whether older ones follow.
    more: bool
