"""Waiting for news of something that tells them in threads of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self


class Wake:
    """Wakes one task at news, from entering it to leaving it.  For one loop.

    News that come up while the task is busy are not lost: its next `wait` is over at once.
    """

    def __init__(self, subscribe: Callable[[Callable[[], None]], Callable[[], None]]) -> None:
        """`subscribe` takes what is to be called at news, in any thread, and returns what ends
        that."""
        self._subscribe: Final = subscribe
        self._news: Final = asyncio.Event()

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._unsubscribe = self._subscribe(self._tell)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._unsubscribe()

    async def wait(self, seconds: float | None = None) -> None:
        """Until there are news, or for so long at most."""
        with contextlib.suppress(TimeoutError):
            # Not wait_for: before Python 3.12 it loses a cancellation that comes with the news.
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()

    def _tell(self) -> None:
        # The one place where other threads come in; the loop may have gone before them.
        if not self._news.is_set():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._news.set)
