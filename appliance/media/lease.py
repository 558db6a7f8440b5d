"""The lease under which a capture may be heard: the loop renews it, or the gates close.

The loop owns all state, and so every mute comes through it.  A loop that hangs hears no button
and no moderator, so whoever captures asks the lease before each period; once it has run out,
the gates close on the capture's own thread, and with them the light goes to FAULT.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from typing import Final

from appliance.media.gate import Gate, Party

log = logging.getLogger(__name__)

LIMIT: Final = 0.08
"""Seconds that a renewal is good for.  With one period of 10 ms on top, sound stops within the
100 ms that are promised."""

_SHARE: Final = 4
"""Renewals within the limit."""

NEWS_EVERY: Final = 60.0
"""Seconds from one line in the log to the next, however often the loop stands still."""


class Standstills:
    """What the log is told of them: the first at once, further ones in one line a minute.

    `now` is `time.monotonic` throughout.
    """

    def __init__(self) -> None:
        self._told: float | None = None
        self._count = 0
        self._longest = 0.0

    def add(self, stood: float, now: float) -> None:
        """The loop stood still for `stood` seconds, and is back."""
        if not self._count and (self._told is None or now - self._told >= NEWS_EVERY):
            self._told = now
            text = "the loop stood still for %.0f ms; nothing was let through meanwhile"
            log.warning(text, 1000 * stood)
            return
        self._count += 1
        self._longest = max(self._longest, stood)
        self.look(now)

    def look(self, now: float) -> None:
        """Tell of further ones, if it is time to."""
        if self._count and self._told is not None and now - self._told >= NEWS_EVERY:
            self.tell(now)

    def tell(self, now: float) -> None:
        """Tell of further ones now, if there are any."""
        if not self._count or self._told is None:
            return
        text = (
            "the loop stood still again: %d x in the last %.0f s, for %.0f ms at the longest; "
            "nothing was let through meanwhile"
        )
        log.warning(text, self._count, now - self._told, 1000 * self._longest)
        self._told, self._count, self._longest = now, 0, 0.0


class Lease:
    """Holds `gates` closed, on behalf of `Party.LEASE`, while the loop gives no sign of life.

    Before `start` and after `stop` it holds nothing: then nothing may be captured at all.
    """

    def __init__(self, gates: Sequence[Gate], limit: float = LIMIT) -> None:
        self._gates = tuple(gates)
        self._limit = limit
        self._renewed: float | None = None
        self._thread = 0
        self._timer: asyncio.TimerHandle | None = None
        self._standstills = Standstills()

    def start(self) -> None:
        """Begin to renew it, on the running loop."""
        self._thread = threading.get_ident()
        self._renewed = time.monotonic()
        self._renew()

    def stop(self) -> None:
        """Renew it no more."""
        self._renewed = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._standstills.tell(time.monotonic())

    def check(self) -> None:
        """Close the gates if the lease has run out.  To be called on any thread, before what
        was captured is let through, and again before it leaves."""
        renewed = self._renewed
        if renewed is None or time.monotonic() - renewed <= self._limit:
            return
        if threading.get_ident() == self._thread:
            # The loop is back, and what it finds waiting for it is old.
            self._refresh()
        else:
            self._revoke(self._gates, renewed)

    def _renew(self) -> None:
        self._refresh()
        self._standstills.look(time.monotonic())
        self._timer = asyncio.get_running_loop().call_later(self._limit / _SHARE, self._renew)

    def _refresh(self) -> None:
        renewed = self._renewed
        if renewed is None:
            return
        stood = time.monotonic() - renewed
        if stood > self._limit:
            # Even if no capture has noticed: a change of the epoch makes the old stale.  What was
            # closed let nothing through, and its light and its log need no news.
            self._revoke([gate for gate in self._gates if gate.is_open], renewed)
        self._renewed = time.monotonic()
        held = [gate for gate in self._gates if Party.LEASE in gate.closers]
        if held and stood > self._limit:
            self._standstills.add(stood, self._renewed)
        for gate in held:
            gate.unmute(Party.LEASE, "the loop is back")

    def _revoke(self, gates: Sequence[Gate], renewed: float) -> None:
        for gate in gates:
            if Party.LEASE not in gate.closers:
                stood = 1000 * (time.monotonic() - renewed)
                gate.mute(Party.LEASE, f"the loop stood still for {stood:.0f} ms")
