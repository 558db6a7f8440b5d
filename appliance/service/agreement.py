"""Whether the room shows the device as muted as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

LOOK_EVERY: Final = 0.5
"""Seconds between two looks."""

PATIENCE: Final = 2
"""Looks in a row that must find a difference: a request under way is none."""


class Agreement:
    """Looks at `agreed` now and then; `holds` is False while it has failed for a while.

    Whoever is right, the device is the quieter of the two meanwhile: see `MuteSync`.
    """

    def __init__(self, agreed: Callable[[], bool], on_change: Callable[[], None]) -> None:
        self.holds = True
        self._agreed = agreed
        self._on_change = on_change
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._look(), name="agreement")

    async def stop(self) -> None:
        """Look no more.  Safe to call twice, or without `start`."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _look(self) -> None:
        differs = 0
        while True:
            await asyncio.sleep(LOOK_EVERY)
            differs = 0 if self._agreed() else differs + 1
            holds = differs < PATIENCE
            if holds != self.holds:
                self.holds = holds
                self._on_change()
