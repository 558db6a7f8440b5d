"""The methods of a room that are one request each.

A method of the API is a method here: its RPC, its parameters, and what comes back.  Where
it is about a member and names none, it means the own one.  Each raises NotJoined before
the join, PermissionDenied when the token does not allow it, NotFound when the member
does not exist, and otherwise what `Connection.request` raises.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from appliance.signaling.payload import Payload

from .mute import MuteSync

MediaAllowed = Literal["all", "audio-only", "video-only"]


class MemberMethods(ABC):
    """What can be done to a member; also to one that is an extra leg of ours."""

    @property
    @abstractmethod
    def member_id(self) -> str | None:
        """The own member, None before the join."""

    @abstractmethod
    async def _rpc(self, method: str, **params: Any) -> Payload:
        """Send `video.<method>` with the room's id and these parameters."""

    @abstractmethod
    def _mute_sync(self, kind: Literal["audio", "video"]) -> MuteSync | None:
        """What mutes the own device of that kind; None where the member sends none."""

    async def _member(self, verb: str, member_id: str | None, **params: Any) -> Payload:
        return await self._rpc(f"member.{verb}", member_id=member_id or self.member_id, **params)

    def _own_device(
        self, kind: Literal["audio", "video"], member_id: str | None
    ) -> MuteSync | None:
        return self._mute_sync(kind) if member_id in (None, self.member_id) else None

    async def audio_mute(self, member_id: str | None = None) -> None:
        """Mute a microphone.  Permission: `room.self.audio_mute` or `room.member.audio_mute`.

        The own one is silent before this waits for anything, and stays so when it raises.
        """
        if (device := self._own_device("audio", member_id)) is not None:
            await device.mute()
        else:
            await self._member("audio_mute", member_id)

    async def audio_unmute(self, member_id: str | None = None) -> None:
        """Unmute a microphone.  Permission: `room.self.audio_unmute` or
        `room.member.audio_unmute`.

        The own one opens after the server has agreed.  Raises GateHeld when a person in
        the room, a switch or the watchdog keeps it closed.
        """
        if (device := self._own_device("audio", member_id)) is not None:
            await device.unmute()
        else:
            await self._member("audio_unmute", member_id)

    async def video_mute(self, member_id: str | None = None) -> None:
        """Stop a camera's picture.  Permission: `room.self.video_mute` or
        `room.member.video_mute`.

        The own picture stops before this waits for anything, and stays so when it raises.
        """
        if (device := self._own_device("video", member_id)) is not None:
            await device.mute()
        else:
            await self._member("video_mute", member_id)

    async def video_unmute(self, member_id: str | None = None) -> None:
        """Show a camera's picture again.  Permission: `room.self.video_unmute` or
        `room.member.video_unmute`.  Raises GateHeld as `audio_unmute`."""
        if (device := self._own_device("video", member_id)) is not None:
            await device.unmute()
        else:
            await self._member("video_unmute", member_id)

    async def set_input_volume(self, volume: float, member_id: str | None = None) -> None:
        """Set what the others hear of a member: -50 to 50, 0 is as it came.  Permission:
        `room.self.set_input_volume` or `room.member.set_input_volume`."""
        await self._member("set_input_volume", member_id, volume=volume)

    async def set_microphone_volume(self, volume: float, member_id: str | None = None) -> None:
        """Another name of `set_input_volume`."""
        await self.set_input_volume(volume, member_id)

    async def set_input_sensitivity(self, value: float, member_id: str | None = None) -> None:
        """Set the level at which a member counts as talking: 0 (never) to 100.  Permission:
        `room.self.set_input_sensitivity` or `room.member.set_input_sensitivity`."""
        await self._member("set_input_sensitivity", member_id, value=value)


class RoomMethods(MemberMethods):
    """What can be done to a room and its members."""

    # --- members

    async def get_members(self) -> Payload:
        """The members now, as `.members`."""
        return _only(await self._rpc("members.get"), "members", [])

    async def get_member_list(self) -> Payload:
        """Another name of `get_members`."""
        return await self.get_members()

    async def remove_member(self, member_id: str) -> None:
        """Remove a member from the room.  Permission: `room.member.remove`."""
        if not member_id:
            raise TypeError("remove_member() needs a member_id; see get_members()")
        await self._rpc("member.remove", member_id=member_id)

    async def remove_all_members(self) -> None:
        """Remove everybody, the own member too: the room session ends.  Permission:
        `room.member.remove`."""
        await self._rpc("member.remove", member_id="all")

    async def deaf(self, member_id: str | None = None) -> None:
        """Let a member hear nothing; this mutes its microphone too.  Permission:
        `room.self.deaf` or `room.member.deaf`."""
        if (device := self._own_device("audio", member_id)) is not None:
            await device.along_with(lambda: self._member("deaf", member_id), muted=True)
        else:
            await self._member("deaf", member_id)

    async def undeaf(self, member_id: str | None = None) -> None:
        """Let a member hear again; this unmutes its microphone too, unless somebody
        with a better right keeps it closed.  Permission: `room.self.undeaf` or
        `room.member.undeaf`."""
        if (device := self._own_device("audio", member_id)) is not None:
            await device.along_with(lambda: self._member("undeaf", member_id), muted=False)
        else:
            await self._member("undeaf", member_id)

    async def set_output_volume(self, volume: float, member_id: str | None = None) -> None:
        """Set how loud a member hears the room: -50 to 50, 0 is as it is.  Permission:
        `room.self.set_output_volume` or `room.member.set_output_volume`."""
        await self._member("set_output_volume", member_id, volume=volume)

    async def set_speaker_volume(self, volume: float, member_id: str | None = None) -> None:
        """Another name of `set_output_volume`."""
        await self.set_output_volume(volume, member_id)

    async def set_raised_hand(self, raised: bool = True, member_id: str | None = None) -> None:
        """Raise or lower a member's hand.  Permission: `room.self.raisehand` or
        `room.self.lowerhand`, or the same with `room.member`."""
        await self._member("raisehand" if raised else "lowerhand", member_id)

    async def set_prioritize_handraise(self, enable: bool) -> None:
        """Let raised hands come first in the layout.  Permission:
        `room.prioritize_handraise`."""
        await self._rpc("prioritize_handraise", enable=enable)

    async def promote(
        self,
        member_id: str,
        *,
        media_allowed: MediaAllowed | None = None,
        join_audio_muted: bool | None = None,
        join_video_muted: bool | None = None,
        permissions: Iterable[str] | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        """Make an audience participant a member, who may send `media_allowed`.  Permission:
        `room.member.promote`."""
        wishes = {
            "media_allowed": media_allowed,
            "join_audio_muted": join_audio_muted,
            "join_video_muted": join_video_muted,
            "permissions": None if permissions is None else list(permissions),
            "meta": None if meta is None else dict(meta),
        }
        await self._member("promote", member_id, **_given(wishes))

    async def demote(
        self, member_id: str | None = None, *, media_allowed: MediaAllowed | None = None
    ) -> None:
        """Make a member an audience participant, who may receive `media_allowed`.
        Permission: `room.member.demote`."""
        await self._member("demote", member_id, **_given({"media_allowed": media_allowed}))

    # --- layout

    async def get_layouts(self) -> Payload:
        """The names of the layouts that the room has, as `.layouts`.  Permission:
        `room.list_available_layouts`."""
        return _only(await self._rpc("list_available_layouts"), "layouts", [])

    async def get_layout_list(self) -> Payload:
        """Another name of `get_layouts`."""
        return await self.get_layouts()

    async def set_layout(self, name: str, positions: Mapping[str, str] | None = None) -> None:
        """Change the layout, and with it positions by member id (or "self").  Permission:
        `room.set_layout`, and `room.set_position` where positions are given."""
        wishes = {"positions": None if positions is None else dict(positions)}
        await self._rpc("set_layout", name=name, **_given(wishes))

    async def set_member_position(self, position: str, member_id: str | None = None) -> None:
        """Put a member at a position: "auto", "reserved-N", "standard-N" or "off-canvas".
        Permission: `room.self.set_position` or `room.member.set_position`."""
        await self._member("set_position", member_id, position=position)

    async def set_positions(self, positions: Mapping[str, str]) -> None:
        """Put several members at positions, by member id.  Permission: `room.set_position`."""
        await self._rpc("set_position", positions=dict(positions))

    async def set_hide_video_muted(self, value: bool) -> None:
        """Hide members without a picture, or show them by a mute image.  Permission:
        `room.hide_video_muted` or `room.show_video_muted`."""
        await self._rpc("hide_video_muted" if value else "show_video_muted")

    async def hide_video_muted(self) -> None:
        """Deprecated: `set_hide_video_muted(True)`."""
        deprecated("hide_video_muted()", "set_hide_video_muted(True)")
        await self.set_hide_video_muted(True)

    async def show_video_muted(self) -> None:
        """Deprecated: `set_hide_video_muted(False)`."""
        deprecated("show_video_muted()", "set_hide_video_muted(False)")
        await self.set_hide_video_muted(False)

    # --- room

    async def lock(self) -> None:
        """Let nobody in any more.  Permission: `room.lock`."""
        await self._rpc("lock")

    async def unlock(self) -> None:
        """Let people in again.  Permission: `room.unlock`."""
        await self._rpc("unlock")

    # --- meta

    async def get_meta(self) -> Payload:
        """The room session's metadata, as `.meta`."""
        return _only(await self._rpc("get_meta"), "meta", {})

    async def set_meta(self, meta: Mapping[str, Any]) -> None:
        """Replace the room session's metadata.  Permission: `room.set_meta`."""
        await self._rpc("set_meta", meta=dict(meta))

    async def update_meta(self, meta: Mapping[str, Any]) -> None:
        """Set some keys of the room session's metadata.  Permission: `room.set_meta`."""
        await self._rpc("update_meta", meta=dict(meta))

    async def delete_meta(self, keys: Iterable[str]) -> None:
        """Delete some keys of the room session's metadata.  Permission: `room.set_meta`."""
        await self._rpc("delete_meta", keys=_keys(keys))

    async def get_member_meta(self, member_id: str | None = None) -> Payload:
        """A member's metadata, as `.meta`."""
        return _only(await self._member("get_meta", member_id), "meta", {})

    async def set_member_meta(self, meta: Mapping[str, Any], member_id: str | None = None) -> None:
        """Replace a member's metadata.  Permission: `room.self.set_meta` or
        `room.member.set_meta`."""
        await self._member("set_meta", member_id, meta=dict(meta))

    async def update_member_meta(
        self, meta: Mapping[str, Any], member_id: str | None = None
    ) -> None:
        """Set some keys of a member's metadata.  Permission: as `set_member_meta`."""
        await self._member("update_meta", member_id, meta=dict(meta))

    async def delete_member_meta(self, keys: Iterable[str], member_id: str | None = None) -> None:
        """Delete some keys of a member's metadata.  Permission: as `set_member_meta`."""
        await self._member("delete_meta", member_id, keys=_keys(keys))


def deprecated(name: str, instead: str) -> None:
    """Warn whoever called the caller of this, once for each place in a script."""
    warnings.warn(f"{name} is deprecated; use {instead}", DeprecationWarning, stacklevel=3)


def _only(result: Payload, field: str, nothing: object) -> Payload:
    """The one field of an answer that the API speaks of, without its code and message."""
    return Payload({field: result.to_dict().get(field, nothing)})


def _given(wishes: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that the caller set: the wire leaves the others out."""
    return {name: value for name, value in wishes.items() if value is not None}


def _keys(keys: Iterable[str]) -> list[str]:
    if isinstance(keys, str):
        raise TypeError(f"keys must be a list of strings: [{keys!r}]")
    return list(keys)
