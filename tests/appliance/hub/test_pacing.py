from __future__ import annotations

import threading
from itertools import pairwise

import pytest

from appliance.hub.pacing import Metronome


class Time(threading.Event):
    """A clock that only moves when somebody sleeps, and the event slept on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.slept.append(timeout)
        if not self.is_set():
            self.now += timeout
        return self.is_set()


def test_the_beat_does_not_drift_with_the_work_done_in_between() -> None:
    time = Time()
    metronome = Metronome(0.02, clock=time)
    for beat in range(50):
        assert metronome.wait(time) == 1
        assert time.now == pytest.approx(1000.0 + beat * 0.02)
        time.now += 0.013
    assert metronome.skipped == 0


def test_who_is_late_by_less_than_a_period_is_served_at_once_and_in_time_again() -> None:
    time = Time()
    metronome = Metronome(0.02, clock=time)
    metronome.wait(time)
    time.now += 0.035
    assert metronome.wait(time) == 1
    assert time.now == pytest.approx(1000.035)
    assert metronome.wait(time) == 1
    assert time.now == pytest.approx(1000.040)


def test_without_catching_up_missed_beats_are_skipped_and_counted() -> None:
    time = Time()
    metronome = Metronome(0.02, clock=time)
    metronome.wait(time)
    time.now += 0.105  # beats at 20, 40, 60 and 80 ms are gone, the one at 100 ms is just late
    assert metronome.wait(time) == 5
    assert metronome.skipped == 4
    assert metronome.wait(time) == 1
    assert time.now == pytest.approx(1000.120)


def test_catching_up_makes_each_beat_good_at_no_more_than_twice_the_pace() -> None:
    time = Time()
    metronome = Metronome(0.02, catch_up=5, clock=time)
    metronome.wait(time)
    time.now += 0.105
    moments = []
    for _ in range(12):
        assert metronome.wait(time) == 1
        moments.append(time.now)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert min(gaps) >= 0.01 - 1e-9
    assert moments[-1] == pytest.approx(1000.0 + 12 * 0.02)
    assert metronome.skipped == 0


def test_more_than_can_be_caught_up_is_skipped() -> None:
    time = Time()
    metronome = Metronome(0.02, catch_up=5, clock=time)
    metronome.wait(time)
    time.now += 10.0
    assert metronome.wait(time) == 500
    assert metronome.skipped == 499


def test_a_rest_misses_nothing() -> None:
    time = Time()
    metronome = Metronome(0.02, clock=time)
    metronome.wait(time)
    time.now += 60.0
    metronome.rest()
    assert metronome.wait(time) == 1
    assert time.now == pytest.approx(1060.0)
    assert metronome.skipped == 0


def test_a_set_event_ends_the_wait_at_once() -> None:
    stop = threading.Event()
    metronome = Metronome(3600.0)
    assert metronome.wait(stop) == 1
    threading.Timer(0.01, stop.set).start()
    assert metronome.wait(stop) == 0
    assert metronome.wait(stop) == 0
