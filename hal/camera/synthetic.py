"""A camera that draws `hal.camera.scene`, in real time, with faults on demand."""

from __future__ import annotations

import math
import time
from fractions import Fraction
from typing import Final

from av import VideoFrame

from hal.camera import Camera, VideoFormat
from hal.camera.scene import Scene
from hal.device import Device
from hal.virtual import LISTED, PREFIX, Faults, Faulty, number_of

TIME_BASE: Final = Fraction(1, 90_000)
"""The clock of video in RTP, so that pts needs no conversion on the way."""


class SyntheticCamera(Faulty, Camera):
    """Paced to its rate by CLOCK_MONOTONIC; a reader that is late gets the newest
    picture, and the frame counter in the scene shows how many it missed.
    """

    def __init__(
        self,
        *,
        device: str | None = None,
        device_id: int = 1,
        seed: int = 0,
        label: str | None = None,
    ) -> None:
        """`device_id` is the camera number in the scene, 0..255; `device` is the same as
        an id ("synthetic:7") and goes first.  `seed` varies background and movement.

        Raises OptionInvalid.
        """
        number = number_of(device, device_id)
        self.device = Device(
            f"{PREFIX}{number}", label or f"Synthetic camera {number}", "camera", "synthetic"
        )
        self.format = VideoFormat()
        self._number = number
        self._seed = seed
        self._faults = Faults(f"camera {self.device.id}")
        # Drawn when it is opened: a look at the devices every now and then needs no picture.
        self._scene: Scene | None = None
        self._start = 0.0
        self._next = 0

    @classmethod
    def devices(cls) -> list[Device]:
        """Two cameras, numbers 1 and 2; any other number can be opened as well."""
        return [cls(device_id=number).device for number in LISTED]

    def open(self, wanted: VideoFormat) -> VideoFormat:
        """See `Camera.open`; sizes from 64x36 to 3840x2160 in even numbers, 1 to 60
        frames a second."""
        self._faults.attach()
        self.format = VideoFormat(
            width=_even(min(max(wanted.width, 64), 3840)),
            height=_even(min(max(wanted.height, 36), 2160)),
            rate=min(max(wanted.rate, 1.0), 60.0),
        )
        self._scene = Scene(self._number, self.format.width, self.format.height, self._seed)
        self._start = time.monotonic()
        self._next = 0
        return self.format

    def read(self) -> VideoFrame:
        """See `Camera.read`."""
        rate = self.format.rate
        self._faults.wait_until(self._start + self._next / rate)
        newest = math.floor((time.monotonic() - self._start) * rate)
        number = max(self._next, newest)
        self._next = number + 1
        assert self._scene is not None, "see Camera.read"
        frame = self._scene.draw(number)
        frame.pts = round(number / rate / TIME_BASE)
        frame.time_base = TIME_BASE
        return frame


def _even(value: int) -> int:
    return value // 2 * 2
