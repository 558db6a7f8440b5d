from __future__ import annotations

import logging

import pytest

from appliance.web.seldom import Seldom, SeldomWarnings


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_line_is_due_once_a_minute() -> None:
    clock = Clock()
    line = Seldom(clock)
    assert [line.due() for _ in range(3)] == [True, False, False]
    clock.now += 59
    assert not line.due()
    clock.now += 1
    assert [line.due() for _ in range(2)] == [True, False]


def test_warnings_are_seldom_by_their_wording_and_errors_pass(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger, clock = logging.getLogger("test.seldom"), Clock()
    seldom = SeldomWarnings(clock)
    logger.addFilter(seldom)
    try:
        for number in range(3):
            logger.warning("one %d", number)
            logger.warning("another")
            logger.error("a fault %d", number)
        clock.now += 60
        logger.warning("one %d", 3)
    finally:
        logger.removeFilter(seldom)
    faults = [f"a fault {number}" for number in range(3)]
    assert caplog.messages == ["one 0", "another", *faults, "one 3"]
