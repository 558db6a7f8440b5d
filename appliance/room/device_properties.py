"""The readable side of the own devices in a call."""

from __future__ import annotations

from appliance.media.capture import CameraCapture, MicCapture

from .call import Call
from .devices import Devices
from .local_stream import LocalStream


class DeviceProperties:
    """What may be read of the own devices in a call, and of the call itself."""

    _devices: Devices
    _call: Call | None

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

    def stats(self) -> dict[str, int | float]:
        """The media's counters, as `MediaLeg.stats`; empty while there is no call."""
        leg = None if self._call is None else self._call.leg
        return {} if leg is None else leg.stats()
