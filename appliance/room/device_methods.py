"""Changing the own devices in a call, without a word to the server."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Unpack

from appliance.media.constraints import MediaTrackConstraints, TrackWishes
from appliance.signaling.payload import Payload
from hal.device import Device
from hal.errors import HalError

from .call import Call
from .devices import DeviceKind, Devices
from .errors import Overconstrained
from .local_stream import LocalStream
from .muting import Muting
from .tasks import Tasks

log = logging.getLogger(__name__)

Wish = MediaTrackConstraints | Mapping[str, Any]


class DeviceMethods(ABC):
    """Another camera, microphone or loudspeaker takes the place of the one before.

    The media go on without a new negotiation, and whoever is muted stays muted.  What fails
    leaves everything as it was.  The events are `camera.updated` and its like, with
    `previous` and `current`, each of them with `deviceId` and `label`.
    """

    _devices: Devices
    _muting: Muting
    _call: Call | None
    _tasks: Tasks

    @abstractmethod
    def _require(self, what: str) -> None:
        """Raise NotJoined or SessionEnded while there is no room."""

    @abstractmethod
    def emit(self, event: str, *args: object) -> bool:
        """Tell the listeners."""

    async def update_camera(
        self, constraints: Wish | None = None, **wishes: Unpack[TrackWishes]
    ) -> None:
        """Send another camera's pictures, or the same one's in another format.

        Raises Overconstrained when no camera is as wished, HalError when it does not open,
        NotInUse when this call sends no pictures.
        """
        self._require("update_camera")
        wish = MediaTrackConstraints.of({**plain(constraints), **wishes})
        self._swapped("camera", *await self._devices.update_camera(wish))

    async def update_microphone(
        self, constraints: Wish | None = None, **wishes: Unpack[TrackWishes]
    ) -> None:
        """Send another microphone's sound; raises as `update_camera`."""
        self._require("update_microphone")
        wish = MediaTrackConstraints.of({**plain(constraints), **wishes})
        self._swapped("microphone", *await self._devices.update_microphone(wish))

    async def set_local_stream(self, stream: LocalStream) -> None:
        """Send what the caller's own captures give; a kind that it lacks goes on as it is.

        The gates of the session stay in force: the new captures obey them (`capture.gate` is
        that gate from now on), and whoever closes the gate that a capture came with closes
        the session's.  Raises HalError when a device does not open.
        """
        self._require("set_local_stream")
        if not isinstance(stream, LocalStream):
            raise TypeError(f"set_local_stream() needs a LocalStream, not {stream!r}")
        if stream.microphone is None and stream.camera is None:
            raise ValueError("the stream is empty: give it a microphone, a camera or both")
        changes = await self._devices.replace_stream(stream)
        leg = None if self._call is None else self._call.leg
        if leg is not None:
            leg.send_from(microphone=stream.microphone, camera=stream.camera)
        if stream.microphone is not None:
            await self._muting.replaced("audio", stream.microphone)
        if stream.camera is not None:
            await self._muting.replaced("video", stream.camera)
        self._stream_replaced()
        for change in changes:
            self._swapped(*change)

    def _wished(self, kind: str, wishes: dict[str, Any]) -> None:
        """The server would like to get other media."""
        if kind == "video":
            self._tasks.start(self._constrain_camera(wishes), "picture as the server wishes")

    async def _constrain_camera(self, wishes: dict[str, Any]) -> None:
        try:
            await self._devices.constrain_camera(wishes)
        except (Overconstrained, HalError, TypeError) as error:
            log.info("the picture is not as the server wishes: %s", error)

    def _stream_replaced(self) -> None:
        """The captures are others now."""

    def _device_changed(self, kind: DeviceKind, device: Device, error: HalError | None) -> None:
        if error is not None:
            self.emit(f"{kind}.disconnected", Payload(_about(device)))
        else:
            self._swapped(kind, device, device)

    def _swapped(self, kind: DeviceKind, previous: Device, current: Device) -> None:
        about = {"previous": _about(previous), "current": _about(current)}
        self.emit(f"{kind}.updated", Payload(about))


class SpeakerMethods(DeviceMethods):
    """The same for whoever also hears."""

    async def update_speaker(self, device_id: str) -> None:
        """Play on another loudspeaker.  Tells of it only where it is another one.

        Raises Overconstrained when there is none of that id, HalError when it does not
        open, NotInUse when this call receives no sound.
        """
        self._require("update_speaker")
        previous, current = await self._devices.update_speaker(device_id)
        if previous != current:
            self._swapped("speaker", previous, current)


def _about(device: Device) -> dict[str, str]:
    return {"deviceId": device.id, "label": device.label}


def plain(constraints: Wish | None) -> Mapping[str, Any]:
    """Constraints as a mapping."""
    if constraints is None:
        return {}
    if isinstance(constraints, Mapping):
        return constraints
    return constraints.to_dict()
