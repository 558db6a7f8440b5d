"""Tasks with an owner: nobody starts one that nobody ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger(__name__)


class Tasks:
    """The tasks of one object, each kept until it ends and cancelled with its owner."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run `work` beside everything else; what it raises is logged, never lost."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def cancel(self) -> None:
        """Ask every task but the current one to end."""
        for task in self._others():
            task.cancel()

    async def close(self) -> None:
        """Cancel every task but the current one and wait until they have ended."""
        others = self._others()
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def settle(self, timeout: float) -> None:
        """Wait until the others end by themselves, at most `timeout` seconds."""
        others = self._others()
        if others:
            await asyncio.wait(others, timeout=timeout)

    def _others(self) -> list[asyncio.Task[Any]]:
        try:
            current = asyncio.current_task()
        except RuntimeError:  # no loop runs in this thread, so none of ours does
            current = None
        return [task for task in self._running if task is not current]

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed: %s", task.get_name(), error, exc_info=error)
