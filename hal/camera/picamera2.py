"""The camera of a Raspberry Pi, through Picamera2 and libcamera.

One capture gives both: YUV420 frames for the screen, and H.264 for the network.  A Pi up to
model 4 encodes in hardware, fed by Picamera2 with the camera's own buffers; a Pi 5 has no
encoder and runs libx264 here, in the thread that reads.

A camera is named by libcamera's id, its place in the device tree
("/base/axi/pcie@1000120000/rp1/i2c@88000/imx708@1a"), which is the same after a reboot.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final, Literal

from av import Packet, VideoFrame, VideoStream

from hal.camera import Camera, VideoFormat, pi_encoder
from hal.camera.libcamera_errors import failure, text_of
from hal.camera.pi_encoder import PiEncoder
from hal.camera.picamera2_buffer import copy
from hal.camera.picamera2_cameras import find, library, select
from hal.camera.rate import RateMeter
from hal.camera.sensor import SensorMode, choose_named, fit, parse
from hal.camera.tuning import Autofocus, Metering, Tuning, WhiteBalance
from hal.camera.x264 import X264
from hal.device import Device
from hal.errors import (
    BackendUnavailable,
    DeviceStalled,
    DeviceUnplugged,
    HalError,
    OptionInvalid,
)
from hal.optional import require

log = logging.getLogger(__name__)

Encoder = Literal["auto", "hardware", "x264", "none"]

STALL_S: Final = 1.0
BEGIN_S: Final = 3.0
"""The first picture may take longer: exposure and lens settle, and buffers are made."""

_LARGEST: Final = (3840, 2160)
_LEAST_BITRATE: Final = 100_000
_BACKLOG: Final = 8
"""Packets that may wait for a late reader; more are dropped up to the next keyframe."""

_TIME_BASE: Final = Fraction(1, 1_000_000)


class Picamera2Camera(Camera):
    """One camera on the ribbon cable.  pts is the moment of capture in microseconds of the
    kernel's CLOCK_BOOTTIME.
    """

    def __init__(
        self,
        *,
        device: str | None = None,
        encoder: Encoder = "auto",
        bitrate: int = 2_000_000,
        threads: int = 2,
        rotation: int = 0,
        hflip: bool = False,
        vflip: bool = False,
        sensor_mode: str | None = None,
        autofocus: Autofocus = "auto",
        focus_distance: float | None = None,
        exposure_us: int | None = None,
        gain: float | None = None,
        exposure_value: float | None = None,
        metering: Metering | None = None,
        flicker_hz: int | None = None,
        white_balance: WhiteBalance | None = None,
        brightness: float | None = None,
        contrast: float | None = None,
        saturation: float | None = None,
        sharpness: float | None = None,
        label: str | None = None,
    ) -> None:
        """`device` is an id of `devices`, the first one by default.  `encoder` "auto" is the
        hardware's where there is one and else libx264 with that many slice `threads`; "none"
        gives frames.  `rotation` is 0 or 180 degrees.  `sensor_mode` ("2304x1296") overrules
        the choice of `hal.camera.sensor`.  The rest: see `hal.camera.tuning.Tuning`.

        Raises OptionInvalid.
        """
        if encoder not in ("auto", "hardware", "x264", "none"):
            raise OptionInvalid(
                f"encoder {encoder!r} is unknown; use auto, hardware, x264, none", ["encoder"]
            )
        if rotation not in (0, 180):
            raise OptionInvalid(
                f"rotation {rotation} is more than the camera can; use 0 or 180", ["rotation"]
            )
        if not 1 <= threads <= 16:
            raise OptionInvalid(f"threads {threads} is out of range; use 1 to 16", ["threads"])
        if bitrate < _LEAST_BITRATE:
            raise OptionInvalid(
                f"bitrate {bitrate} is too low; use {_LEAST_BITRATE} or more", ["bitrate"]
            )
        self._tuning = Tuning(
            autofocus=autofocus,
            focus_distance=focus_distance,
            exposure_us=exposure_us,
            gain=gain,
            exposure_value=exposure_value,
            metering=metering,
            flicker_hz=flicker_hz,
            white_balance=white_balance,
            brightness=brightness,
            contrast=contrast,
            saturation=saturation,
            sharpness=sharpness,
        )
        self._wanted_encoder = encoder
        self._bitrate = bitrate
        self._threads = threads
        # Turned by 180 degrees is flipped both ways.
        turned = rotation == 180
        self._hflip, self._vflip = hflip != turned, vflip != turned
        self._mode_name = sensor_mode
        self._path, self._label = device, label
        self.device = Device(device or "", label or device or "first camera", "camera", "picamera2")
        self.format = VideoFormat()
        self._modes: list[SensorMode] | None = None
        self._meter = RateMeter()
        self._encoding = True
        self._keyframe = True
        self._pts = -1
        self._camera: Any = None
        self._hardware: PiEncoder | None = None
        self._software: X264 | None = None
        # What the threads of Picamera2 hand to the reader, under the lock of `_changed`.
        self._changed = threading.Condition()
        self._picture: VideoFrame | None = None
        self._fresh = False
        self._packets: deque[Packet[VideoStream]] = deque()
        self._broken = True
        """Whether the packets until the next keyframe are of no use."""
        self._error: HalError | None = None

    @classmethod
    def devices(cls) -> list[Device]:
        """See `Camera.devices`; USB cameras are left to the backend `v4l2`.  Raises
        BackendUnavailable."""
        return [device for _, device in find(library())]

    @property
    def preview(self) -> VideoFrame | None:
        """See `Camera.preview`."""
        return self._picture if self._encodes else None

    @property
    def measured_rate(self) -> float | None:
        """See `Camera.measured_rate`."""
        return self._meter.rate

    @property
    def _encodes(self) -> bool:
        return self._encoding and (self._hardware is not None or self._software is not None)

    @property
    def _what(self) -> str:
        return f"camera {self.device.id}"

    def open(self, wanted: VideoFormat) -> VideoFormat:
        """See `Camera.open`; also raises DeviceForbidden, DeviceStalled when no picture
        comes within BEGIN_S, and OptionInvalid for an option that this camera cannot take."""
        self.close()
        picamera2 = library()
        number, self.device = select(picamera2, self._path, self._label)
        try:
            camera = picamera2.Picamera2(number)
        except Exception as error:
            raise failure(error, self._what) from error
        try:
            self._begin(picamera2, camera, wanted)
        except Exception as error:
            self._camera = camera
            self.close()
            raise failure(error, self._what) from error
        self._camera = camera
        return self.format

    def read(self) -> VideoFrame | Packet[VideoStream]:
        """See `Camera.read`."""
        deadline = time.monotonic() + STALL_S
        frame: VideoFrame | None = None
        hardware = self._hardware is not None and self._encoding
        with self._changed:
            while frame is None:
                if self._camera is None:
                    raise DeviceUnplugged(f"{self._what} is not open; open it first")
                if self._error is not None:
                    raise self._error
                if hardware and self._packets:
                    return self._packets.popleft()
                if not hardware and self._fresh:
                    self._fresh = False
                    frame = self._picture
                else:
                    self._wait(deadline)
        if self._software is None or not self._encoding:
            return frame
        keyframe, self._keyframe = self._keyframe, False
        self._software.set_bitrate(self._bitrate)
        return self._software.encode(frame, keyframe=keyframe)

    def close(self) -> None:
        """See `Camera.close`."""
        with self._changed:
            camera, self._camera = self._camera, None
            hardware, self._hardware = self._hardware, None
            self._software = None
            self._picture, self._fresh = None, False
            self._packets.clear()
            self._changed.notify_all()
        if camera is None:
            return
        # The encoder first: its thread may hold buffers of the camera.
        steps: list[Callable[[], object]] = [] if hardware is None else [hardware.stop]
        steps.append(camera.close)
        for step in steps:
            try:
                step()
            except Exception as error:
                log.warning("%s: something stayed open: %s", self._what, text_of(error))

    def request_keyframe(self) -> None:
        """See `Camera.request_keyframe`; requests before the next picture are one."""
        self._keyframe = True
        hardware = self._hardware
        if hardware is not None:
            hardware.request_keyframe()

    def set_bitrate(self, bps: int) -> None:
        """See `Camera.set_bitrate`; `pi_encoder.FLOOR` at least where the hardware encodes.
        Takes effect with the next picture."""
        self._bitrate = max(bps, _LEAST_BITRATE)
        hardware = self._hardware
        if hardware is not None:
            hardware.set_bitrate(bps)

    def set_encoding(self, wanted: bool) -> None:
        """See `Camera.set_encoding`."""
        with self._changed:
            if wanted == self._encoding:
                return
            self._encoding = self._broken = wanted
            self._packets.clear()
            if self._hardware is not None:
                self._hardware.enabled = wanted
        self.request_keyframe()

    def _begin(self, picamera2: Any, camera: Any, wanted: VideoFormat) -> None:
        libcamera = require("libcamera", "install Debian's package python3-libcamera")
        with_hardware = self._has_hardware(picamera2)
        if self._modes is None:
            # A camera that names no colour filter gives no raw data: asking would fail.
            raw = "ColorFilterArrangement" in camera.camera_properties
            self._modes = parse(camera.sensor_modes) if raw else []
        mode = choose_named(self._modes, self._mode_name, wanted)
        largest = pi_encoder.LARGEST if with_hardware else _LARGEST
        if mode is not None:
            largest = (min(largest[0], mode.width), min(largest[1], mode.height))
        asked = fit(wanted, largest, mode.rate if mode is not None else wanted.rate)
        sensor = {}
        if mode is not None:
            sensor = {"output_size": (mode.width, mode.height), "bit_depth": mode.bit_depth}
        controls = self._tuning.controls(camera.camera_controls, libcamera.controls)
        duration = round(1e6 / asked.rate)
        camera.configure(
            camera.create_video_configuration(
                main={"size": (asked.width, asked.height), "format": "YUV420"},
                raw=None,
                sensor=sensor,
                transform=libcamera.Transform(hflip=self._hflip, vflip=self._vflip),
                controls={"FrameDurationLimits": (duration, duration), **controls},
                display=None,
                queue=False,
            )
        )
        stream = camera.stream_configuration("main")
        width, height = stream["size"]
        self.format = VideoFormat(width, height, asked.rate)
        self._meter.reset()
        with self._changed:
            self._error = None
            self._keyframe = self._broken = True
            self._picture, self._fresh = None, False
            self._packets.clear()
            self._pts = -1
        camera.post_callback = self._captured
        if with_hardware:
            self._start_hardware(camera)
        if self._hardware is None and self._wanted_encoder != "none":
            self._software = X264(self.format, self._bitrate, self._threads)
        camera.start()
        self._await_first()

    def _await_first(self) -> None:
        deadline = time.monotonic() + BEGIN_S
        with self._changed:
            while self._picture is None and self._error is None:
                self._wait(deadline)

    def _wait(self, deadline: float) -> None:
        """Wait for a change, under its lock.  Raises DeviceStalled after the deadline."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise DeviceStalled(f"{self._what} gives no picture; check its ribbon cable")
        self._changed.wait(left)

    def _has_hardware(self, picamera2: Any) -> bool:
        if self._wanted_encoder not in ("auto", "hardware"):
            return False
        there = pi_encoder.available(picamera2)
        if not there and self._wanted_encoder == "hardware":
            raise BackendUnavailable(
                "this machine has no H.264 encoder in hardware; set encoder to 'auto'"
            )
        return there

    def _start_hardware(self, camera: Any) -> None:
        try:
            self._hardware = PiEncoder(
                camera, self.format, self._bitrate, self._encoded, self._fail
            )
        except HalError as error:
            if self._wanted_encoder == "hardware":
                raise
            log.warning("%s: falling back to libx264: %s", self._what, error)
        else:
            self._hardware.enabled = self._encoding

    def _captured(self, request: Any) -> None:
        """Take over a picture.  On Picamera2's thread, which must not see an exception: it
        would end, and with it the camera."""
        try:
            frame, moment = copy(request, self._what)
        except Exception as error:
            self._fail(error)
            return
        self._meter.tick(moment / 1e6)
        self._pts = max(moment, self._pts + 1)
        frame.pts = self._pts
        frame.time_base = _TIME_BASE
        with self._changed:
            self._picture, self._fresh = frame, True
            self._changed.notify_all()

    def _encoded(self, packet: Packet[VideoStream]) -> None:
        """Take over a packet, on the encoder's thread."""
        with self._changed:
            if not self._encoding:
                return
            if len(self._packets) >= _BACKLOG:
                self._packets.clear()
                self._broken = True
                self.request_keyframe()
            if self._broken and not packet.is_keyframe:
                return
            self._broken = False
            self._packets.append(packet)
            self._changed.notify_all()

    def _fail(self, error: Exception) -> None:
        with self._changed:
            if self._error is None:
                self._error = (
                    error
                    if isinstance(error, HalError)
                    else DeviceUnplugged(f"{self._what} failed ({text_of(error)}); open it again")
                )
            self._changed.notify_all()
