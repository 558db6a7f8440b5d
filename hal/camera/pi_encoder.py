"""The H.264 encoder of a Raspberry Pi up to model 4, fed by Picamera2 with the camera's own
buffers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, cast

from av import Packet, VideoStream

from hal.camera import VideoFormat, codec_controls
from hal.camera.h264 import ParameterSets
from hal.errors import from_os
from hal.optional import require

FLOOR: Final = 600_000
"""Bits a second below which this encoder gives no more pictures."""

LARGEST: Final = (1920, 1080)

_NODE: Final = "/dev/video11"
"""Where the kernel puts the encoder, and Picamera2 expects it."""

_KEYFRAME_EVERY_S: Final = 3600
"""Keyframes come on demand; the hardware's own period is put out of the way."""

_TIME_BASE: Final = Fraction(1, 1_000_000)

Sink = Callable[["Packet[VideoStream]"], None]


def available(picamera2: Any) -> bool:
    """Whether this machine has the encoder."""
    vc4: bool = picamera2.get_platform() == picamera2.Platform.VC4
    return vc4 and Path(_NODE).exists()


class PiEncoder:
    """One running encoder.

    `sink` gets each packet, with a keyframe's parameter sets and the time of capture in
    microseconds, on the encoder's thread; `fail` gets what went wrong.  Neither may raise.
    """

    def __init__(
        self, camera: Any, size: VideoFormat, bitrate: int, sink: Sink, fail: Callable[..., None]
    ) -> None:
        """Start with a configured `Picamera2`.  Raises HalError, as `from_os`."""
        encoders = require("picamera2.encoders", "install the Python package picamera2 anew")
        outputs = require("picamera2.outputs", "install the Python package picamera2 anew")
        self.enabled = True
        """Whether pictures are encoded; the camera goes on without."""
        self._camera = camera
        self._sink = sink
        self._fail = fail
        self._lock = threading.Lock()
        self._bitrate = self._told = max(bitrate, FLOOR)
        self._keyframe = True
        self._parameters = ParameterSets()
        self._encoder = encoders.H264Encoder(
            bitrate=self._bitrate,
            repeat=True,
            iperiod=round(size.rate * _KEYFRAME_EVERY_S),
            framerate=size.rate,
            profile="constrained baseline",
        )
        # Picamera2 calls both through the objects: no subclass has to be made of a library
        # that most machines lack.
        self._encode = self._encoder.encode
        self._encoder.encode = self._feed
        output = outputs.Output()
        output.outputframe = self._encoded
        try:
            camera.start_encoder(self._encoder, output, name="main")
        except OSError as error:
            with suppress(Exception):
                self._encoder.stop()  # ends its thread, where it came as far as that
            raise from_os(error, f"the encoder {_NODE}", group="video") from error

    def set_bitrate(self, bps: int) -> None:
        """The target in bit/s, FLOOR at least, from the next picture on."""
        with self._lock:
            self._bitrate = max(bps, FLOOR)

    def request_keyframe(self) -> None:
        """Make the next picture a keyframe; requests before it are one."""
        with self._lock:
            self._keyframe = True

    def stop(self) -> None:
        """End it.  Raises what Picamera2 raises."""
        self._camera.stop_encoder(self._encoder)

    def _feed(self, *args: Any) -> None:
        """Encode one picture, with what was asked for since the last one.  On Picamera2's
        thread, which must not see an exception: it would end, and with it the camera."""
        if not self.enabled:
            return
        try:
            with self._lock:
                keyframe, self._keyframe = self._keyframe, False
                bitrate = self._bitrate
            if bitrate != self._told:
                codec_controls.set_bitrate(self._encoder.vd.fileno(), bitrate)
                self._told = bitrate
            if keyframe:
                # By ourselves: Picamera2 would make one keyframe for each of many requests.
                codec_controls.force_keyframe(self._encoder.vd.fileno())
            self._encode(*args)
        except Exception as error:
            self._fail(error)

    def _encoded(self, data: bytes, keyframe: bool = True, moment: int = 0, *_: object) -> None:
        """A packet, `moment` microseconds after the first picture."""
        del keyframe  # the driver's word; the bytes tell it for sure
        try:
            whole, key = self._parameters.complete(bytes(data))
            packet = cast("Packet[VideoStream]", Packet(whole))
            packet.pts = packet.dts = (self._encoder.firsttimestamp or 0) + moment
            packet.time_base = _TIME_BASE
            packet.is_keyframe = key
        except Exception as error:
            self._fail(error)
        else:
            self._sink(packet)
