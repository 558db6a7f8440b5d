"""The loop that a command runs on until a signal ends it."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable, Coroutine
from typing import Any


def run_until_signal(
    work: Callable[[asyncio.Event], Coroutine[Any, Any, Any]],
    reload: asyncio.Event | None = None,
) -> Any:
    """Do `work` on a loop; its event is set by the first signal that asks to end.

    With `reload`, SIGHUP sets that one instead.  Whatever is loaded by now counts as staying: the
    garbage collector looks at it no more.
    """

    async def main() -> Any:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, (reload or stop).set)
        return await work(stop)

    # What the program loaded stays for its whole life.  To look through it for garbage holds every
    # thread for up to a tenth of a second, sound and pictures with them.
    gc.collect()
    gc.freeze()
    return asyncio.run(main())
