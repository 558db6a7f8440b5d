from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.hub.muxing import CONTAINER_OPTIONS, Muxer
from appliance.media.video_encoder import VideoEncoder
from hal.camera.scene import Scene
from tests.appliance.hub.far_end import sine
from tests.appliance.hub.live_room import Film

RATE = 20
ORIGIN = 1000.0
"""What the clock shows when it all begins."""


class Bench:
    """A muxer that is fed at moments, and the film that comes out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.muxer = Muxer(
            av.open(str(path), "w", format="mp4", container_options=CONTAINER_OPTIONS), RATE
        )
        self._scene = Scene(3, 320, 180)
        self._encoder = VideoEncoder("h264", 320, 180, RATE, 500_000)
        self._tone = sine(1000, 50, 8000)

    def picture(self, at: float, keyframe: bool = False) -> None:
        frame = self._scene.draw(0, round(at * 1000))
        frame.pts, frame.time_base = round(at * 90_000), Fraction(1, 90_000)
        packet = self._encoder.encode(frame, keyframe)
        self.muxer.picture(ORIGIN + at, bytes(packet), bool(packet.is_keyframe))

    def beat(self, at: float) -> NDArray[np.int16]:
        start = round(at * 48_000) % 48_000
        return np.resize(np.roll(self._tone, -start), 960)

    def run(
        self, start: float, end: float, *, heard: Callable[[float], bool] = lambda at: True
    ) -> None:
        """Pictures and a tone, the picture of each moment after its sound."""
        for beat in range(round(start * 50), round(end * 50)):
            at = beat / 50
            if heard(at):
                self.muxer.sound(ORIGIN + at, self.beat(at))
            if beat % 5 == 0:
                self.picture(at, keyframe=at == start)
                self.picture(at + 0.05)

    def film(self, end: float) -> Film:
        self.muxer.close(ORIGIN + end)
        return Film.read(self.path)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "a.mp4")


def test_pictures_and_sound_begin_together_at_zero(bench: Bench) -> None:
    bench.run(0.5, 2.5)
    assert bench.muxer.started
    film = bench.film(2.5)
    assert bench.muxer.duration == pytest.approx(2.0, abs=0.01)
    assert film.duration == pytest.approx(2.0, abs=0.05)
    assert film.sound_start == 0
    times = [at for at, _ in film.pictures]
    assert times == pytest.approx([n / RATE for n in range(2 * RATE)], abs=0.001)
    assert film.clock() == pytest.approx(0.5, abs=0.001)
    # Also the sound of the first keyframe's moment, which came before it.
    assert film.level(1000, 0.02, 0.12) > -15


def test_nothing_is_written_before_a_keyframe(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "a.mp4")
    bench.picture(0, keyframe=True)
    other = Bench(tmp_path / "b.mp4")
    other._encoder = bench._encoder  # whose next picture is none
    other.picture(0.1)
    other.muxer.sound(ORIGIN, other.beat(0))
    assert not other.muxer.started
    assert other.muxer.duration == 0
    other.muxer.close(ORIGIN + 1)
    assert not (tmp_path / "b.mp4").exists()
    bench.muxer.close(ORIGIN + 1)


def test_a_pause_leaves_no_gap(bench: Bench) -> None:
    bench.run(0, 1)
    bench.muxer.pause(ORIGIN + 1)
    bench.muxer.pause(ORIGIN + 1.5)
    bench.picture(4.9)  # no keyframe: of no use
    bench.run(5, 6)
    film = bench.film(6)
    assert film.duration == pytest.approx(2.0, abs=0.05)
    times = [at for at, _ in film.pictures]
    assert times == pytest.approx([n / RATE for n in range(2 * RATE)], abs=0.001)
    clocks = [code.clock_ms for _, code in film.scenes()]
    assert [b - a for a, b in itertools.pairwise(clocks) if b - a > 100] == [4050]
    assert film.sound.size / 48_000 == pytest.approx(2.0, abs=0.05)
    for start in np.arange(0.1, 1.8, 0.1):
        assert film.level(1000, start, start + 0.1) > -15


def test_missing_sound_becomes_silence_and_the_rest_stays_in_time(bench: Bench) -> None:
    bench.run(0, 3, heard=lambda at: not 1 <= at < 2)
    film = bench.film(3)
    assert film.level(1000, 0.1, 0.9) > -15
    assert film.level(1000, 1.1, 1.9) < -60
    assert film.level(1000, 2.1, 2.9) > -15
    assert film.sound.size / 48_000 == pytest.approx(3.0, abs=0.05)


def test_without_any_sound_the_track_is_silent_and_as_long(bench: Bench) -> None:
    bench.run(0, 3, heard=lambda at: False)
    film = bench.film(3)
    assert film.sound.size / 48_000 == pytest.approx(3.0, abs=0.05)
    assert np.abs(film.sound).max() == 0


def test_sound_that_comes_twice_or_late_is_left_out(bench: Bench) -> None:
    for beat in range(50):
        at = beat / 50
        if beat % 5 == 0:
            bench.picture(at, keyframe=beat == 0)
        bench.muxer.sound(ORIGIN + at, bench.beat(at))
        bench.muxer.sound(ORIGIN + at, bench.beat(at))
        bench.muxer.sound(ORIGIN + at - 0.5, bench.beat(at))
    film = bench.film(1)
    assert film.sound.size / 48_000 == pytest.approx(1.0, abs=0.05)
    assert film.level(1000, 0.05, 0.95) == pytest.approx(-12.2, abs=0.5)


def test_the_last_picture_is_seen_until_the_end(bench: Bench) -> None:
    bench.picture(0, keyframe=True)
    bench.picture(0.2)
    film = bench.film(2)
    assert film.duration == pytest.approx(2.0, abs=0.05)
    assert [at for at, _ in film.pictures] == pytest.approx([0, 0.2], abs=0.001)


def test_two_pictures_of_one_moment_stay_in_order(bench: Bench) -> None:
    bench.picture(0, keyframe=True)
    bench.picture(0.1)
    bench.muxer.picture(ORIGIN + 0.1, bytes(_next(bench)), False)
    bench.picture(0.2)
    film = bench.film(0.3)
    times = [at for at, _ in film.pictures]
    assert len(times) == 4
    assert times == sorted(set(times))


def _next(bench: Bench) -> av.Packet:  # type: ignore[type-arg]
    frame = bench._scene.draw(0, 150)
    frame.pts, frame.time_base = 13_500, Fraction(1, 90_000)
    return bench._encoder.encode(frame)
