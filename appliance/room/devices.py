"""The captures and playouts of a session: the caller's own, or made from the machine's devices."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from appliance.media.capture import CameraCapture, MicCapture
from appliance.media.gate import CameraGate, MicGate
from appliance.media.playout import DisplayPlayout, SpeakerPlayout
from hal import registry
from hal.camera import Camera, VideoFormat
from hal.device import Device
from hal.display import Display
from hal.errors import DeviceNotFound, HalError

from .errors import Overconstrained
from .plan import Constraints, MediaPlan

log = logging.getLogger(__name__)

DeviceKind = Literal["camera", "microphone", "speaker"]
Made = TypeVar("Made")

_CONSTRAINED: Final = (("width", "width"), ("height", "height"), ("frameRate", "rate"))
"""A constraint's name, and that of the field of VideoFormat."""


@dataclass(slots=True)
class LocalStream:
    """What the own member sends.  Whoever makes it starts and stops it."""

    microphone: MicCapture | None = None
    camera: CameraCapture | None = None


class Devices:
    """Everything that one session captures with and plays on.

    Captures and playouts given by the caller are used as they are; they are started if
    they were not yet, and left running at the end.  Others are made when the call needs
    them and stopped with it.  `on_device` is called on the loop when a device of a capture or
    playout made here fails (True), and when it works again (False).
    """

    def __init__(
        self,
        *,
        local_stream: LocalStream | None,
        speaker: SpeakerPlayout | None,
        display: Display | DisplayPlayout | None,
        speaker_id: str | None,
        allow_remote_unmute: bool,
    ) -> None:
        self.local_stream = local_stream
        self.speaker = speaker
        self.display = DisplayPlayout(display) if isinstance(display, Display) else display
        self.on_device: Callable[[DeviceKind, Device, bool], None] | None = None
        self._speaker_id = speaker_id
        self._allow_remote_unmute = allow_remote_unmute
        self._made: list[MicCapture | CameraCapture | SpeakerPlayout] = []
        self._made_stream = False
        self._made_display = isinstance(display, Display)
        self._failed: set[DeviceKind] = set()

    @property
    def microphone(self) -> MicCapture | None:
        """What captures sound, if any."""
        return None if self.local_stream is None else self.local_stream.microphone

    @property
    def camera(self) -> CameraCapture | None:
        """What captures pictures, if any."""
        return None if self.local_stream is None else self.local_stream.camera

    async def open(self, plan: MediaPlan, audio: Constraints, video: Constraints) -> None:
        """Make what the plan needs and nobody gave, and start everything.

        A device that does not open now is tried again while the call goes on.  Raises
        HalError when there is no such device at all, Overconstrained when the one there is
        cannot do what was asked.
        """
        camera: Camera | None = None
        if self.local_stream is None:
            microphone_capture = camera_capture = None
            if plan.send_audio:
                microphone_capture = await self._microphone(audio)
            if plan.send_video:
                camera, camera_capture = await self._camera(video)
            self.local_stream = LocalStream(microphone_capture, camera_capture)
            self._made_stream = True
        if plan.receive_audio and self.speaker is None:
            self.speaker = await self._speaker()
        starting: list[Awaitable[None]] = []
        if self.microphone is not None and plan.send_audio:
            starting.append(self.microphone.start())
        if self.camera is not None and plan.send_video:
            starting.append(self.camera.start())
        if self.speaker is not None and plan.receive_audio:
            starting.append(self.speaker.start())
        if self.display is not None:
            starting.append(self.display.start())
        await asyncio.gather(*starting)
        if camera is not None and self.camera is not None and not self.camera.failed:
            _check_format(camera.format, video)

    async def close(self) -> None:
        """Stop what was made here; the caller's own goes on."""
        made, self._made = self._made, []
        for one in made:
            one.on_error = None
        if self.local_stream is not None and self._made_stream:
            self.local_stream, self._made_stream = None, False
        if self.speaker in made:
            self.speaker = None
        stopping: list[Awaitable[None]] = [one.stop() for one in made]
        if self.display is not None and self._made_display:
            stopping.append(self.display.stop())
        await asyncio.gather(*stopping)
        self._failed.clear()

    async def _microphone(self, wish: Constraints) -> MicCapture:
        device = await _create(lambda **options: registry.create("microphone", **options), wish)
        gate = MicGate(allow_remote_unmute=self._allow_remote_unmute)
        capture = MicCapture(device, gate)
        self._watch("microphone", capture)
        return capture

    async def _camera(self, wish: Constraints) -> tuple[Camera, CameraCapture]:
        device = await _create(lambda **options: registry.create("camera", **options), wish)
        gate = CameraGate(allow_remote_unmute=self._allow_remote_unmute)
        capture = CameraCapture(device, gate, _wanted_format(wish))
        self._watch("camera", capture)
        return device, capture

    async def _speaker(self) -> SpeakerPlayout:
        wish = {} if self._speaker_id is None else {"deviceId": self._speaker_id}
        device = await _create(lambda **options: registry.create("speaker", **options), wish)
        playout = SpeakerPlayout(device)
        self._watch("speaker", playout)
        return playout

    def _watch(self, kind: DeviceKind, made: MicCapture | CameraCapture | SpeakerPlayout) -> None:
        self._made.append(made)

        def report(error: HalError | None) -> None:
            failed = error is not None
            if failed == (kind in self._failed):
                return
            (self._failed.add if failed else self._failed.discard)(kind)
            if self.on_device is not None:
                self.on_device(kind, made.device, failed)

        made.on_error = report


async def _create(make: Callable[..., Made], wish: Constraints) -> Made:
    device_id = _device_id(wish)
    options = {} if device_id is None else {"device": device_id}
    try:
        # Looking for devices reads files and asks libraries: not on the loop.
        return await asyncio.to_thread(make, **options)
    except DeviceNotFound as error:
        if device_id is None:
            raise
        raise Overconstrained("deviceId", str(error)) from error


def _device_id(wish: Constraints) -> str | None:
    value = _constraint(wish, "deviceId", "device_id")
    if isinstance(value, Mapping):
        value = value.get("exact", value.get("ideal"))
    return value if isinstance(value, str) and value else None


def _wanted_format(wish: Constraints) -> VideoFormat:
    wanted = VideoFormat()
    sizes: dict[str, float] = {}
    for name, attribute in _CONSTRAINED:
        limits = _limits(wish, name)
        value = limits.get("exact", limits.get("ideal", getattr(wanted, attribute)))
        value = min(max(value, limits.get("min", value)), limits.get("max", float("inf")))
        if value <= 0:
            raise Overconstrained(name, f"{name} must be more than 0, not {value:g}")
        sizes[attribute] = value
    return VideoFormat(int(sizes["width"]), int(sizes["height"]), sizes["rate"])


def _check_format(got: VideoFormat, wish: Constraints) -> None:
    for name, attribute in _CONSTRAINED:
        limits, value = _limits(wish, name), float(getattr(got, attribute))
        low = limits.get("exact", limits.get("min", value))
        high = limits.get("exact", limits.get("max", value))
        if not low - 0.5 <= value <= high + 0.5:
            raise Overconstrained(
                name, f"the camera gives {name} {value:g}, not {low:g} to {high:g}; ask for less"
            )


def _limits(wish: Constraints, name: str) -> dict[str, float]:
    """A constraint as numbers by `min`, `max`, `ideal`, `exact`; a bare number is `ideal`."""
    value = _constraint(wish, name, "frame_rate" if name == "frameRate" else name)
    given = value if isinstance(value, Mapping) else {"ideal": value}
    return {
        key: float(number)
        for key, number in given.items()
        if isinstance(number, int | float) and not isinstance(number, bool)
    }


def _constraint(wish: Constraints, *names: str) -> Any:
    if isinstance(wish, Mapping):
        for name in names:
            if name in wish:
                return wish[name]
    return None
