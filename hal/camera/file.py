"""A camera that plays a video file in a loop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
from av import VideoFrame
from av.container import InputContainer

from hal.camera import Camera, VideoFormat
from hal.device import Device
from hal.display.geometry import Rect, fit
from hal.errors import DeviceUnplugged, FormatUnsupported, OptionInvalid, from_os
from hal.planes import plane, to_yuv420p
from hal.virtual import Faults

TIME_BASE: Final = Fraction(1, 90_000)

_LATE_S: Final = 1.0
"""A reader later than this has paused: the film goes on where it stood."""

_FALLBACK_RATE: Final = 25.0
"""For a file that names no frame rate, a single picture for one."""


class FileCamera(Camera):
    """Any file with video that FFmpeg opens (a still picture too), paced by its own
    timestamps, scaled to the wanted size with black bars where the aspect differs.

    The rate is the file's own, or the wanted one where that is lower.
    """

    def __init__(self, *, device: str, label: str | None = None) -> None:
        """`device` is the path of the file.  Raises OptionInvalid when it is empty."""
        if not device:
            raise OptionInvalid(
                "camera backend 'file' needs the path of a video as its device", ["device"]
            )
        self.device = Device(device, label or Path(device).name, "camera", "file")
        self.format = VideoFormat()
        self._what = f"video file {device}"
        self._faults = Faults(self._what)
        self._pictures: Iterator[tuple[float, VideoFrame]] = iter(())
        self._aspect = 1.0
        self._start = 0.0
        self._pts = -1

    @classmethod
    def devices(cls) -> list[Device]:
        """None: a file is named, not found."""
        return []

    def open(self, wanted: VideoFormat) -> VideoFormat:
        """See `Camera.open`."""
        with self._container() as container:
            own = _rate(container)
            self._aspect = float(container.streams.video[0].sample_aspect_ratio or 1)
        self.format = VideoFormat(
            max(wanted.width // 2 * 2, 2),
            max(wanted.height // 2 * 2, 2),
            max(min(own, wanted.rate), 0.1),
        )
        self._pictures = self._play()
        self._start = time.monotonic()
        self._pts = -1
        self._faults.attach()
        return self.format

    def read(self) -> VideoFrame:
        """See `Camera.read`; DeviceUnplugged also when the file has gone or is damaged."""
        period = 1 / self.format.rate
        moment, picture = self._next()
        now = time.monotonic()
        if now - self._start - moment > _LATE_S:
            self._start = now - moment
        while self._start + moment + period <= time.monotonic():
            moment, picture = self._next()  # a newer picture is due already
        self._faults.wait_until(self._start + moment)
        frame = _scaled(picture, self._aspect, self.format.width, self.format.height)
        self._pts = max(round(moment / TIME_BASE), self._pts + 1)
        frame.pts = self._pts
        frame.time_base = TIME_BASE
        return frame

    def close(self) -> None:
        """See `Camera.close`."""
        self._faults.detach()
        self._pictures = iter(())

    def _next(self) -> tuple[float, VideoFrame]:
        try:
            return next(self._pictures)
        except StopIteration:
            raise DeviceUnplugged(f"{self._what} is not open; open it first") from None
        except av.FFmpegError as error:
            raise from_os(error, self._what, opened=True) from error

    def _play(self) -> Iterator[tuple[float, VideoFrame]]:
        """The pictures in an endless loop, each with its time in seconds since `open`."""
        offset = 0.0
        while True:
            with self._container(opened=True) as container:
                step = 1 / _rate(container)
                thin = step < 0.99 / self.format.rate
                slot = -1
                first = last = 0.0
                number = -1
                for number, picture in enumerate(container.decode(video=0)):
                    # A stream without timestamps is counted through at its rate.
                    stamp = number * step if picture.pts is None else picture.time
                    first = first if number else stamp
                    last = max(stamp - first, last)
                    if thin:
                        now = int((offset + last) * self.format.rate + 1e-6)
                        if now == slot:
                            continue
                        slot = now
                    yield offset + last, picture
                if number < 0:
                    raise DeviceUnplugged(f"{self._what} holds no picture; choose another")
                offset += last + step

    def _container(self, *, opened: bool = False) -> InputContainer:
        try:
            # Old films have names in the letters of their time.
            container = av.open(self.device.id, metadata_errors="replace")
        except (av.FFmpegError, OSError) as error:
            raise from_os(error, self._what, opened=opened) from error
        if container.streams.video:
            return container
        container.close()
        if opened:
            raise DeviceUnplugged(f"{self._what} holds no video any more; restore it")
        raise FormatUnsupported(f"{self._what} holds no video; choose another")


def _rate(container: InputContainer) -> float:
    stream = container.streams.video[0]
    rate = stream.average_rate or stream.guessed_rate
    return float(rate) if rate else _FALLBACK_RATE


def _scaled(picture: VideoFrame, aspect: float, width: int, height: int) -> VideoFrame:
    """The picture at its right aspect in the middle of a black one of the given size."""
    area = fit(picture.width * aspect, picture.height, Rect(0, 0, width, height), grain=2)
    inner = to_yuv420p(picture, area.width, area.height)
    if (area.width, area.height) == (width, height):
        return inner
    outer = VideoFrame(width, height, "yuv420p")
    for number, (shift, black) in enumerate(((0, 16), (1, 128), (1, 128))):
        pixels = plane(outer, number)
        rows = slice(area.y >> shift, area.bottom >> shift)
        columns = slice(area.x >> shift, area.right >> shift)
        pixels[:] = black
        pixels[rows, columns] = plane(inner, number)
    return outer
