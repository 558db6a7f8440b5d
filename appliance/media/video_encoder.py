"""Pictures to H.264 or VP8, for live video: no delay, keyframes on demand."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final, Literal, cast

from av import CodecContext, Packet, VideoCodecContext, VideoFrame
from av.error import FFmpegError
from av.video.frame import PictureType

from appliance.media.errors import CodecError

VideoCodec = Literal["h264", "vp8"]

_TIME_BASE: Final = Fraction(1, 90_000)

_CEILING: Final = 8_000_000
"""Bits a second up to which the rate may be raised later."""

_LEVELS: Final = ((3600 * 30, "31"), (3600 * 60, "32"), (8160 * 30, "40"), (8704 * 60, "42"))
"""Macroblocks a second of H.264 table A-1, and the lowest level that allows them."""


class VideoEncoder:
    """One encoder: one packet out for each frame in.

    `bitrate` is in bit/s and may be set at any time; the picture goes on without a
    keyframe where the codec can (H.264), and from a new encoder where it cannot (VP8).
    Frames of another size than `width` x `height` or not yuv420p are scaled.  H.264 comes
    from x264 with slice threads: frame threads would hold back threads - 1 frames.
    """

    def __init__(
        self,
        codec: VideoCodec,
        width: int,
        height: int,
        rate: float = 30.0,
        bitrate: int = 2_000_000,
        *,
        threads: int = 1,
        preset: Literal["ultrafast", "superfast"] = "ultrafast",
    ) -> None:
        self.codec: Final = codec
        self.width: Final = width
        self.height: Final = height
        self.rate: Final = rate
        self.frames = 0
        self.keyframes = 0
        self._threads = threads
        self._preset = preset
        self._bitrate = bitrate
        self._context: VideoCodecContext | None = self._open()

    @property
    def bitrate(self) -> int:
        """The target in bit/s."""
        return self._bitrate

    @bitrate.setter
    def bitrate(self, value: int) -> None:
        if value == self._bitrate:
            return
        self._bitrate = value
        if self.codec == "h264" and self._context is not None:
            self._context.bit_rate = value
        elif self._context is not None:
            self._context = self._open()

    def encode(self, frame: VideoFrame, keyframe: bool = False) -> Packet[Any]:
        """Encode one frame, as a keyframe if asked.  Its pts must be greater than the
        last one's.  Raises CodecError."""
        if self._context is None:
            raise CodecError("the encoder is closed")
        if (frame.width, frame.height, frame.format.name) != (self.width, self.height, "yuv420p"):
            pts, time_base = frame.pts, frame.time_base
            frame = frame.reformat(self.width, self.height, "yuv420p")
            frame.pts, frame.time_base = pts, time_base
        frame.pict_type = PictureType.I if keyframe else PictureType.NONE
        try:
            packets = self._context.encode(frame)
        except FFmpegError as error:
            raise CodecError(f"{self.codec} refused a picture: {error.strerror}") from error
        if len(packets) != 1:
            raise CodecError(f"{self.codec} gave {len(packets)} packets for one picture")
        packet = packets[0]
        self.frames += 1
        self.keyframes += bool(packet.is_keyframe)
        return packet

    def close(self) -> None:
        """Free the codec.  Safe to call twice."""
        self._context = None

    def _open(self) -> VideoCodecContext:
        name = "libx264" if self.codec == "h264" else "libvpx"
        context = cast(VideoCodecContext, CodecContext.create(name, "w"))
        context.width, context.height = self.width, self.height
        context.pix_fmt = "yuv420p"
        context.framerate = Fraction(self.rate).limit_denominator(1001)
        context.time_base = _TIME_BASE
        context.bit_rate = self._bitrate
        context.thread_count = self._threads
        if self.codec == "h264":
            # FFmpeg compares bit_rate with x264's own figure before each frame and
            # reconfigures the running encoder.  x264 follows only if it began at a constant
            # rate with a limit, and never rises above that limit: so it begins there.
            ceiling = max(self._bitrate, _CEILING)
            context.bit_rate = ceiling
            context.thread_type = "SLICE"
            context.profile = "Baseline"
            context.options = {
                "preset": self._preset,
                "tune": "zerolatency",
                "forced-idr": "1",
                "level": self._level(),
                "maxrate": str(ceiling),
                "bufsize": str(ceiling // 5),
                "x264-params": "keyint=infinite:scenecut=0:sliced-threads=1",
            }
        else:
            context.gop_size = 3000
            context.options = {
                "deadline": "realtime",
                "cpu-used": "-8",
                "lag-in-frames": "0",
                "error-resilient": "1",
                "minrate": str(self._bitrate),
                "maxrate": str(self._bitrate),
                "bufsize": str(self._bitrate),
                "static-thresh": "1",
            }
        try:
            context.open()
        except (FFmpegError, ValueError) as error:
            raise CodecError(
                f"{self.codec} cannot encode {self.width}x{self.height} at {self.rate:g} a second"
            ) from error
        context.bit_rate = self._bitrate
        return context

    def _level(self) -> str:
        blocks = -(-self.width // 16) * -(-self.height // 16) * self.rate
        return next((level for most, level in _LEVELS if blocks <= most), "51")
