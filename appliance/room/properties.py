"""The readable side of a room session."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.media.audio_receiver import AudioReceiver
from appliance.media.capture import CameraCapture, MicCapture
from appliance.media.video_receiver import VideoReceiver
from appliance.signaling.payload import Payload

from .call import Call
from .devices import Devices, LocalStream
from .overlay import LocalOverlay
from .state import RoomState


@dataclass(frozen=True, slots=True)
class RemoteStream:
    """What is received of the room: the canvas, and the sound mixed for this member."""

    audio: AudioReceiver | None
    video: VideoReceiver | None


class RoomProperties:
    """What may be read of a session at any time; all of it is the session's to change."""

    _state: RoomState
    _devices: Devices
    _overlay: LocalOverlay
    _call: Call | None

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
    def local_stream(self) -> LocalStream | None:
        """The own captures, None before the join unless they were given."""
        return self._devices.local_stream

    @property
    def local_audio_track(self) -> MicCapture | None:
        """What captures the own sound."""
        return self._devices.microphone

    @property
    def local_video_track(self) -> CameraCapture | None:
        """What captures the own picture."""
        return self._devices.camera

    @property
    def local_overlay(self) -> LocalOverlay:
        """The own picture over its place on the canvas."""
        return self._overlay

    @property
    def remote_stream(self) -> RemoteStream | None:
        """What is received now, None while there is no call."""
        leg = None if self._call is None else self._call.leg
        return None if leg is None else RemoteStream(leg.audio, leg.video)

    @property
    def camera_id(self) -> str | None:
        """The id of the camera, None without one."""
        return None if self._devices.camera is None else self._devices.camera.device.id

    @property
    def camera_label(self) -> str | None:
        """The camera's name for people, None without one."""
        return None if self._devices.camera is None else self._devices.camera.device.label

    @property
    def microphone_id(self) -> str | None:
        """The id of the microphone, None without one."""
        return None if self._devices.microphone is None else self._devices.microphone.device.id

    @property
    def microphone_label(self) -> str | None:
        """The microphone's name for people, None without one."""
        return None if self._devices.microphone is None else self._devices.microphone.device.label

    @property
    def members(self) -> list[Payload]:
        """The members of the room as far as events have told; see also `get_members`."""
        return [Payload(member) for member in self._state.members]

    def stats(self) -> dict[str, int | float]:
        """The media's counters, as `MediaLeg.stats`; empty while there is no call."""
        leg = None if self._call is None else self._call.leg
        return {} if leg is None else leg.stats()
