"""Something that keeps in step with a gate, on the loop's side of the threads."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable

from appliance.media.gate import Gate

log = logging.getLogger(__name__)


class GateFollower(ABC):
    """Runs `_follow` on the loop after each change of a gate, one at a time.

    Gates change on any thread; `_observe` is the one place where that crosses to the loop.
    """

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self._wake = asyncio.Event()
        self._gate_moved = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to follow.  To be called on the loop, once."""
        self._loop = asyncio.get_running_loop()
        self._unsubscribe = self.gate.subscribe(self._observe)
        self._task = self._loop.create_task(self._run(), name=type(self).__name__)
        self._wake.set()

    def cancel(self) -> None:
        """Follow no longer.  Safe to call twice, or without `start`."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """Follow no longer, and wait until whatever was under way has ended."""
        self.cancel()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    @abstractmethod
    async def _follow(self) -> None:
        """Bring the other side in step with the gate; return when it is."""

    def _moved(self) -> None:
        """The gate has changed; runs on the loop, a moment later."""

    async def _pause(self, seconds: float) -> None:
        """Wait before the next try, but not longer than until the gate changes."""
        if seconds > 0:
            self._gate_moved.clear()
            with contextlib.suppress(TimeoutError):
                # Not wait_for: before Python 3.12 it loses a cancellation that comes with it.
                async with asyncio.timeout(seconds):
                    await self._gate_moved.wait()

    def _observe(self, gate: Gate) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._gate_changed)
        except RuntimeError:
            # The loop is closed: there is nobody left to follow.
            log.debug("a gate changed after the end of the loop")

    def _gate_changed(self) -> None:
        self._moved()
        self._gate_moved.set()
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._follow()
            except Exception:
                log.exception("%s stumbled; it goes on with the next change", type(self).__name__)
