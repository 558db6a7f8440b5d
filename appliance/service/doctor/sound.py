"""Microphone and loudspeaker: does sound come, does sound go, and is the one heard by the
other?"""

from __future__ import annotations

import contextlib
import math
import statistics
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.service.doctor.check import Finding, fail, ok, on_thread, warn
from appliance.service.doctor.person import Person
from hal.audio import PERIOD, RATE, Microphone, Speaker
from hal.audio.frames import Samples, to_frame, to_samples
from hal.audio.spectrum import level_dbfs, rms_dbfs

LISTEN_S: Final = 2.0
"""How long the microphone is listened to."""

FULL: Final = 32_700
"""From this sample value on, of 32767, a sound is clipped."""

CLIPPED: Final = 0.001
"""Part of the samples that may be."""

FAINT_DBFS: Final = -75.0
"""A quiet room is louder than that at any working microphone with its gain up."""

TONE_HZ: Final = 1730.0
TONE_DBFS: Final = -20.0
TONE_S: Final = 1.0
"""The loudspeaker's tone: as loud as somebody who speaks, and at no frequency that mains or a
simulated microphone has."""

HEARD_DB: Final = 12.0
"""By so much the tone stands out at the microphone from what was there before."""

HEARD_DBFS: Final = -65.0
"""And it is at least so loud."""

_EDGE: Final = RATE // 100
"""Samples in which the tone comes and goes, so that it does not click."""


async def look_at_microphone(make: Callable[[], Microphone]) -> Finding:
    """Listen for LISTEN_S seconds.  Raises HalError."""

    def listen(stop: threading.Event) -> tuple[Microphone, Samples, int, bool | None]:
        with make() as microphone:
            microphone.open()
            heard = []
            for _ in range(round(LISTEN_S * RATE / PERIOD)):
                if stop.is_set():
                    break
                heard.append(to_samples(microphone.read()))
            return microphone, np.concatenate(heard), microphone.xruns, microphone.hardware_mute

    microphone, samples, xruns, muted = await on_thread(listen)
    # As integers of 16 bits, the lowest has no opposite.
    peak = int(np.abs(samples.astype(np.int32)).max())
    level = rms_dbfs(samples)
    text = f"{microphone.device.label}: {level:.0f} dBFS, peak {_decibels(peak):.0f}"
    if muted:
        return warn(f"{microphone.device.label} is muted by its card", "unmute it: alsamixer, F4")
    if peak == 0:
        remedy = "look for a switch on it, and at its volume: alsamixer, F4"
        return warn(f"{microphone.device.label} gives nothing but digital silence", remedy)
    clipped = float(np.mean(np.abs(samples.astype(np.int32)) >= FULL))
    if clipped > CLIPPED:
        return warn(f"{text}, {clipped:.1%} of it clipped", "lower its volume: alsamixer, F4")
    if level < FAINT_DBFS:
        return warn(f"{text}: hardly anything", "raise its volume: alsamixer, F4")
    if xruns:
        remedy = "end other programs, or give the user real-time priority (LimitRTPRIO)"
        return warn(f"{text}, with {xruns} overruns", remedy)
    return ok(text)


@dataclass(slots=True)
class _Echo:
    """What the microphone hears at the tone's frequency, in dBFS."""

    before: float
    during: float

    @property
    def heard(self) -> bool:
        return self.during > HEARD_DBFS and self.during - self.before > HEARD_DB


async def look_at_speaker(
    make: Callable[[], Speaker],
    make_microphone: Callable[[], Microphone],
    person: Person | None,
    volume: int = 100,
) -> Finding:
    """Play a tone of TONE_S seconds at `volume` percent, and listen for it with the microphone.

    A microphone that does not work is done without: it has a check of its own.  Raises HalError.
    """
    speaker, echo, xruns = await on_thread(
        lambda stop: _play_and_listen(make, make_microphone, _tone(volume), stop)
    )
    text = f"{speaker.device.label} took a tone"
    if echo is not None and echo.heard:
        text += f", which the microphone heard at {echo.during:.0f} dBFS"
    elif person is not None:
        answer = await person.agrees("Did you hear a tone?")
        if answer is False:
            remedy = "look at its cable and volume: alsamixer, F3"
            return fail(f"{text}, and nobody heard it", remedy)
        text += ", which you heard" if answer else ", which nobody confirmed"
    else:
        text += "; the microphone did not hear it, so listen yourself: roomlet doctor --ask"
    if xruns:
        remedy = "end other programs, or give the user real-time priority (LimitRTPRIO)"
        return warn(f"{text}, with {xruns} underruns", remedy)
    return ok(text)


def _play_and_listen(
    make: Callable[[], Speaker],
    make_microphone: Callable[[], Microphone],
    tone: Samples,
    stop: threading.Event,
) -> tuple[Speaker, _Echo | None, int]:
    ear = _Ear(make_microphone)
    with make() as speaker, ear:
        speaker.open()
        ear.ready.wait(1.0)
        # Silence first: what the microphone hears of the room alone.
        silence = np.zeros(tone.size // 2, np.int16)
        ear.mark()
        _play(speaker, silence, stop)
        ear.mark()
        _play(speaker, tone, stop)
        # As long as the card takes to play what it has, and the sound to come back.
        _play(speaker, np.zeros(RATE // 5 // PERIOD * PERIOD, np.int16), stop)
        return speaker, ear.echo(), speaker.xruns


def _play(speaker: Speaker, samples: Samples, stop: threading.Event) -> None:
    for begin in range(0, samples.size, PERIOD):
        if stop.is_set():
            return
        speaker.write(to_frame(samples[begin : begin + PERIOD], begin))


class _Ear:
    """The microphone on a thread of its own, while the speaker has the other one."""

    def __init__(self, make: Callable[[], Microphone]) -> None:
        self.ready = threading.Event()
        self._make = make
        self._end = threading.Event()
        self._heard: list[Samples] = []
        self._marks: list[int] = []
        self._thread = threading.Thread(target=self._listen, name="doctor's ear", daemon=True)

    def __enter__(self) -> _Ear:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        # Reads end within a second, unless a driver hangs.
        self._thread.join(2.0)

    def mark(self) -> None:
        """From here on, another part begins."""
        self._marks.append(len(self._heard))

    def echo(self) -> _Echo | None:
        """The level at the tone's frequency after the second mark, and before; None without a
        microphone."""
        first, second = self._marks
        before, during = self._level(first, second), self._level(second, len(self._heard))
        return None if before is None or during is None else _Echo(before, during)

    def _level(self, begin: int, end: int) -> float | None:
        """The median of pieces of 100 ms: a tone is in most of them, a bang in one or two."""
        pieces = [
            level_dbfs(np.concatenate(self._heard[n : n + 10]), TONE_HZ)
            for n in range(begin, end - 9, 10)
        ]
        return statistics.median(pieces) if pieces else None

    def _listen(self) -> None:
        # Whatever is wrong with it, it has a check of its own.
        with contextlib.suppress(Exception), self._make() as microphone:
            microphone.open()
            while not self._end.is_set():
                self._heard.append(to_samples(microphone.read()))
                self.ready.set()
        self.ready.set()


def _tone(volume: int) -> Samples:
    """The tone in whole periods; loudness goes with the square of the percent."""
    count = round(TONE_S * RATE / PERIOD) * PERIOD
    amplitude = 32768 * 10 ** (TONE_DBFS / 20) * (volume / 100) ** 2
    wave = amplitude * np.sin(2 * math.pi * TONE_HZ / RATE * np.arange(count))
    rise = np.linspace(0, 1, _EDGE)
    wave[:_EDGE] *= rise
    wave[-_EDGE:] *= rise[::-1]
    tone: Samples = np.rint(wave).astype(np.int16)
    return tone


def _decibels(peak: int) -> float:
    return 20 * math.log10(max(peak, 1) / 32768)
