"""What the panel shows to whoever looks after a device: its cards."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Final

from appliance.panel import Card
from appliance.service.log_ring import RING, Line, LogRing

LOG_PAUSE: Final = 0.2
"""Seconds between two pieces of the log: what comes in one go is sent in one."""

LOG_PIECE: Final = 100
"""Lines in one piece."""

Stream = AsyncGenerator[Mapping[str, Any]]


class DeviceUpkeep:
    """See `appliance.panel.Upkeep`."""

    def __init__(self, *, ring: LogRing = RING) -> None:
        self._ring = ring
        self._streams: Final[dict[Card, Callable[[], Stream]]] = {"log": self._log}

    def watch(self, card: Card) -> Stream:
        """See `Upkeep.watch`."""
        return self._streams[card]()

    async def _log(self) -> Stream:
        loop, wake = asyncio.get_running_loop(), asyncio.Event()

        def logged() -> None:
            # The one place where other threads come in; the loop may have gone before them.
            if not wake.is_set():
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(wake.set)

        unsubscribe = self._ring.subscribe(logged)
        last = 0
        try:
            while True:
                wake.clear()
                lines = self._ring.since(last)[:LOG_PIECE]
                if not lines:
                    await wake.wait()
                    continue
                missed = lines[0].number - last - 1 if last else 0
                last = lines[-1].number
                yield {"lines": [_line(one) for one in lines], "missed": missed}
                await asyncio.sleep(LOG_PAUSE)
        finally:
            unsubscribe()


def _line(line: Line) -> dict[str, Any]:
    return {
        "number": line.number,
        "time": round(line.time, 3),
        "level": logging.getLevelName(line.level).lower(),
        "logger": line.logger,
        "text": line.text,
    }
