"""Between a card's own format and ours, for cards that do not speak 48 kHz mono S16."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from av import AudioResampler

from hal.audio import RATE
from hal.audio.frames import Samples, to_frame

FORMATS: Final = {"S16_LE": 2, "S32_LE": 4, "S24_3LE": 3, "S24_LE": 4, "FLOAT_LE": 4}
"""The formats that are understood, by ALSA's names, with the bytes of a sample."""


@dataclass(frozen=True, slots=True)
class CardFormat:
    """What a card speaks: a format of FORMATS, samples a second, channels side by side."""

    name: str = "S16_LE"
    rate: int = RATE
    channels: int = 1

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return FORMATS[self.name] * self.channels


OURS: Final = CardFormat()


class FromCard:
    """What was captured, as 48 kHz mono.  Of several channels the first two are mixed: more
    than two are an array's single microphones, or its reference signals."""

    def __init__(self, card: CardFormat) -> None:
        self._card = card
        self._resampler = _resampler(card.rate, RATE)
        self._position = 0

    def convert(self, data: bytes) -> bytes:
        """Whole frames of the card to S16 at RATE; a few samples may come with the next call,
        where the rate is another."""
        if self._card == OURS:
            return data
        channels = _decode(data, self._card.name).reshape(-1, self._card.channels)[:, :2]
        mono = np.rint(channels.mean(axis=1)).clip(-32768, 32767).astype(np.int16)
        return _resampled(self._resampler, mono, self._card.rate).tobytes()


class ToCard:
    """What is to be played, in the card's format and the same on all its channels."""

    def __init__(self, card: CardFormat) -> None:
        self._card = card
        self._resampler = _resampler(RATE, card.rate)

    def convert(self, data: bytes) -> bytes:
        """S16 at RATE to whole frames of the card; see `FromCard.convert`."""
        if self._card == OURS:
            return data
        mono = _resampled(self._resampler, np.frombuffer(data, np.int16), RATE)
        return _encode(np.repeat(mono, self._card.channels), self._card.name)


def _resampler(source: int, target: int) -> AudioResampler | None:
    return None if source == target else AudioResampler("s16", "mono", target)


def _resampled(resampler: AudioResampler | None, samples: Samples, rate: int) -> Samples:
    if resampler is None or not samples.size:
        return samples
    frame = to_frame(samples, 0)
    frame.sample_rate = rate
    frame.pts = None  # the resampler counts for itself
    parts = [
        np.frombuffer(bytes(out.planes[0]), np.int16)[: out.samples]
        for out in resampler.resample(frame)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)


def _decode(data: bytes, name: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Samples on the scale of 16 bits, with what they have below that."""
    if name == "S16_LE":
        return np.frombuffer(data, "<i2").astype(np.float32)
    if name == "FLOAT_LE":
        return (np.frombuffer(data, "<f4") * 32768).astype(np.float32)
    if name == "S32_LE":
        return (np.frombuffer(data, "<i4") / 65536).astype(np.float32)
    if name == "S24_LE":
        # The upper byte of the four is not defined.
        return ((np.frombuffer(data, "<i4") << 8) / 65536).astype(np.float32)
    packed = np.frombuffer(data, np.uint8).reshape(-1, 3)
    wide = np.zeros((packed.shape[0], 4), np.uint8)
    wide[:, 1:] = packed
    return (wide.view("<i4").reshape(-1) / 65536).astype(np.float32)


def _encode(samples: Samples, name: str) -> bytes:
    if name == "S16_LE":
        return samples.astype("<i2").tobytes()
    if name == "FLOAT_LE":
        return (samples / 32768).astype("<f4").tobytes()
    wide = samples.astype("<i4") << 16
    if name == "S32_LE":
        return wide.tobytes()
    if name == "S24_LE":
        return (wide >> 8).tobytes()
    return wide.view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()
