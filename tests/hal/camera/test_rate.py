from __future__ import annotations

import pytest

from hal.camera.rate import RateMeter


def test_too_few_to_tell() -> None:
    meter = RateMeter()
    assert meter.rate is None
    for number in range(4):
        meter.tick(number / 30)
        assert meter.rate is None


def test_the_rate_of_the_last_two_seconds() -> None:
    meter = RateMeter()
    for number in range(100):
        meter.tick(number / 30)
    assert meter.rate == pytest.approx(30)
    now = 99 / 30
    for number in range(1, 31):
        meter.tick(now + number / 15)
    assert meter.rate == pytest.approx(15, rel=0.02)


def test_dropped_pictures_show() -> None:
    meter = RateMeter()
    for number in range(60):
        if number % 3:
            meter.tick(number / 30)
    assert meter.rate == pytest.approx(20, rel=0.05)


def test_a_clock_that_goes_back_begins_anew() -> None:
    meter = RateMeter()
    for number in range(30):
        meter.tick(1000 + number / 30)
    meter.tick(1.0)
    assert meter.rate is None
    for number in range(30):
        meter.tick(1 + number / 10)
    assert meter.rate == pytest.approx(10)
    meter.reset()
    assert meter.rate is None


def test_pictures_of_one_moment_have_no_rate() -> None:
    meter = RateMeter()
    for _ in range(10):
        meter.tick(5.0)
    assert meter.rate is None
