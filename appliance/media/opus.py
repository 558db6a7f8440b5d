"""Opus, one mono frame of 20 ms at a time."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import numpy as np
from av import AudioCodecContext, AudioFrame, AudioResampler, CodecContext, Packet
from av.error import FFmpegError
from numpy.typing import NDArray

from appliance.media.errors import CodecError

RATE: Final = 48_000
FRAME: Final = 960
"""Samples in one frame: 20 ms at RATE."""

Samples = NDArray[np.int16]

_TIME_BASE: Final = Fraction(1, RATE)


class OpusEncoder:
    """Speech to Opus at `bitrate` bit/s, with in-band FEC for `loss_percent`.

    The encoder holds back a few milliseconds (its look-ahead); `reset` forgets them.
    """

    def __init__(self, bitrate: int = 32_000, *, loss_percent: int = 5) -> None:
        self._bitrate = bitrate
        self._loss_percent = loss_percent
        self._samples = 0
        self._context = self._open()

    def encode(self, samples: Samples) -> Packet[Any]:
        """One packet for FRAME samples; `pts` counts samples since the start, through
        every `reset`.  Raises CodecError for another number of samples."""
        if samples.shape != (FRAME,):
            raise CodecError(f"an Opus frame takes {FRAME} samples, not {samples.shape}")
        frame = AudioFrame.from_ndarray(samples.reshape(1, FRAME), format="s16", layout="mono")
        frame.sample_rate = RATE
        frame.time_base = _TIME_BASE
        frame.pts = self._samples
        packets = self._context.encode(frame)
        if len(packets) != 1:
            raise CodecError(f"libopus gave {len(packets)} packets for one frame")
        packet = packets[0]
        packet.pts = packet.dts = self._samples
        packet.time_base = _TIME_BASE
        self._samples += FRAME
        return packet

    def skip(self, frames: int = 1) -> None:
        """Let FRAME samples of time pass without a packet, or as many times that."""
        self._samples += frames * FRAME

    def reset(self, bitrate: int | None = None, loss_percent: int | None = None) -> None:
        """Forget everything heard so far; the next packet carries nothing of it, and is made for
        another bit rate or loss where one is given."""
        self._bitrate = bitrate or self._bitrate
        self._loss_percent = self._loss_percent if loss_percent is None else loss_percent
        self._context = self._open()

    def _open(self) -> AudioCodecContext:
        context = CodecContext.create("libopus", "w")
        context.bit_rate = self._bitrate
        context.format = "s16"
        context.layout = "mono"
        context.sample_rate = RATE
        context.time_base = _TIME_BASE
        context.options = {
            "application": "voip",
            "frame_duration": "20",
            "fec": "1",
            "packet_loss": str(self._loss_percent),
        }
        context.open()
        return context


class OpusDecoder:
    """Opus to mono samples at RATE, whatever the packets' own channels and duration."""

    def __init__(self) -> None:
        self._context = CodecContext.create("libopus", "r")
        self._context.sample_rate = RATE
        self._context.layout = "mono"
        self._resampler = AudioResampler(format="s16", layout="mono", rate=RATE)

    def decode(self, data: bytes) -> Samples:
        """The samples of one packet.  Raises CodecError for one that is not Opus."""
        try:
            frames = [
                mono
                for frame in self._context.decode(Packet(data))
                for mono in self._resampler.resample(frame)
            ]
        except FFmpegError as error:
            raise CodecError(f"a packet is not Opus: {error.strerror}") from error
        if not frames:
            return np.empty(0, np.int16)
        return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
