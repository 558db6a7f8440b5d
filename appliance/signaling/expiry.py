"""The end of the authorization, told in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

__all__ = ["EXPIRY_NOTICE", "ExpiryWatch"]

#: Seconds before the authorization ends at which a new token is to be asked for, as in the SDK.
EXPIRY_NOTICE: Final = 120.0
#: Seconds between looks at the clock for the end of the authorization, as in the browser SDK. The
#: clock of a device without battery jumps once it hears of the true time.
EXPIRY_CHECK: Final = 20.0


class ExpiryWatch:
    """Tells once for each authorization that it is about to end."""

    def __init__(
        self, ends: Callable[[], float | None], on_expiring: Callable[[float], None]
    ) -> None:
        """Nothing is watched yet.

        Args:
            ends: when the authorization ends, in seconds of the epoch; None when it does not.
            on_expiring: told the seconds that are left, 120 or fewer.
        """
        self._ends = ends
        self._on_expiring = on_expiring
        self._timer: asyncio.TimerHandle | None = None
        self._told: float | None = None
        self._stopped = False

    def look(self) -> None:
        """Look at the end, and look again until it was told. Call it when the end has changed."""
        self._cancel()
        ends = self._ends()
        if self._stopped or ends is None or ends == self._told:
            return
        left = ends - time.time()
        if left > EXPIRY_NOTICE:
            delay = min(left - EXPIRY_NOTICE, EXPIRY_CHECK)
            self._timer = asyncio.get_running_loop().call_later(delay, self.look)
            return
        self._told = ends
        self._on_expiring(left)

    def stop(self) -> None:
        """Tell nothing any more. Safe to repeat."""
        self._stopped = True
        self._cancel()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
