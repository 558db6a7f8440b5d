"""Virtual microphones and speakers that keep the time of a sound card.

Their card clock is CLOCK_MONOTONIC: sample n is heard at `start + n / RATE`, computed
from n, so that late threads cause xruns as they do on a card, but never a drift.
"""

from __future__ import annotations

import math
import threading
import time
from abc import abstractmethod
from collections import deque
from typing import Final, NamedTuple

import numpy as np
from av import AudioFrame

from hal.audio import PERIOD, RATE, CardTime, Microphone, Speaker
from hal.audio.frames import Samples, to_frame, to_samples
from hal.device import Device
from hal.errors import OptionInvalid
from hal.virtual import Faults, Faulty

CAPTURE_BUFFER: Final = 20 * PERIOD
"""Samples that wait for a late reader: 200 ms, then they are overrun."""


class PacedMicrophone(Faulty, Microphone):
    """Gives what `sound` says, a period when it is complete."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.xruns = 0
        self._faults = Faults(f"microphone {device.id}")
        self._lock = threading.Lock()
        self._start = 0.0
        self._epoch = 0
        self._position = 0
        self._lose = 0

    @abstractmethod
    def sound(self, position: int, moment: int) -> Samples:
        """The PERIOD samples from `position` (samples since `open`) on; `moment` is the
        same place in samples of CLOCK_MONOTONIC since its beginning."""

    def open(self) -> None:
        """See `Microphone.open`."""
        self._faults.attach()
        self.xruns = 0
        self._lose = 0
        self._position = 0
        # On a whole sample of the clock, so that `moment` is exact.
        self._epoch = math.ceil(time.monotonic() * RATE)
        self._start = self._epoch / RATE

    def read(self) -> AudioFrame:
        """See `Microphone.read`."""
        self._faults.wait_until(self._start + (self._position + PERIOD) / RATE)
        behind = math.floor((time.monotonic() - self._start) * RATE) - self._position
        with self._lock:
            lost, self._lose = self._lose, 0
        if behind > CAPTURE_BUFFER + PERIOD:
            # The card overwrote all that was not read; the newest period is there.
            lost = max(lost, behind - PERIOD)
        if lost:
            self.xruns += 1
            self._position += lost
            self._faults.wait_until(self._start + (self._position + PERIOD) / RATE)
        position = self._position
        self._position += PERIOD
        return to_frame(self.sound(position, self._epoch + position), position)

    @property
    def clock(self) -> CardTime | None:
        """See `Microphone.clock`."""
        if not self._position:
            return None
        now = time.monotonic()
        return CardTime((now - self._start) * RATE, now)

    def xrun(self, milliseconds: int = 50) -> None:
        """Fault: an overrun loses so much sound at the next `read`."""
        with self._lock:
            self._lose += milliseconds * RATE // 1000


class Heard(NamedTuple):
    """One period that a virtual speaker played."""

    at: float
    """`time.monotonic` when its first sample was heard."""

    samples: Samples


class PacedSpeaker(Faulty, Speaker):
    """Takes periods as fast as a card would play them, and remembers what was heard."""

    def __init__(self, device: Device, *, buffer_ms: int = 40, keep_s: float = 10.0) -> None:
        """`buffer_ms` is the size of the card's buffer, `keep_s` how long the past is kept."""
        if buffer_ms < 10:
            raise OptionInvalid(
                f"buffer_ms {buffer_ms} is too short; use 10 or more", ["buffer_ms"]
            )
        if keep_s <= 0:
            raise OptionInvalid(f"keep_s {keep_s:g} is too short; use more than 0", ["keep_s"])
        self.device = device
        self.xruns = 0
        self._buffer = buffer_ms * RATE // 1000 // PERIOD * PERIOD
        self._faults = Faults(f"speaker {device.id}")
        self._lock = threading.Lock()
        self._heard: deque[Heard] = deque(maxlen=math.ceil(keep_s * RATE / PERIOD))
        self._start = 0.0
        self._written = 0
        self._pause = 0.0
        # Two periods of silence go ahead, at the beginning and after an underrun, so that
        # a writer who comes every 10 ms is not always on the brink.
        self._head_start = min(2 * PERIOD, self._buffer - PERIOD) / RATE

    def open(self) -> None:
        """See `Speaker.open`."""
        self._faults.attach()
        with self._lock:
            self.xruns = 0
            self._written = 0
            self._pause = 0.0
            self._heard.clear()

    def write(self, frame: AudioFrame) -> None:
        """See `Speaker.write`; also raises FormatUnsupported."""
        samples = to_samples(frame)
        room = self._start + (self._written + PERIOD - self._buffer) / RATE
        self._faults.wait_until(room if self._written else 0.0)
        now = time.monotonic()
        silence = 0.0
        with self._lock:
            if not self._written:
                self._start = now + self._head_start
            else:
                dry = now - (self._start + self._written / RATE)
                silence, self._pause = self._pause, 0.0
                if dry > 0:
                    silence += dry + self._head_start
                if silence:
                    self.xruns += 1
                    self._start += silence
            at = self._start + self._written / RATE
            self._written += PERIOD
            self._heard.append(Heard(at, samples))
        if silence:
            self.gap(round(silence * RATE))
        self.play(samples)

    @property
    def delay(self) -> int:
        """See `Speaker.delay`."""
        with self._lock:
            if not self._written:
                return 0
            played = math.floor((time.monotonic() - self._start) * RATE)
            return max(0, self._written - played)

    @property
    def clock(self) -> CardTime | None:
        """See `Speaker.clock`."""
        with self._lock:
            if not self._written:
                return None
            now = time.monotonic()
            return CardTime(min((now - self._start) * RATE, self._written), now)

    def play(self, samples: Samples) -> None:
        """For backends that pass the sound on: called once a period, in order."""

    def gap(self, samples: int) -> None:
        """For backends that pass the sound on: silence of this length after an underrun."""

    def heard(self) -> list[Heard]:
        """The last `keep_s` seconds, oldest first, of what was written.  Any thread."""
        with self._lock:
            return list(self._heard)

    def samples(self, seconds: float | None = None) -> Samples:
        """The last `seconds` of what was written (default: all that is kept), without the
        gaps of underruns.  Any thread."""
        periods = [period.samples for period in self.heard()]
        if seconds is not None:
            periods = periods[-math.ceil(seconds * RATE / PERIOD) :] if seconds > 0 else []
        return np.concatenate(periods) if periods else np.zeros(0, np.int16)

    def xrun(self, milliseconds: int = 50) -> None:
        """Fault: the buffer runs dry before the next `write`, for so long."""
        with self._lock:
            self._pause += milliseconds / 1000
