"""The events that a room asks its server for."""

from __future__ import annotations

from typing import Final

SUBSCRIBED: Final = (
    "room.subscribed",
    "room.started",
    "room.updated",
    "room.ended",
    "room.audience_count",
    "member.joined",
    "member.updated",
    "member.left",
    "member.talking",
    "member.promoted",
    "member.demoted",
    "layout.changed",
    "recording.started",
    "recording.updated",
    "recording.ended",
    "playback.started",
    "playback.updated",
    "playback.ended",
    "stream.started",
    "stream.ended",
)
"""All of them, at every join: the server takes no later subscription, and a listener may be
added at any time.  The token decides which of them come."""

SUBSCRIBE: Final = tuple(f"video.{name}" for name in SUBSCRIBED)
"""Their names on the wire."""

ALIASES: Final = {"room.audience_count": "room.audienceCount"}
"""Events that scripts written for the browser SDK know by another name; both are emitted."""
