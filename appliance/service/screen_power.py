"""The screen, on while people are there, and off when nobody has been for some time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Final

from appliance.service.state import DeviceState, Situation
from hal.controls import Status
from hal.display.cec import ScreenPower
from hal.errors import HalError

log = logging.getLogger(__name__)

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at who is there."""

RETRY: Final = 60.0
"""Seconds until an order that the screen did not take is given again."""


class ScreenUse:
    """Whether the screen should be on.  Pure: times are given.

    It is in use from a press of a button, from the moment the device sets out for its room from
    the start or from idleness, and while others are in the room.
    """

    def __init__(self, idle: float, now: float) -> None:
        """`idle` is after how many seconds without use it goes off; 0 for never."""
        self._idle = idle
        self._used = now
        self._before: Status | None = None

    def used(self, now: float) -> None:
        """A person has done something."""
        self._used = now

    def moved(self, status: Status, now: float) -> None:
        """The device does another thing.  Tries to get back into the room by itself, in the
        middle of the night, are no use."""
        if status is Status.JOINING and self._before in (None, Status.STARTING, Status.IDLE):
            self._used = now
        self._before = status

    def wanted(self, now: float, others: int | None) -> bool:
        """Whether it should be on, with so many others in the room; None outside of one."""
        if others:
            self._used = now
        return not self._idle or now - self._used < self._idle


class ScreenKeeper:
    """Switches `power` as the use has it.  `remark` gets what is wrong with that, None when it
    works again."""

    def __init__(
        self,
        power: ScreenPower,
        idle: float,
        state: DeviceState,
        others: Callable[[], int | None],
        *,
        remark: Callable[[str | None], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        every: float = LOOK_EVERY,
    ) -> None:
        """`idle` is in seconds, as in `ScreenUse`; `others` counts the other members."""
        self._power = power
        self._state = state
        self._others = others
        self._remark = remark
        self._clock = clock
        self._every = every
        self._use = ScreenUse(idle, clock())
        self._on: bool | None = None
        self._try_at = clock()
        self._failed = False
        self._stirred = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._unsubscribe: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begin, on the running loop: the screen goes on."""
        self._unsubscribe = self._state.subscribe(self._moved)
        self._task = asyncio.create_task(self._run(), name="screen power")

    async def stop(self) -> None:
        """Leave the screen as it is.  Safe to call twice, or without `start`."""
        self._unsubscribe()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def used(self) -> None:
        """A person has pressed a button; on the loop."""
        self._use.used(self._clock())
        self._stirred.set()

    def _moved(self, situation: Situation) -> None:
        self._use.moved(situation.status, self._clock())
        self._stirred.set()

    async def _run(self) -> None:
        while True:
            now = self._clock()
            wanted = self._use.wanted(now, self._others())
            if wanted is not self._on and now >= self._try_at:
                await self._switch(wanted)
            self._stirred.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._stirred.wait()

    async def _switch(self, on: bool) -> None:
        try:
            await asyncio.to_thread(self._power.wake if on else self._power.standby)
        except HalError as error:
            # The same again is no news.
            if not self._failed:
                log.warning("the screen is not switched %s: %s", "on" if on else "off", error)
            self._failed = True
            self._try_at = self._clock() + RETRY
            self._remark(f"the screen is not switched on and off: {error}")
            return
        self._failed, self._on = False, on
        log.info("the screen is switched %s", "on" if on else "off")
        self._remark(None)
