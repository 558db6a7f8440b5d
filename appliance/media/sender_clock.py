"""The wall clock of a sender, as its RTCP sender reports tell it (RFC 3550 section 6.4.1)."""

from __future__ import annotations

from collections import deque
from typing import Final

_KEPT: Final = 5
"""Reports, about a second apart, of which the one that left soonest counts."""

_STEP: Final = 0.5
"""Seconds by which a report may differ from the last one; more is another clock or origin."""


class SenderClock:
    """Places one stream's RTP time on the wall clock that all streams of its sender share.

    Some senders take the wall clock's time when a packet leaves, not when its content was
    captured: what they queue makes a report late, never early, so the earliest of a few counts.

    `report` belongs to one thread; `moment` may be called from any.
    """

    def __init__(self, rate: int) -> None:
        """`rate` is that of the RTP clock, in ticks a second."""
        self._rate = rate
        self._reports: deque[tuple[int, float]] = deque(maxlen=_KEPT)
        self._base: tuple[int, float] | None = None

    def report(self, timestamp: int, ntp: int) -> None:
        """Take one report: an RTP timestamp and its NTP time, 64 bits.  A time of 0, from a
        sender that has sent nothing yet, says nothing."""
        pair = (timestamp, ntp / 2**32)
        if not ntp or (self._reports and self._reports[-1] == pair):
            return
        if self._reports and abs(pair[1] - self._at(self._reports[-1], timestamp)) > _STEP:
            self._reports.clear()
        self._reports.append(pair)
        self._base = min(self._reports, key=lambda one: self._at(one, timestamp))

    def moment(self, timestamp: int) -> float | None:
        """When a timestamp was captured, in seconds of the sender's wall clock; None before
        the first report.  Of the timestamp only the lowest 32 bits count."""
        base = self._base
        return None if base is None else self._at(base, timestamp)

    def _at(self, pair: tuple[int, float], timestamp: int) -> float:
        ticks = (timestamp - pair[0] + 2**31) % 2**32 - 2**31
        return pair[1] + ticks / self._rate
