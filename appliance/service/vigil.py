"""Signs of life for the service manager, given only while the device really lives.

The loop gives them, so it turns.  And no thread at a device stands still: one that is muted or
idle has no thread, one whose device fails tries again, but one that hangs in a driver turns no
more.  Then the signs stop, and the service manager ends the process and starts it anew.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

from appliance.media.worker import Worker
from appliance.service.notify import Notifier

log = logging.getLogger(__name__)

STUCK_AFTER: Final = 10.0
"""Seconds without a turn after which a thread counts as stuck.  Periods take 10 ms, pictures at
most a second, a camera's opening a few."""

EVERY: Final = 1.0
"""Seconds between two looks at most."""


class Vigil:
    """Watches `workers`, by name, and gives the signs of life.

    `on_stuck` is called on the loop with the names of those that stand still, when they change.
    """

    def __init__(
        self,
        notifier: Notifier,
        workers: Callable[[], Mapping[str, Worker]],
        on_stuck: Callable[[list[str]], None],
        *,
        stuck_after: float = STUCK_AFTER,
    ) -> None:
        self._notifier = notifier
        self._workers = workers
        self._on_stuck = on_stuck
        self._stuck_after = stuck_after
        self._stuck: list[str] = []
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running loop."""
        self._task = asyncio.create_task(self._run(), name="vigil")

    async def stop(self) -> None:
        """End.  Safe to call twice, or without `start`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def look(self, now: float | None = None) -> list[str]:
        """The names of the workers that stand still at `now` (`time.monotonic`)."""
        moment = time.monotonic() if now is None else now
        return sorted(
            name
            for name, worker in self._workers().items()
            if not worker.suspended and moment - worker.turned > self._stuck_after
        )

    async def _run(self) -> None:
        wanted = self._notifier.watchdog_s
        every = EVERY if wanted is None else min(EVERY, wanted / 4)
        while True:
            stuck = self.look()
            if stuck != self._stuck:
                self._stuck = stuck
                self._on_stuck(stuck)
            if not stuck:
                self._notifier.alive()
            await asyncio.sleep(every)
