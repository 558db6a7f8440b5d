"""When to try again after a socket was lost, and how loudly to say so."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final

__all__ = ["ReconnectLogic", "retry_delay"]

#: Seconds after which a connection counts as good, and the next loss as the first.
STABLE_AFTER: Final = 10.0


def retry_delay(attempt: int) -> float:
    """Seconds to wait before a reconnection; ``attempt`` counts from 0.

    Random, so that the devices of a building do not come back to a restarted server all at once:
    0.2 to 1 s before the first, then 1 to 4 s without growth, as the browser SDK has it.
    """
    return random.uniform(0.2, 1.0) if attempt == 0 else random.uniform(1.0, 4.0)


class ReconnectLogic:
    """Counts the attempts since the last session that held."""

    def __init__(self, backoff: Callable[[int], float] = retry_delay) -> None:
        """``backoff`` gives the seconds before the attempt of that number, from 0."""
        self._backoff = backoff
        self._attempt = 0
        self._ready_at: float | None = None

    @property
    def had_session(self) -> bool:
        """Whether the present attempt, or the last one, came as far as a session."""
        return self._ready_at is not None

    def attempting(self) -> None:
        """An attempt begins."""
        self._ready_at = None

    def ready(self) -> None:
        """The attempt came to a session."""
        self._ready_at = asyncio.get_running_loop().time()

    def lost(self) -> None:
        """The attempt ended. One that held long enough makes its loss the first one."""
        now = asyncio.get_running_loop().time()
        if self._ready_at is not None and now - self._ready_at >= STABLE_AFTER:
            self._attempt = 0

    def next(self) -> tuple[float, int]:
        """The seconds to wait before the next attempt, and the level to log that at.

        The first loss is news; a server that stays away is not.
        """
        attempt = self._attempt
        self._attempt += 1
        if attempt == 0:
            level = logging.WARNING
        else:
            level = logging.INFO if attempt < 5 else logging.DEBUG
        return self._backoff(attempt), level
