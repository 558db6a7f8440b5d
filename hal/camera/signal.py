"""A capture input: a camera that counts as plugged in only while something comes in.

An HDMI dongle is a camera to the system whether or not a computer is at its other end.  Without
one, some give nothing and some give pictures of one colour for ever.  Both are told here for what
they are.  A dongle that draws its own picture ("no signal" in letters, colour bars) cannot be told
from a computer.
"""

from __future__ import annotations

import time
from typing import Final

from av import Packet, VideoFrame, VideoStream

from hal.camera import Camera, VideoFormat
from hal.device import Device
from hal.errors import DeviceNotFound, DeviceStalled, DeviceUnplugged
from hal.planes import plane

PATIENCE: Final = 5.0
"""Seconds without a picture of anything after which there is no signal.  A computer that changes
its mode is dark for one or two."""

_FLAT: Final = 4.0
"""The widest spread of luma, of 255, that still is one colour: the noise of an analogue stage and
of MJPEG is below, a mouse pointer on a plain desktop above."""

_STEP: Final = 4
"""Every fourth pixel of every fourth row is looked at: a mouse pointer covers some of them."""


class SignalCamera(Camera):
    """Another camera, whose missing signal is an error.  Otherwise as that one."""

    def __init__(self, inner: Camera, *, patience: float = PATIENCE) -> None:
        """`patience` is in seconds."""
        self.inner: Final = inner
        self.device = inner.device
        self.format = inner.format
        self._patience = patience
        self._seen = 0.0
        self._first: VideoFrame | Packet[VideoStream] | None = None

    @classmethod
    def devices(cls) -> list[Device]:
        """None of its own."""
        return []

    def open(self, wanted: VideoFormat) -> VideoFormat:
        """See `Camera.open`; waits for a signal, and raises DeviceNotFound where none comes."""
        try:
            self.format = self.inner.open(wanted)
        except DeviceStalled as error:
            raise self._no_signal(DeviceNotFound) from error
        self.device = self.inner.device
        deadline = time.monotonic() + self._patience
        try:
            self._first = self._begin(deadline)
        except BaseException:
            self.inner.close()
            raise
        self._seen = time.monotonic()
        return self.format

    def read(self) -> VideoFrame | Packet[VideoStream]:
        """See `Camera.read`; DeviceUnplugged as well when the signal has gone."""
        first, self._first = self._first, None
        if first is not None:
            return first
        item = self.inner.read()
        now = time.monotonic()
        if self._shows(item):
            self._seen = now
        elif now - self._seen > self._patience:
            raise self._no_signal(DeviceUnplugged)
        return item

    def close(self) -> None:
        """See `Camera.close`."""
        self._first = None
        self.inner.close()

    def request_keyframe(self) -> None:
        """See `Camera.request_keyframe`."""
        self.inner.request_keyframe()

    def set_bitrate(self, bps: int) -> None:
        """See `Camera.set_bitrate`."""
        self.inner.set_bitrate(bps)

    def set_encoding(self, wanted: bool) -> None:
        """See `Camera.set_encoding`."""
        self.inner.set_encoding(wanted)

    @property
    def preview(self) -> VideoFrame | None:
        """See `Camera.preview`."""
        return self.inner.preview

    @property
    def measured_rate(self) -> float | None:
        """See `Camera.measured_rate`."""
        return self.inner.measured_rate

    def _begin(self, deadline: float) -> VideoFrame | Packet[VideoStream]:
        """The first picture that shows something."""
        while True:
            try:
                item = self.inner.read()
            except DeviceStalled as error:
                raise self._no_signal(DeviceNotFound) from error
            if self._shows(item):
                return item
            if time.monotonic() > deadline:
                raise self._no_signal(DeviceNotFound)

    def _shows(self, item: VideoFrame | Packet[VideoStream]) -> bool:
        """Whether there is anything on a picture.  What cannot be looked into counts as such."""
        frame = item if isinstance(item, VideoFrame) else self.inner.preview
        return frame is None or not flat(frame)

    def _no_signal(
        self, kind: type[DeviceNotFound] | type[DeviceUnplugged]
    ) -> DeviceNotFound | DeviceUnplugged:
        return kind(f"{self.device.label} has no signal; connect a computer to it and wake it")


def flat(frame: VideoFrame) -> bool:
    """Whether a yuv420p picture is of one brightness all over."""
    luma = plane(frame, 0)[::_STEP, ::_STEP]
    return float(luma.max()) - float(luma.min()) <= _FLAT * 2 and float(luma.std()) <= _FLAT
