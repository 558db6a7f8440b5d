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
            text = "the loop stood still for %.0f ms; nothing was let through meanwhile"
            log.warning(text, 1000 * stood)
        for gate in held:
            gate.unmute(Party.LEASE, "the loop is back")

    def _revoke(self, gates: Sequence[Gate], renewed: float) -> None:
        for gate in gates:
            if Party.LEASE not in gate.closers:
                stood = 1000 * (time.monotonic() - renewed)
                gate.mute(Party.LEASE, f"the loop stood still for {stood:.0f} ms")
