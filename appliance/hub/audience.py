"""The count of the audience: told when it changes, and from time to time while anybody looks on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

__all__ = ["PERIOD", "AudienceCount"]

#: Seconds between two counts while there is any audience: a client that missed the last change
#: is right again soon.
PERIOD: Final = 15.0


class AudienceCount:
    """The count of one room's audience. `count` counts, `tell` tells everybody of it."""

    def __init__(self, count: Callable[[], int], tell: Callable[[int], None]) -> None:
        self._count = count
        self._tell = tell
        self._timer: asyncio.TimerHandle | None = None

    def changed(self) -> None:
        """Tell it now, and again later."""
        self.close()
        total = self._count()
        if total:
            self._timer = asyncio.get_running_loop().call_later(PERIOD, self.changed)
        self._tell(total)

    def close(self) -> None:
        """Tell it no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
