"""A microphone that speaks a tone pattern, and a speaker that remembers it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final, Literal

import numpy as np

from hal.audio import PERIOD, RATE
from hal.audio.frames import Samples, from_loop
from hal.audio.paced import PacedMicrophone, PacedSpeaker
from hal.audio.wav import load
from hal.device import Device
from hal.errors import OptionInvalid
from hal.virtual import LISTED, PREFIX, number_of

Pattern = Literal["bursts", "continuous", "silence"]

AMPLITUDE: Final = 32768 * 10 ** (-12 / 20)
"""Peak of the tone: -12 dBFS."""

BURST: Final = RATE // 2
"""Samples of one burst: 500 ms from each whole second of CLOCK_MONOTONIC on."""

EDGE: Final = RATE // 200
"""Samples of a burst's raised-cosine edge: 5 ms, so that it does not click."""


class SyntheticMicrophone(PacedMicrophone):
    """A sine of `frequency` Hz at -12 dBFS.

    "bursts": 500 ms from each whole second of CLOCK_MONOTONIC on, so that latency can be
    read from when a burst arrives.  "continuous": always.  "silence": zeros.  With `wav`,
    a sound file in a loop instead.
    """

    def __init__(
        self,
        *,
        device: str | None = None,
        device_id: int = 1,
        frequency: float | None = None,
        pattern: Pattern = "bursts",
        wav: str | None = None,
        label: str | None = None,
    ) -> None:
        """`device_id` is 0..255, `device` the same as an id ("synthetic:2").  `frequency`
        defaults to that of `tone`.

        Raises OptionInvalid.
        """
        number = number_of(device, device_id)
        if frequency is None:
            frequency = tone(number)
        if not 20 <= frequency <= RATE / 2 - 1000:
            raise OptionInvalid(
                f"frequency {frequency:g} cannot be played; use 20 to 23000 Hz", ["frequency"]
            )
        if pattern not in ("bursts", "continuous", "silence"):
            raise OptionInvalid(
                f"pattern {pattern!r} is unknown; use bursts, continuous or silence", ["pattern"]
            )
        name = label or f"Synthetic microphone {number}"
        super().__init__(Device(f"{PREFIX}{number}", name, "microphone", "synthetic"))
        self.frequency = frequency
        self._pattern = pattern
        self._wav = wav
        self._loop: Samples = np.zeros(0, np.int16)
        self._burst = _burst(frequency)

    @classmethod
    def devices(cls) -> list[Device]:
        """Two microphones, numbers 1 and 2; any other number can be opened as well."""
        return [cls(device_id=number).device for number in LISTED]

    def open(self) -> None:
        """See `Microphone.open`; also raises what `wav.load` raises."""
        if self._wav is not None:
            self._loop = load(Path(self._wav))
        super().open()

    def sound(self, position: int, moment: int) -> Samples:
        """See `PacedMicrophone.sound`."""
        if self._loop.size:
            return from_loop(self._loop, position)
        if self._pattern == "bursts":
            return from_loop(self._burst, moment)
        if self._pattern == "silence":
            return np.zeros(PERIOD, np.int16)
        time = np.arange(position, position + PERIOD) / RATE
        return np.rint(AMPLITUDE * np.sin(2 * math.pi * self.frequency * time)).astype(np.int16)


class SyntheticSpeaker(PacedSpeaker):
    """Plays to nobody at the pace of a card; `samples` and `heard` tell what it played."""

    def __init__(
        self,
        *,
        device: str | None = None,
        device_id: int = 1,
        buffer_ms: int = 40,
        keep_s: float = 10.0,
        label: str | None = None,
    ) -> None:
        """See `SyntheticMicrophone` and `PacedSpeaker`."""
        number = number_of(device, device_id)
        name = label or f"Synthetic speaker {number}"
        super().__init__(
            Device(f"{PREFIX}{number}", name, "speaker", "synthetic"),
            buffer_ms=buffer_ms,
            keep_s=keep_s,
        )

    @classmethod
    def devices(cls) -> list[Device]:
        """Two speakers, numbers 1 and 2; any other number can be opened as well."""
        return [cls(device_id=number).device for number in LISTED]


def tone(number: int) -> float:
    """What the microphone of that number speaks if nothing else is said, in Hz: 1000 for 1, 1500
    for 2, and so on for 16 of them."""
    return 500.0 * ((number - 1) % 16 + 2)


def _burst(frequency: float) -> Samples:
    """One second of the pattern: a burst, then silence."""
    second = np.zeros(RATE)
    second[:BURST] = AMPLITUDE * np.sin(2 * math.pi * frequency * np.arange(BURST) / RATE)
    rise = 0.5 - 0.5 * np.cos(math.pi * np.arange(EDGE) / EDGE)
    second[:EDGE] *= rise
    second[BURST - EDGE : BURST] *= rise[::-1]
    return np.rint(second).astype(np.int16)
