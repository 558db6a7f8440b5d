"""Changes that people at the panel wait for, one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final

from appliance.panel import Refused
from appliance.provisioning.overrides import Changes

MOST: Final = 8
"""Wishes that wait at the same time: each may open devices, and takes its time."""


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """Changes, and whoever waits for them."""

    changes: Changes
    _granted: asyncio.Future[None]

    def settle(self, error: Exception | None = None) -> None:
        """Tell whoever waits, unless they are gone, that it is done, or why not."""
        if self._granted.done():
            return
        if error is None:
            self._granted.set_result(None)
        else:
            self._granted.set_exception(error)


class Wishes:
    """Those that wait.  Lives on the loop."""

    def __init__(self) -> None:
        self._waiting: deque[Wish] = deque()
        self._there = asyncio.Event()
        self._closed = False

    async def make(self, changes: Changes) -> None:
        """Wait until these are made.  Who is cancelled before they are begun, as the page that
        went away is, wishes for them no longer.

        Raises Refused where too many wait, or the device ends, and what `Wish.settle` was given.
        """
        if self._closed:
            raise Refused("The device is about to end.")
        if len(self._waiting) >= MOST:
            raise Refused("Too many changes are wished for at once: wait until they are made.")
        wish = Wish(changes, asyncio.get_running_loop().create_future())
        self._waiting.append(wish)
        self._there.set()
        try:
            await wish._granted
        finally:
            # One that was begun is there no longer.
            if wish in self._waiting:
                self._waiting.remove(wish)

    async def wait(self) -> None:
        """Until there is one."""
        await self._there.wait()

    def take(self) -> Wish | None:
        """The one that is to be granted now; None where nobody wishes for anything."""
        while self._waiting:
            wish = self._waiting.popleft()
            # Who is cancelled does not take it back before its next turn.
            if not wish._granted.done():
                return wish
        self._there.clear()
        return None

    def close(self) -> None:
        """Refuse those that wait, and all that come."""
        self._closed = True
        while self._waiting:
            self._waiting.popleft().settle(Refused("The device is about to end."))
