"""What a token may allow: the names of the permissions, and which one each RPC needs.

A member that acts on itself needs the ``room.self`` form of a name, one that acts on another the
``room.member`` form; neither implies the other. An RPC that stands in no table needs none.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

__all__ = ["PERMISSIONS", "allowed", "required"]

#: What can be done to a member, by oneself or by another.
_MEMBER_ACTIONS: Final = (
    "audio_mute",
    "audio_unmute",
    "video_mute",
    "video_unmute",
    "deaf",
    "undeaf",
    "set_input_volume",
    "set_output_volume",
    "set_input_sensitivity",
    "set_position",
    "set_meta",
    "raisehand",
    "lowerhand",
)

#: Every name that a token can hold.
PERMISSIONS: Final[frozenset[str]] = frozenset(
    {
        "room.hide_video_muted",
        "room.list_available_layouts",
        "room.lock",
        "room.playback",
        "room.playback.seek",
        "room.playback_seek",
        "room.prioritize_handraise",
        "room.recording",
        "room.set_layout",
        "room.set_meta",
        "room.set_position",
        "room.show_video_muted",
        "room.stream",
        "room.stream.start",
        "room.unlock",
        "room.member.demote",
        "room.member.promote",
        "room.member.remove",
        "room.self.additional_source",
        "room.self.screenshare",
        *(f"room.self.{action}" for action in _MEMBER_ACTIONS),
        *(f"room.member.{action}" for action in _MEMBER_ACTIONS),
    }
)

#: RPCs on the room as a whole.
_ROOM_RPCS: Final[dict[str, str]] = {
    "video.delete_meta": "room.set_meta",
    "video.hide_video_muted": "room.hide_video_muted",
    "video.list_available_layouts": "room.list_available_layouts",
    "video.lock": "room.lock",
    "video.prioritize_handraise": "room.prioritize_handraise",
    "video.set_layout": "room.set_layout",
    "video.set_meta": "room.set_meta",
    "video.set_position": "room.set_position",
    "video.show_video_muted": "room.show_video_muted",
    "video.unlock": "room.unlock",
    "video.update_meta": "room.set_meta",
    **{f"video.playback.{verb}": "room.playback" for verb in ("list", "pause", "resume", "start")},
    **{f"video.playback.{verb}": "room.playback" for verb in ("set_volume", "stop")},
    **{f"video.playback.seek_{way}": "room.playback" for way in ("absolute", "relative")},
    **{
        f"video.recording.{verb}": "room.recording"
        for verb in ("list", "pause", "resume", "start", "stop")
    },
    **{f"video.stream.{verb}": "room.stream" for verb in ("list", "start", "stop")},
}

#: RPCs that nobody has a `room.self` form of.
_OTHERS_ONLY: Final[dict[str, str]] = {
    "video.member.demote": "room.member.demote",
    "video.member.promote": "room.member.promote",
    "video.member.remove": "room.member.remove",
}

#: RPCs on a member, with the action that their permission names.
_MEMBER_RPCS: Final[dict[str, str]] = {
    **{f"video.member.{action}": action for action in _MEMBER_ACTIONS},
    "video.member.update_meta": "set_meta",
    "video.member.delete_meta": "set_meta",
}

#: Names that do as well as the required one: narrower or older forms, and the two that the
#: documentation and the service disagree about.
_ALTERNATIVES: Final[dict[str, tuple[str, ...]]] = {
    "video.member.update_meta": ("room.set_meta",),
    "video.member.delete_meta": ("room.set_meta",),
    "video.playback.seek_absolute": ("room.playback_seek", "room.playback.seek"),
    "video.playback.seek_relative": ("room.playback_seek", "room.playback.seek"),
    "video.stream.start": ("room.stream.start",),
}


def required(method: str, targets_self: bool) -> str | None:
    """The permission that an RPC needs; None for one that is free.

    `targets_self` tells whether the member that it acts on is the caller; RPCs on the room do
    not look at it.
    """
    if action := _MEMBER_RPCS.get(method):
        return f"room.{'self' if targets_self else 'member'}.{action}"
    return _ROOM_RPCS.get(method) or _OTHERS_ONLY.get(method)


def allowed(method: str, targets_self: bool, scopes: Collection[str]) -> bool:
    """Whether a token with these scopes may call the RPC."""
    needed = required(method, targets_self)
    if needed is None or needed in scopes:
        return True
    if targets_self and method in _MEMBER_RPCS:
        return False
    return any(name in scopes for name in _ALTERNATIVES.get(method, ()))
