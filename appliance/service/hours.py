"""Hours of the day, as people write them."""

from __future__ import annotations

import datetime as dt


def within(at: dt.time, begin: str, end: str) -> bool:
    """Whether `at` is between two times as in 07:30, the first one included, the last one not;
    an end before the beginning is one of the next day."""
    first, last = dt.time.fromisoformat(begin), dt.time.fromisoformat(end)
    return first <= at < last if first <= last else at >= first or at < last
