"""How long the members of one room may stay: a timer for each whose time is limited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from appliance.hub.admission import Rules, seconds_to_stay
from appliance.hub.tokens import TokenOptions

__all__ = ["Stays"]

_LOOK_AGAIN: Final = 3600.0
"""Seconds that a timer runs at most before it looks at the clock again."""


@dataclass(slots=True)
class _Stay:
    token: TokenOptions
    remove: Callable[[], None]
    joined_at: float
    timer: asyncio.TimerHandle | None = None


class Stays:
    """The timers of one room, by member id."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._stays: dict[str, _Stay] = {}

    @property
    def rules(self) -> Rules:
        """What the room demands of those who come and stay."""
        return self._rules

    @rules.setter
    def rules(self, rules: Rules) -> None:
        self._rules = rules
        for stay in self._stays.values():
            self._arm(stay)

    def begin(self, member_id: str, token: TokenOptions, remove: Callable[[], None]) -> None:
        """A member has joined; `remove` is called when its time is over, if it ever is."""
        self.end(member_id)
        stay = self._stays[member_id] = _Stay(token, remove, time.time())
        self._arm(stay)

    def end(self, member_id: str) -> None:
        """The member has left by itself."""
        stay = self._stays.pop(member_id, None)
        if stay is not None and stay.timer is not None:
            stay.timer.cancel()

    def close(self) -> None:
        """Cancel all timers."""
        for member_id in list(self._stays):
            self.end(member_id)

    def _arm(self, stay: _Stay) -> None:
        if stay.timer is not None:
            stay.timer.cancel()
            stay.timer = None
        now = time.time()
        delay = seconds_to_stay(self._rules, stay.token, joined_at=stay.joined_at, now=now)
        if delay is not None:
            # A clock that the loop's time does not follow may jump; the next look sets it right.
            wait = min(delay, _LOOK_AGAIN)
            work = stay.remove if delay <= _LOOK_AGAIN else lambda: self._arm(stay)
            stay.timer = asyncio.get_running_loop().call_later(wait, work)
