"""A room with real media and members that are made up, and what its recordings hold."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av import AudioFrame, AudioResampler, VideoFrame
from numpy.typing import NDArray

from appliance.hub.stage import Stage
from appliance.media.opus import FRAME, RATE
from appliance.media.packet import Encoded
from appliance.signaling.layouts import MemberSlot, arrange
from hal.audio.spectrum import level_dbfs
from hal.camera.scene import COUNTER_MODULO, Scene, SceneCode, decode
from tests.appliance.hub.far_end import Screen

WIDTH, HEIGHT, PICTURES = 640, 360, 20

BEAT = FRAME / RATE
"""Seconds of a piece of sound."""

CLEAR = -30.0
"""dBFS above which a piece of 20 ms holds one of the tones, and not only an end of it."""


class SceneCamera:
    """Draws a new picture of the moment each time somebody looks."""

    def __init__(self, number: int, width: int = WIDTH, height: int = HEIGHT) -> None:
        self._scene = Scene(number, width, height)
        self._frame = 0

    @property
    def latest(self) -> VideoFrame:
        self._frame += 1
        return self._scene.draw(self._frame)


class Tone:
    """Says one tone, and is silent while `frequency` is 0. Changes are heard at once."""

    def __init__(self, frequency: float = 0, amplitude: float = 8000) -> None:
        self.frequency = frequency
        self.amplitude = amplitude
        self.since: dict[float, float] = {}
        """When each frequency was first asked for, in seconds of `time.monotonic`; on a busy
        machine that is later than the beat in which it is heard."""
        self._samples = 0

    def pull(self) -> NDArray[np.int16]:
        frequency = self.frequency
        self.since.setdefault(frequency, time.monotonic())
        at = (self._samples + np.arange(FRAME)) / RATE
        self._samples += FRAME
        return np.rint(self.amplitude * np.sin(2 * np.pi * frequency * at)).astype(np.int16)


class LiveRoom:
    """One member, who fills the canvas with a scene and says a tone."""

    def __init__(self, stage: Stage | None = None) -> None:
        self.stage = stage or Stage(
            "Oak room", width=WIDTH, height=HEIGHT, rate=PICTURES, on_level=lambda *_: None
        )
        self.tone = Tone()
        self.stage.mixer.add("ann", self.tone, hears=False)
        self.stage.mixer.set("ann", input_sensitivity=100)
        self.stage.canvas.set_source("ann", SceneCamera(7))
        self.stage.canvas.set_member("ann", "", False)
        self.stage.arrange(arrange("1x1", [MemberSlot("ann")]))


async def until(condition: Callable[[], object], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def usual_level(pieces: Iterable[NDArray[np.int16]], frequency: float) -> float:
    """How loud a tone is in most of the pieces in which it is heard, in dBFS; -120 if in none.

    On a busy machine a tone has holes, and where it goes on its phase has jumped: in a whole
    stretch its parts may cancel each other.
    """
    levels = [level_dbfs(piece, frequency) for piece in pieces]
    return float(np.median([level for level in levels if level > -60] or [-120.0]))


def _loud(pieces: Iterable[NDArray[np.int16]], tones: Collection[float]) -> int:
    return sum(any(level_dbfs(piece, tone) > CLEAR for tone in tones) for piece in pieces)


@dataclass
class Film:
    """Everything that a file or a stream holds, decoded."""

    pictures: list[tuple[float, VideoFrame]]
    sound: NDArray[np.int16]
    """Mono at 48 kHz, from `sound_start` on."""
    sound_start: float
    keyframes: list[float]
    codecs: list[str]
    duration: float

    @classmethod
    def read(cls, path: Path | str, *, seconds: float = 3600, timeout: float | None = None) -> Film:
        """All of it, or the first seconds of a stream."""
        pictures: list[tuple[float, VideoFrame]] = []
        pieces: list[NDArray[np.int16]] = []
        keyframes: list[float] = []
        starts: list[float] = []
        resampler = AudioResampler(format="s16", layout="mono", rate=RATE)
        with av.open(str(path), timeout=timeout) as container:
            codecs = [stream.codec_context.name for stream in container.streams]
            streams = [*container.streams.video[:1], *container.streams.audio[:1]]
            for packet in container.demux(streams):
                if packet.is_keyframe and packet.stream.type == "video" and packet.pts is not None:
                    keyframes.append(float(packet.pts * packet.time_base))
                for frame in packet.decode():
                    if isinstance(frame, VideoFrame):
                        pictures.append((float(frame.time or 0), frame))
                    elif isinstance(frame, AudioFrame):
                        starts.append(float(frame.time or 0))
                        pieces += [
                            mono.to_ndarray().reshape(-1) for mono in resampler.resample(frame)
                        ]
                if pictures and starts and pictures[-1][0] - pictures[0][0] >= seconds:
                    break
            duration = (container.duration or 0) / 1e6
        sound = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
        start = starts[0] if starts else 0.0
        return cls(pictures, sound, start, keyframes, codecs, duration)

    def scenes(self) -> list[tuple[float, SceneCode]]:
        """The scenes that can be read, and when they are shown."""
        codes = ((at, decode(picture)) for at, picture in self.pictures)
        return [(at, code) for at, code in codes if code is not None]

    def level(self, frequency: float, start: float, end: float) -> float:
        """How loud a tone is between two moments, in dBFS."""
        return level_dbfs(self._between(start, end), frequency)

    def usual(self, frequency: float, start: float, end: float) -> float:
        """How loud a tone is between two moments where it is heard, in dBFS; see `usual_level`."""
        samples = self._between(start, end)
        return usual_level(samples[: samples.size // FRAME * FRAME].reshape(-1, FRAME), frequency)

    def loud(self, tones: Collection[float]) -> int:
        """In how many pieces of 20 ms a tone is clearly heard."""
        return _loud(self.sound[: self.sound.size // FRAME * FRAME].reshape(-1, FRAME), tones)

    def onset(self, frequency: float, above: float = -20) -> float:
        """When a tone begins."""
        step = RATE // 200
        for begin in range(0, self.sound.size - 4 * step, step):
            if level_dbfs(self.sound[begin : begin + 4 * step], frequency) > above:
                # Loud enough in the middle of the window at the latest.
                return self.sound_start + (begin + 2 * step) / RATE
        raise AssertionError(f"{frequency} Hz is never heard")

    def clock(self) -> float:
        """What the scenes' clock shows, in seconds, when the film begins: the median."""
        return float(np.median([code.clock_ms / 1000 - at for at, code in self.scenes()]))

    def change(self, before: float, after: float, above: float = -20) -> float:
        """When one tone first takes the place of another."""
        step = RATE // 200
        was_before = False
        for begin in range(0, self.sound.size - 4 * step, step):
            window = self.sound[begin : begin + 4 * step]
            there = level_dbfs(window, after)
            louder = there - level_dbfs(window, before)
            # In a hole of the first, as a machine under load makes them, either may be louder.
            if was_before and louder > 0 and there > above:
                return self.sound_start + (begin + 2 * step) / RATE
            was_before = was_before or louder < -6
        raise AssertionError(f"{before} Hz never gives way to {after} Hz")

    def _between(self, start: float, end: float) -> NDArray[np.int16]:
        begin = round((start - self.sound_start) * RATE)
        return self.sound[max(begin, 0) : round((end - self.sound_start) * RATE)]


class Listener:
    """A tap that hears everything, with the moments at which it did."""

    def __init__(self, stage: Stage) -> None:
        self.heard: list[tuple[float, NDArray[np.int16]]] = []
        self.late = 0.0
        """Seconds after its beginning at which a piece of sound came, at the most."""
        self.soonest = float("inf")
        """The same, at the least."""
        stage.tap(self)

    def picture(self, frame: Encoded, at: float) -> None:
        """It only listens."""

    def sound(self, samples: NDArray[np.int16], at: float) -> None:
        late = time.monotonic() - at
        self.late = max(self.late, late)
        self.soonest = min(self.soonest, late)
        self.heard.append((at, samples))

    def level(self, frequency: float, start: float, end: float = float("inf")) -> float:
        """How loud a tone was from one moment to another, in dBFS."""
        pieces = self._pieces(start, end)
        return level_dbfs(np.concatenate(pieces), frequency) if pieces else -120.0

    def usual(self, frequency: float, start: float, end: float = float("inf")) -> float:
        """How loud a tone was from one moment to another where it was heard, in dBFS; see
        `usual_level`."""
        return usual_level(self._pieces(start, end), frequency)

    def first(self, frequency: float, since: float = 0, above: float = -30) -> float | None:
        """The moment of the first piece in which a tone is heard."""
        for at, samples in tuple(self.heard):
            if at >= since and level_dbfs(samples, frequency) > above:
                return at
        return None

    def in_time(self, heard: float | None, due: float) -> bool:
        """Whether a sound that was due at a moment was in the right piece of sound, give or take
        60 ms.  A source is asked when its piece is mixed, and a busy machine is late with that."""
        return heard is not None and -self.late < heard - due + 0.06 < 0.12 - self.soonest

    def loud(self, tones: Collection[float]) -> int:
        """In how many pieces a tone was clearly heard."""
        return _loud((samples for _, samples in tuple(self.heard)), tones)

    def all_in(self, film: Film, tones: Collection[float]) -> bool:
        """Whether what was heard of the tones is in a film: all but a tenth, a few pieces at its
        ends, and what came later there.  Holes that a busy machine makes are in both."""
        zero, modulo = film.clock() + film.sound_start, COUNTER_MODULO / 1000
        seconds = film.sound.size / RATE
        said = _loud(
            (one for at, one in tuple(self.heard) if (at - zero) % modulo < seconds), tones
        )
        return said > 0 and film.loud(tones) >= 0.9 * said - 5 - self.late / BEAT

    def changes(self, before: float, after: float) -> list[float]:
        """The moments at which one tone took the place of another."""
        louder = [
            (at, level_dbfs(samples, after) > level_dbfs(samples, before))
            for at, samples in tuple(self.heard)
        ]
        return [at for (_, one), (at, other) in itertools.pairwise(louder) if other and not one]

    def _pieces(self, start: float, end: float) -> list[NDArray[np.int16]]:
        return [samples for at, samples in tuple(self.heard) if start <= at < end]


class Onlooker(Listener):
    """A tap that sees and hears everything, with the moments at which it did."""

    def __init__(self, stage: Stage) -> None:
        self.seen: list[tuple[float, VideoFrame]] = []
        self._screen = Screen("h264")
        self._decodable = False
        super().__init__(stage)

    def picture(self, frame: Encoded, at: float) -> None:
        self._decodable = self._decodable or frame.keyframe
        if self._decodable:
            self.seen.append((at, self._screen.show(frame)))

    def scenes(self, camera: int, since: float = 0) -> list[tuple[float, SceneCode]]:
        """The scenes of one camera that were seen, and when."""
        codes = [(at, decode(picture)) for at, picture in self.seen if at >= since]
        return [(at, code) for at, code in codes if code is not None and code.camera == camera]

    def newest(self) -> SceneCode | None:
        """The scene of the newest picture, if it can be read."""
        return decode(self.seen[-1][1]) if self.seen else None

    def shows(self, camera: int) -> bool:
        """Whether the newest picture is that of a camera."""
        code = self.newest()
        return code is not None and code.camera == camera
