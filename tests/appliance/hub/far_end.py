"""The far end of a room's media: what members see and hear, decoded from what they are sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
from aiortc.codecs.h264 import h264_depayload
from aiortc.codecs.vpx import vp8_depayload
from av import CodecContext, Packet, VideoCodecContext, VideoFrame
from numpy.typing import NDArray

from appliance.media.opus import FRAME, RATE, OpusDecoder
from appliance.media.packet import Encoded


class Screen:
    """Decodes the frames of one codec, from the first keyframe on."""

    def __init__(self, codec: str) -> None:
        name = {"h264": "h264", "vp8": "vp8"}[codec]
        self._codec = codec
        self._context = cast(VideoCodecContext, CodecContext.create(name, "r"))
        self._depayload: Any = h264_depayload if codec == "h264" else vp8_depayload

    def show(self, encoded: Encoded) -> VideoFrame:
        assert encoded.codec == self._codec
        data = b"".join(self._depayload(payload) for payload in encoded.payloads)
        (frame,) = self._context.decode(Packet(data))
        return frame


def hear(packets: Iterable[Encoded]) -> NDArray[np.int16]:
    """The sound of one member's packets, in their order."""
    decoder = OpusDecoder()
    return np.concatenate([decoder.decode(packet.payloads[0]) for packet in packets])


def sine(frequency: float, beats: int, amplitude: float, start: int = 0) -> NDArray[np.int16]:
    """A whole number of beats of 20 ms, continuous with the one that starts where this ends."""
    time = np.arange(start * FRAME, (start + beats) * FRAME) / RATE
    return np.rint(amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.int16)


def level(samples: NDArray[np.int16], frequency: float) -> float:
    """The level of one frequency in dBFS; a sine of amplitude 32768 has 0."""
    window = np.blackman(len(samples))
    time = np.arange(len(samples)) / RATE
    probe = np.exp(-2j * np.pi * frequency * time) * window
    amplitude = 2 * abs(np.dot(samples / 32768.0, probe)) / window.sum()
    return float(20 * np.log10(max(amplitude, 1e-9)))
