"""A room, its members and its places in the words of the wire."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from appliance.hub.members import Member
    from appliance.hub.room import Room
    from appliance.hub.sessions import Session

__all__ = ["LIST_SCOPES", "about_layout", "about_member", "ids", "member_wire", "snapshot"]

#: Who is told of recordings, playbacks and streams, and gets them in lists.
LIST_SCOPES: Final[Mapping[str, tuple[str, ...]]] = {
    "recordings": ("room.recording",),
    "playbacks": ("room.playback",),
    "streams": ("room.stream", "room.stream.start"),
}


def ids(room: Room) -> dict[str, Any]:
    """What every event of a room says of it."""
    return {"room_id": room.id, "room_session_id": room.session_id}


def member_wire(room: Room, member: Member) -> dict[str, Any]:
    """A member with all its fields."""
    return {
        "id": member.id,
        **ids(room),
        "scope_id": member.session.scope_id,
        "name": member.name,
        "type": member.type,
        "parent_id": member.parent_id,
        "requested_position": member.requested_position,
        "current_position": room.seats.position(member.id),
        "handraised": member.handraised,
        "visible": member.visible,
        "audio_muted": member.audio_muted,
        "video_muted": member.video_muted,
        "deaf": member.deaf,
        "on_hold": member.on_hold,
        "input_volume": member.input_volume,
        "output_volume": member.output_volume,
        "input_sensitivity": member.input_sensitivity,
        "talking": member.voice.active,
        "meta": member.meta,
    }


def about_member(room: Room, member: Member, news: Collection[str] | None = None) -> dict[str, Any]:
    """The body of an event that is about a member; `news` are the properties that have changed,
    where it is about a change."""
    wire = member_wire(room, member)
    if news is not None:
        wire["updated"] = [name for name in news if name in wire]
    return {**ids(room), "member": wire}


def about_layout(room: Room) -> dict[str, Any]:
    """The body of ``video.layout.changed``."""
    layers = [layer.to_wire() for layer in room.seats.layers]
    layout = {"name": room.layout_name, **ids(room), "layers": layers}
    return {**ids(room), "layout": layout}


def snapshot(room: Room, client: Session | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The room as ``room_session`` and as ``room`` of ``video.room.subscribed``: for one client,
    or without what needs a permission."""
    scopes = frozenset() if client is None else client.scopes

    def may(name: str) -> bool:
        return any(scope in scopes for scope in LIST_SCOPES[name])

    about: dict[str, Any] = {
        **ids(room),
        "project_id": room.project,
        "event_channel": room.event_channel,
        "name": room.name,
        "display_name": room.display_name,
        "layout_name": room.layout_name,
        "locked": room.locked,
        "recording": room.recording,
        "streaming": room.streaming,
        "hide_video_muted": room.hide_video_muted,
        "prioritize_handraise": room.prioritize_handraise,
        "meta": room.meta,
        "audience_count": room.audience_count,
        "recordings": [one.state.to_wire() for one in room.recordings.values()]
        if may("recordings")
        else [],
        "playbacks": [one.state.to_wire() for one in room.playbacks.values()]
        if may("playbacks")
        else [],
        "streams": list(room.streams.values()) if may("streams") else [],
        "members": [member_wire(room, member) for member in room.people()],
        "logos_visible": True,
        "blind_mode": False,
        "silent_mode": False,
        "meeting_mode": False,
    }
    if room.preview_url is not None:
        near = client is not None and client.origin
        about["preview_url"] = f"{near}{room.preview_path}" if near else room.preview_url
    return {"id": room.session_id, **about}, about
