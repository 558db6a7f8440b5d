"""One video encoder for all who receive the same picture in the same codec."""

from __future__ import annotations

import logging
from typing import Final

from av import VideoFrame

from appliance.media.errors import CodecError
from appliance.media.packet import Encoded, packetize
from appliance.media.video_encoder import VideoCodec, VideoEncoder

log = logging.getLogger(__name__)

KEYFRAME_INTERVAL: Final = 0.3
"""Seconds between two keyframes at least: a crowd that joins shares them."""

_STILL_INTERVAL: Final = 0.2
"""Seconds between two frames of a still picture.  They sharpen it, and show receivers
that the room is alive."""

_RETRY: Final = 1.0
"""Seconds until an encoder that failed is opened again."""


class SharedEncoder:
    """Encodes the frames of one thread, with keyframes for whoever asks on another.

    `ask` and `answer` are for the receivers' thread, `encode` and `close` for the encoder's.
    """

    def __init__(
        self, codec: VideoCodec, width: int, height: int, rate: float, bitrate: int
    ) -> None:
        self.codec: Final = codec
        self.bitrate = bitrate
        """The target in bit/s; may be set on any thread, and holds from the next frame on."""
        self._width = width
        self._height = height
        self._rate = rate
        self._encoder: VideoEncoder | None = None
        self._retry_at = float("-inf")
        self._asked = 0
        self._answered = 0
        self._keyframe_at = float("-inf")
        self._framed_at = float("-inf")

    def ask(self) -> None:
        """Make the next frame a keyframe, or the first that `KEYFRAME_INTERVAL` allows."""
        self._asked += 1

    def answer(self) -> None:
        """A keyframe reached the receivers: all requests made up to now are met by it."""
        self._answered = self._asked

    def encode(self, frame: VideoFrame, now: float, *, still: bool = False) -> Encoded | None:
        """Encode one frame of the time `now`, in seconds of any steady clock.

        The first one is a keyframe.  None for a frame that a `still` picture does without, and
        while the codec fails, which is logged and tried again.
        """
        keyframe = self._asked != self._answered and now - self._keyframe_at >= KEYFRAME_INTERVAL
        # Half a beat early is nearer to the interval than half a beat late.
        if still and not keyframe and now + 0.5 / self._rate - self._framed_at < _STILL_INTERVAL:
            return None
        if now < self._retry_at:
            return None
        try:
            if self._encoder is None:
                self._encoder = VideoEncoder(
                    self.codec, self._width, self._height, self._rate, self.bitrate
                )
            self._encoder.bitrate = self.bitrate
            encoded = packetize(self._encoder.encode(frame, keyframe=keyframe), self.codec)
        except CodecError as error:
            log.error("the canvas goes without %s for a second: %s", self.codec, error)
            self.close()
            self._retry_at = now + _RETRY
            return None
        self._framed_at = now
        if encoded.keyframe:
            self._keyframe_at = now
        return encoded

    def close(self) -> None:
        """Free the codec; a later frame opens it again, with a keyframe."""
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None
        self._framed_at = self._keyframe_at = float("-inf")
