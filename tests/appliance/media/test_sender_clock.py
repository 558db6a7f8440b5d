"""RTP time to the sender's wall clock."""

from __future__ import annotations

import pytest

from appliance.media.sender_clock import SenderClock

SECOND = 2**32


def test_nothing_is_known_before_a_report() -> None:
    clock = SenderClock(90_000)
    assert clock.moment(5) is None
    clock.report(0, 0)  # a sender that has sent nothing
    assert clock.moment(5) is None


def test_times_before_and_after_a_report_are_told() -> None:
    clock = SenderClock(90_000)
    clock.report(900_000, 4_000_000_000 * SECOND + SECOND // 2)
    assert clock.moment(900_000) == 4_000_000_000.5
    assert clock.moment(945_000) == 4_000_000_001.0
    assert clock.moment(0) == 3_999_999_990.5


def test_the_counter_may_wrap_and_may_be_unwrapped() -> None:
    clock = SenderClock(48_000)
    clock.report(2**32 - 24_000, 1000 * SECOND)
    assert clock.moment(24_000) == 1001
    assert clock.moment(2**32 + 24_000) == 1001
    assert clock.moment(5 * 2**32 - 48_000) == 999.5


def test_the_report_that_left_soonest_counts() -> None:
    clock = SenderClock(48_000)
    for second, late in enumerate((0.03, 0.0, 0.05, 0.02)):
        clock.report(second * 48_000, round((1000 + second + late) * SECOND))
    assert clock.moment(48_000 * 10) == pytest.approx(1010, abs=1e-6)
    # Not for ever: clocks drift.
    for second in range(4, 9):
        clock.report(second * 48_000, round((1000.01 + second) * SECOND))
    assert clock.moment(48_000 * 10) == pytest.approx(1010.01, abs=1e-6)


def test_a_clock_that_was_set_is_believed_at_once() -> None:
    clock = SenderClock(48_000)
    for second in range(5):
        clock.report(second * 48_000, (1000 + second) * SECOND)
    clock.report(5 * 48_000, 1_700_000_005 * SECOND)
    assert clock.moment(6 * 48_000) == 1_700_000_006
    clock.report(6 * 48_000, 1006 * SECOND)
    assert clock.moment(7 * 48_000) == 1007


def test_the_same_report_again_pushes_no_other_out() -> None:
    clock = SenderClock(48_000)
    clock.report(0, 1000 * SECOND)
    for _ in range(9):
        clock.report(48_000, 1001 * SECOND + SECOND // 10)
    assert clock.moment(0) == 1000
