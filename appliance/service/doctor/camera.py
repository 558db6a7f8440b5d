"""The camera: does it open, do pictures come, at the rate that was asked for, and can they be
encoded in time?"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from av import Packet, VideoFrame

from appliance.media.video_encoder import VideoEncoder
from appliance.service.doctor.check import Finding, ok, on_thread, warn
from hal.camera import Camera, VideoFormat

WATCH_S: Final = 2.0
"""How long pictures are counted, after the first one: cameras set exposure and focus before."""

SLOW: Final = 0.85
"""Part of the wanted rate below which it is too slow: cameras lengthen exposure in the dark."""

DARK: Final = 20
"""Mean luma of a picture that shows nothing; black is 16."""


@dataclass(slots=True)
class _Sight:
    """What came within WATCH_S."""

    format: VideoFormat
    pictures: int = 0
    packets: int = 0
    keyframes: int = 0
    seconds: float = 0.0
    luma: float | None = None
    encoding: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return (self.pictures - 1) / self.seconds if self.seconds > 0 else 0.0


async def look_at_camera(make: Callable[[], Camera], wanted: VideoFormat, bitrate: int) -> Finding:
    """Watch the camera for WATCH_S seconds, encoding what it gives.

    Raises HalError and CodecError.
    """

    def watch(stop: threading.Event) -> tuple[Camera, _Sight, float | None]:
        camera = make()
        with camera:
            sight = _watch(camera, wanted, bitrate, stop)
            return camera, sight, camera.measured_rate

    camera, sight, measured = await on_thread(watch)
    return _judge(camera, sight, measured, wanted)


def _watch(camera: Camera, wanted: VideoFormat, bitrate: int, stop: threading.Event) -> _Sight:
    sight = _Sight(camera.open(wanted))
    camera.set_bitrate(bitrate)
    encoder: VideoEncoder | None = None
    began: float | None = None
    try:
        while not stop.is_set():
            picture = camera.read()
            now = time.monotonic()
            began = now if began is None else began
            sight.pictures, sight.seconds = sight.pictures + 1, now - began
            if isinstance(picture, Packet):
                sight.packets += 1
                sight.keyframes += bool(picture.is_keyframe)
                sight.luma = _luma(camera.preview) or sight.luma
            else:
                if encoder is None:
                    size = sight.format
                    encoder = VideoEncoder("h264", size.width, size.height, size.rate, bitrate)
                before = time.thread_time()
                encoder.encode(picture, keyframe=not encoder.frames)
                sight.encoding.append(time.thread_time() - before)
                sight.luma = _luma(picture)
            if sight.seconds >= WATCH_S:
                break
    finally:
        if encoder is not None:
            encoder.close()
    return sight


def _luma(picture: VideoFrame | None) -> float | None:
    """The mean of a yuv420p picture's luma, of every eighth line."""
    if picture is None:
        return None
    plane = picture.planes[0]
    lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return float(lines[: picture.height : 8, : picture.width].mean())


def _judge(camera: Camera, sight: _Sight, measured: float | None, wanted: VideoFormat) -> Finding:
    got, rate = sight.format, sight.rate if measured is None else measured
    text = f"{camera.device.label}: {got.width}x{got.height} at {rate:.1f} a second"
    if sight.packets:
        text += f", encoded by itself ({sight.keyframes} keyframes)"
        if not sight.keyframes:
            return warn(f"{text}: nobody could begin to watch", "restart the camera")
    elif sight.encoding:
        cost = statistics.mean(sight.encoding)
        text += f", encoded by x264 in {1000 * cost:.1f} ms each"
        if cost * got.rate > 1:
            remedy = "ask for a smaller size or a lower rate in [camera]"
            return warn(f"{text}: too slow for {got.rate:g} a second", remedy)
    if rate < SLOW * got.rate:
        remedy = "more light, another USB port or cable, or a smaller size in [camera]"
        return warn(f"{text} in place of {got.rate:g}", remedy)
    if sight.luma is not None and sight.luma < DARK:
        return warn(f"{text}, and black", "open its cover, or switch on a light")
    if (got.width, got.height) != (wanted.width, wanted.height):
        asked = f"{wanted.width}x{wanted.height}"
        return warn(f"{text}, though {asked} was asked for", "name a size that it has in [camera]")
    return ok(text)
