"""The one state of a device, of which lights, screen, panel, service manager and metrics are views.

::

    starting --> joining <--> in_room <--> reconnecting
        |           |            |              |
        +---------> idle <-------+--------------+

While the machine is updated the device is out of its room as in `idle`, as `updating`.  Any other
may give way to `fault`, and comes back when the fault is mended.  A fault lies over
the state and does not end it: a device whose token was refused still tries to join.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from hal.controls import Status

log = logging.getLogger(__name__)

Observer = Callable[["Situation"], None]
"""Called with the new situation, on the loop."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What the device is doing, and why."""

    status: Status
    reason: str
    """For people, without a full stop; empty where there is nothing to explain."""
    since: float
    """`time.monotonic` of the last change of `status`."""

    @property
    def settled(self) -> bool:
        """Whether the device is where it should be: in its room, or out of it on purpose."""
        return self.status in (Status.IN_ROOM, Status.IDLE, Status.UPDATING)

    def sentence(self, room: str) -> str:
        """The one sentence for the service manager."""
        name = room or "the room"
        text = {
            Status.STARTING: "Starting",
            Status.IDLE: "Not in a call",
            Status.JOINING: f"Joining {name}",
            Status.IN_ROOM: f"In {name}",
            Status.RECONNECTING: f"The connection to {name} is lost, reconnecting",
            Status.UPDATING: "Updating",
            Status.FAULT: "Out of order",
        }[self.status]
        return f"{text}: {self.reason}." if self.reason else f"{text}."


class DeviceState:
    """Where the state is kept.  Lives on the loop; observers are called in the order they came."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._below = (Status.STARTING, "")
        self._faults: dict[str, str] = {}
        self._present: Situation = Situation(Status.STARTING, "", clock())
        self._observers: tuple[Observer, ...] = ()

    @property
    def present(self) -> Situation:
        """The state now."""
        return self._present

    def subscribe(self, observer: Observer) -> Callable[[], None]:
        """Call `observer` after each change.  Returns what ends it."""
        self._observers += (observer,)

        def unsubscribe() -> None:
            self._observers = tuple(one for one in self._observers if one is not observer)

        return unsubscribe

    @property
    def doing(self) -> Status:
        """What the device does, whatever faults lie over it."""
        return self._below[0]

    def move(self, status: Status, reason: str = "") -> None:
        """What the device does is another thing now.  Raises ValueError for the way back to the
        start, which there is none."""
        if status is Status.STARTING and self._below[0] is not Status.STARTING:
            raise ValueError("a device starts once")
        self._below = (status, reason)
        self._settle()

    def fault(self, what: str, reason: str) -> None:
        """A part named `what` keeps the device from its work until `mend`."""
        self._faults[what] = reason
        self._settle()

    def mend(self, what: str) -> None:
        """That part works again.  Nothing where it had no fault."""
        if self._faults.pop(what, None) is not None:
            self._settle()

    def _settle(self) -> None:
        # Who sees that one is under way does not pull the plug.
        if self._faults and self._below[0] is not Status.UPDATING:
            status, reason = Status.FAULT, "; ".join(self._faults.values())
        else:
            status, reason = self._below
        before = self._present
        if (status, reason) == (before.status, before.reason):
            return
        since = before.since if status is before.status else self._clock()
        self._present = Situation(status, reason, since)
        for observer in self._observers:
            try:
                observer(self._present)
            except Exception:
                # One view that fails must not blind the others.
                log.exception("a view of the state failed")
