"""Attendance on and off, at home and elsewhere, as the policy has it."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Coroutine
from typing import Any, Final

from appliance.service.policy import Decision, Policy

Attend = Callable[[], Coroutine[Any, Any, None]]
"""To be in a room for as long as it runs."""

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at the policy."""


def _local_time() -> dt.datetime:
    return dt.datetime.now().astimezone()


class Duty:
    """Runs `attend` while `policy` wants the device in its room, and cancels it otherwise.

    A visit takes its place until that returns, or the policy wants the device home.

    `others` counts the other members, None outside a room.  `on_idle` is called with the reason
    each time the device stays out, and again when that changes, `on_change` before one room is
    left for another, which takes seconds where its server does not answer.  `hold` is asked at each
    look for a reason to stay out whatever the policy says; None: there is none.
    """

    def __init__(
        self,
        policy: Policy,
        attend: Attend,
        others: Callable[[], int | None],
        on_idle: Callable[[str], None],
        *,
        on_change: Callable[[], None] = lambda: None,
        hold: Callable[[dt.datetime], str | None] = lambda _: None,
        wall: Callable[[], dt.datetime] = _local_time,
        every: float = LOOK_EVERY,
    ) -> None:
        self.policy: Final = policy
        self._attend = attend
        self._others = others
        self._on_idle = on_idle
        self._on_change = on_change
        self._hold = hold
        self._wall = wall
        self._every = every
        self._stirred = asyncio.Event()
        self.wanted = False
        """Whether the policy has the device in a room, `hold` or not."""
        self._attending: asyncio.Task[None] | None = None
        self._visit = attend
        self._errand = attend
        """What `_attending` runs: `_attend`, or a visit."""
        self._attends = False
        """Whether there is one to run; from one to the next nothing runs for a moment."""

    @property
    def idle(self) -> bool:
        """Whether the device is out of its room on purpose."""
        return self._attending is None and not self._attends

    def called(self) -> None:
        """A person wants the device in its own room."""
        self.policy.called()
        self._stirred.set()

    def booked(self) -> None:
        """A meeting wants the device in its own room."""
        self.policy.booked()
        self._stirred.set()

    def hung_up(self) -> None:
        """A person wants the device out of its room."""
        self.policy.hung_up()
        self._stirred.set()

    def dismissed(self, why: str) -> None:
        """What the device was called for is over."""
        self.policy.dismissed(why)
        self._stirred.set()

    def visit(self, attend: Attend) -> None:
        """Run this instead, from now on; it returns when the visit is over."""
        self.policy.visit()
        self._visit = attend
        self._stirred.set()

    def back(self) -> None:
        """The visit is over."""
        self.policy.back()
        self._stirred.set()

    async def run(self) -> None:
        """Until it is cancelled, or `attend` raises."""
        told: Decision | None = None
        try:
            while True:
                now = asyncio.get_running_loop().time()
                wall = self._wall()
                decision = self.policy.decide(wall, now, self._others())
                self.wanted = decision.attend
                if (reason := self._hold(wall)) is not None:
                    decision = Decision(False, reason)
                self._attends = decision.attend
                errand = self._visit if self.policy.visiting else self._attend
                if not decision.attend or errand is not self._errand:
                    if decision.attend and self._attending is not None:
                        self._on_change()
                    await self._end()
                if decision.attend and self._attending is None:
                    self._errand = errand
                    self._attending = asyncio.create_task(errand(), name="attendance")
                elif not decision.attend and decision != told:
                    self._on_idle(decision.reason)
                told = decision
                await self._wait()
        finally:
            await self._end()

    async def _wait(self) -> None:
        stirred = asyncio.create_task(self._stirred.wait())
        attending = [] if self._attending is None else [self._attending]
        try:
            await asyncio.wait(
                [stirred, *attending], timeout=self._every, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            stirred.cancel()
        self._stirred.clear()
        if self._attending is not None and self._attending.done():
            ended, self._attending = self._attending, None
            ended.result()
            if self._errand is self._visit:
                self.policy.back()

    async def _end(self) -> None:
        attending, self._attending = self._attending, None
        if attending is not None:
            attending.cancel()
            await asyncio.gather(attending, return_exceptions=True)
