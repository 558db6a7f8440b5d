"""The readable side of a room session."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.media.audio_receiver import AudioReceiver
from appliance.media.video_receiver import VideoReceiver
from appliance.signaling.payload import Payload

from .device_properties import DeviceProperties
from .extra_leg import RoomSessionDevice, RoomSessionScreenShare
from .extra_legs import ExtraLegs
from .overlay import LocalOverlay
from .state import RoomState


@dataclass(frozen=True, slots=True)
class RemoteStream:
    """What is received of the room: the canvas, and the sound mixed for this member."""

    audio: AudioReceiver | None
    video: VideoReceiver | None


class RoomProperties(DeviceProperties):
    """What may be read of a session at any time; all of it is the session's to change."""

    _state: RoomState
    _overlay: LocalOverlay
    _legs: ExtraLegs

    @property
    def member_id(self) -> str | None:
        """The id of the own member, None before the join."""
        return self._state.member_id

    @property
    def room_id(self) -> str | None:
        """The id of the room, None before the join."""
        return self._state.room_id

    @property
    def room_session_id(self) -> str | None:
        """The id of the room's present session, None before the join."""
        return self._state.room_session_id

    @property
    def preview_url(self) -> str | None:
        """Where the room's preview is, for a room that has one."""
        return self._state.preview_url

    @property
    def permissions(self) -> list[str]:
        """What the own member may do now; empty before the join."""
        return self._state.permissions

    @property
    def interactivity_mode(self) -> str:
        """ "member" or "audience"; empty before the join."""
        return self._state.interactivity_mode

    @property
    def local_overlay(self) -> LocalOverlay:
        """The own picture over its place on the canvas."""
        return self._overlay

    @property
    def device_list(self) -> list[RoomSessionDevice]:
        """The extra cameras and microphones that are in the room now."""
        return [leg for leg in self._legs.present if isinstance(leg, RoomSessionDevice)]

    @property
    def screen_share_list(self) -> list[RoomSessionScreenShare]:
        """The own screens that are in the room now."""
        return [leg for leg in self._legs.present if isinstance(leg, RoomSessionScreenShare)]

    @property
    def remote_stream(self) -> RemoteStream | None:
        """What is received now, None while there is no call."""
        leg = None if self._call is None else self._call.leg
        return None if leg is None else RemoteStream(leg.audio, leg.video)

    @property
    def members(self) -> list[Payload]:
        """The members of the room as far as events have told; see also `get_members`."""
        return [Payload(member) for member in self._state.members]
