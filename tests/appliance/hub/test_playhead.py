from __future__ import annotations

import threading

import numpy as np
import pytest
from av import VideoFrame
from numpy.typing import NDArray

from appliance.hub.film import Piece, Shot
from appliance.hub.playhead import Playhead
from appliance.hub.yuv import Picture, planes

RATE = 48_000


class Clock:
    def __init__(self) -> None:
        self.now = 500.0

    def __call__(self) -> float:
        return self.now


def grey(level: int) -> VideoFrame:
    picture = Picture(16, 16)
    picture.y[...] = level
    return picture.frame


class Bench:
    """A playhead whose pictures are as grey as their number, and whose sound counts samples."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.head = Playhead(clock=self.clock)

    def shots(self, first: int, end: int, every: float = 0.1) -> None:
        for number in range(first, end):
            self.head.put(Shot(number * every, grey(number % 200)))

    def sound(self, start: float, end: float, *, off: float = 0.0, step: int = 1024) -> None:
        at = round(start * RATE)
        while at < round(end * RATE):
            count = min(step, round(end * RATE) - at)
            samples = (np.arange(at, at + count) % 30_000 + 1).astype(np.int16)
            self.head.put(Piece(at / RATE + off, samples))
            at += count

    def seen(self) -> int | None:
        frame = self.head.picture()
        return None if frame is None else int(planes(frame)[0][0, 0])

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds

    def hear(self, beats: int) -> NDArray[np.int16]:
        heard = []
        for _ in range(beats):
            heard.append(self.head.sound())
            self.pass_time(0.02)
        return np.concatenate(heard)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def counted(start: float, count: int) -> NDArray[np.int16]:
    at = round(start * RATE)
    return (np.arange(at, at + count) % 30_000 + 1).astype(np.int16)


def test_pictures_are_seen_at_their_time(bench: Bench) -> None:
    assert bench.seen() is None
    bench.shots(0, 10)
    assert bench.seen() == 0  # before it plays, for that is where it is
    bench.head.play()
    for step in range(20):
        assert bench.seen() == min(step // 2, 9)
        assert bench.head.position == pytest.approx(step * 0.05)
        bench.pass_time(0.05)


def test_sound_is_heard_at_its_time_without_seams(bench: Bench) -> None:
    bench.sound(0, 1)
    assert np.abs(bench.head.sound()).max() == 0
    bench.head.play()
    assert np.array_equal(bench.hear(30), counted(0, 30 * 960))
    # Times that a container has rounded to milliseconds, up or down, make no seams.
    bench.sound(1, 1.5, off=0.0004)
    bench.sound(1.5, 2, off=-0.0006)
    assert np.array_equal(bench.hear(60), counted(0.6, 60 * 960))


def test_a_beat_that_is_early_or_late_is_no_reason_for_a_seam(bench: Bench) -> None:
    bench.sound(0, 2)
    bench.head.play()
    bench.head.sound()
    heard = []
    for late in (0.05, 0.0, 0.0, 0.03, 0.02, 0.02, 0.02, 0.0):
        bench.pass_time(late)
        heard.append(bench.head.sound())
    assert np.array_equal(np.concatenate(heard), counted(0.02, 8 * 960))
    # But nobody came for the sound of half a second: that is over.
    bench.pass_time(0.5)
    position = bench.head.position
    assert np.array_equal(bench.head.sound(), counted(position, 960))


def test_sound_after_a_gap_comes_in_time(bench: Bench) -> None:
    bench.sound(0, 0.5)
    bench.sound(0.7, 1.2)
    bench.head.play()
    heard = bench.hear(50)
    assert np.array_equal(heard[: RATE // 2], counted(0, RATE // 2))
    assert np.abs(heard[RATE // 2 : round(0.7 * RATE)]).max() == 0
    assert np.array_equal(heard[round(0.7 * RATE) :], counted(0.7, round(0.3 * RATE)))


def test_a_pause_stops_the_clock_and_loses_nothing(bench: Bench) -> None:
    bench.shots(0, 10)
    bench.sound(0, 1)
    bench.head.play()
    bench.hear(10)
    bench.head.pause()
    assert bench.head.paused
    bench.pass_time(5)
    assert bench.head.position == pytest.approx(0.2)
    assert bench.seen() == 2
    assert np.abs(bench.head.sound()).max() == 0
    bench.head.play()
    assert np.array_equal(bench.hear(10), counted(0.2, 10 * 960))


def test_when_nothing_comes_the_clock_waits_until_enough_has_come(bench: Bench) -> None:
    bench.head.play()
    bench.pass_time(3)
    assert bench.head.position == 0
    bench.shots(0, 2)
    bench.pass_time(1)
    assert bench.head.position == 0  # not enough yet
    bench.shots(2, 6)
    bench.pass_time(0.4)
    assert bench.head.position == pytest.approx(0.4)
    bench.pass_time(9)
    assert bench.head.position == pytest.approx(0.6)
    assert bench.seen() == 5
    assert not bench.head.over
    bench.shots(6, 9)
    bench.pass_time(0.2)
    assert bench.head.position == pytest.approx(0.8)
    assert bench.seen() == 8


def test_the_end_comes_when_the_longest_has_been_played(bench: Bench) -> None:
    bench.shots(0, 3)
    bench.sound(0, 0.5)
    bench.head.play()
    bench.head.finish()
    bench.pass_time(0.4)
    assert not bench.head.over
    assert bench.seen() == 2
    bench.pass_time(0.2)
    assert bench.head.over
    assert bench.head.position == pytest.approx(0.5)


def test_a_film_shorter_than_what_is_enough_is_played_too(bench: Bench) -> None:
    bench.head.play()
    bench.sound(0, 0.1)
    bench.pass_time(1)
    assert bench.head.position == 0
    bench.head.finish()
    assert np.array_equal(bench.hear(5), counted(0, 5 * 960))
    bench.pass_time(0.01)
    assert bench.head.over


def test_after_a_restart_only_what_comes_then_is_played(bench: Bench) -> None:
    bench.shots(0, 10)
    bench.sound(0, 1)
    bench.head.play()
    bench.hear(10)
    assert bench.seen() == 2
    bench.head.finish()
    bench.head.restart(5.02)
    assert bench.head.position == pytest.approx(5.02)
    assert bench.seen() == 2  # until there is another one
    assert np.abs(bench.head.sound()).max() == 0
    bench.shots(50, 60)
    bench.sound(5, 6)
    assert bench.seen() == 50
    assert not bench.head.over
    assert np.array_equal(bench.hear(10), counted(5.02, 10 * 960))
    assert bench.seen() == 52


def test_a_paused_film_shows_the_picture_that_was_sought(bench: Bench) -> None:
    bench.shots(0, 10)
    assert bench.seen() == 0
    bench.head.restart(3.05)
    for number in range(25, 40):
        bench.head.put(Shot(number / 10, grey(number)))
    assert bench.seen() == 30
    assert bench.head.position == pytest.approx(3.05)


def test_it_wants_a_second_of_each_and_no_more(bench: Bench) -> None:
    head = bench.head
    assert head.wants(picture=True, sound=True)
    bench.shots(0, 12)
    assert head.wants(picture=True, sound=True)
    assert not head.wants(picture=True, sound=False)
    bench.sound(0, 1.1)
    assert not head.wants(picture=True, sound=True)
    head.play()
    bench.hear(20)
    assert head.wants(picture=True, sound=True)
    # A film that has its pictures and its sound far apart is not kept as a whole.
    bench.head.restart(0)
    bench.sound(0, 25)
    assert not head.wants(picture=True, sound=True)
    bench.head.restart(0)
    bench.shots(0, 50, every=0.01)
    assert not head.wants(picture=True, sound=True)


def test_nobody_needs_to_look_for_it_to_go_on(bench: Bench) -> None:
    """Without anybody who takes pictures or sound, both pass all the same."""
    bench.head.play()
    for second in range(0, 100, 2):
        bench.shots(10 * second, 10 * second + 20)
        bench.sound(second, second + 2)
        bench.pass_time(2)
        bench.head.wants(picture=True, sound=True)
    assert len(bench.head._shots) < 30
    assert sum(piece.size for _, piece in bench.head._pieces) < 5 * RATE


def test_a_picture_that_stays_is_another_frame_now_and_then(bench: Bench) -> None:
    bench.shots(0, 1)
    first = bench.head.picture()
    assert bench.head.picture() is first
    bench.pass_time(2.5)
    second = bench.head.picture()
    assert second is not first
    assert bench.head.picture() is second
    assert bench.seen() == 0


def test_wake_ends_a_wait(bench: Bench) -> None:
    timer = threading.Timer(0.05, bench.head.wake)
    timer.start()
    bench.head.wait(60)
    timer.join()
