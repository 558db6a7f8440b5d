"""The encoder of a camera stack that has none in hardware: libx264, for live video."""

from __future__ import annotations

from fractions import Fraction
from typing import Final, cast

import av
from av import CodecContext, Packet, VideoFrame, VideoStream
from av.video.frame import PictureType

from hal.camera import VideoFormat
from hal.errors import FormatUnsupported, from_os

_TIME_BASE: Final = Fraction(1, 1_000_000)
_CEILING: Final = 10_000_000
"""Bits a second up to which the rate may be raised later."""


class X264:
    """One packet out for each frame in, at once.

    It works with slice threads: libx264's default, frame threads, would hold back
    threads - 1 frames.  Keyframes come on demand alone.
    """

    def __init__(self, size: VideoFormat, bitrate: int, threads: int) -> None:
        """`size` of the yuv420p frames to come.  Raises FormatUnsupported."""
        context = CodecContext.create("libx264", "w")
        context.width, context.height, context.pix_fmt = size.width, size.height, "yuv420p"
        context.framerate = Fraction(size.rate).limit_denominator(1001)
        context.time_base = _TIME_BASE
        context.thread_count = threads
        context.thread_type = "SLICE"
        context.profile = "Baseline"
        # FFmpeg passes a changed bit_rate on to a running x264, which follows if it began at
        # a constant rate with a limit, and never above that limit: so it begins there.
        ceiling = max(bitrate, _CEILING)
        context.bit_rate = ceiling
        context.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "forced-idr": "1",
            "maxrate": str(ceiling),
            "bufsize": str(ceiling // 5),
            "x264-params": "keyint=infinite:scenecut=0:sliced-threads=1",
        }
        try:
            context.open()
        except (av.FFmpegError, ValueError) as error:
            raise FormatUnsupported(
                f"libx264 cannot encode {size.width}x{size.height} at {size.rate:g} a second "
                f"({error}); ask for another size"
            ) from error
        context.bit_rate = bitrate
        self._context = context

    def set_bitrate(self, bps: int) -> None:
        """The target in bit/s, from the next frame on and without a keyframe."""
        if bps != self._context.bit_rate:
            self._context.bit_rate = bps

    def encode(self, frame: VideoFrame, *, keyframe: bool) -> Packet[VideoStream]:
        """One access unit.  The frame's pts, in its own time base, must be greater than the
        last one's.  Raises DeviceUnplugged when the encoder fails: it is to be made anew."""
        frame.pict_type = PictureType.I if keyframe else PictureType.NONE
        try:
            packets = self._context.encode(frame)
        except av.FFmpegError as error:
            raise from_os(error, "the encoder libx264", opened=True) from error
        (packet,) = packets
        return cast("Packet[VideoStream]", packet)
