"""When a device is in its room.  Pure: times and members are given, nothing waits here.

A device comes in at its start, or when a person presses the button.  It goes when a person hangs
up, when it has been alone for long enough, and in the quiet hours as soon as nobody else is there.
With the end of the quiet hours it is as after a start.

A visit to another room is a person's wish, as a call is: nothing ends it but a person, the room,
or that it stays empty; then all is as it was before.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from appliance.provisioning.config import PolicyConfig
from appliance.service.hours import within

_CALL = "press the button to join"


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to be in the room, and if not, why not, for people."""

    attend: bool
    reason: str = ""


class Policy:
    """Follows one `PolicyConfig`, which may be replaced at any time."""

    def __init__(self, config: PolicyConfig) -> None:
        self.config = config
        self._wanted = config.auto_join
        self._why = ""
        self._called = False
        """A person asked for it, which quiet hours do not forbid."""
        self._booked = False
        """A meeting did so, which the beginning of quiet hours does not end either."""
        self._quiet = False
        self._alone_since: float | None = None
        self._others = 0
        """Who was there at last, as far as was known."""
        self._visiting = False

    @property
    def visiting(self) -> bool:
        """Whether the device is wanted in another room than its own."""
        return self._visiting

    def visit(self) -> None:
        """The device is wanted in another room than its own."""
        self._visiting, self._alone_since, self._others = True, None, 0

    def back(self) -> None:
        """The visit is over: on with what there was before it."""
        self._visiting, self._alone_since, self._others = False, None, 0

    def called(self) -> None:
        """A person wants the device in its own room."""
        self.back()
        self._wanted, self._called, self._why = True, True, ""

    def booked(self) -> None:
        """A meeting in its own room wants the device there until it is over."""
        self.called()
        self._booked = True

    def hung_up(self) -> None:
        """A person wants the device out of the room that it is in, until one calls it again."""
        self.dismissed("somebody here hung up")

    def dismissed(self, why: str) -> None:
        """What the device was called for is over."""
        self.back()
        self._wanted, self._called, self._booked, self._why = False, False, False, why

    def decide(self, wall: dt.datetime, now: float, others: int | None) -> Decision:
        """What is right at the local time `wall` and at `now`, a clock in seconds that does not
        jump, with so many other members; None of them outside a room."""
        quiet = self._in_quiet_hours(wall.time())
        if quiet and not self._quiet:
            self._called = self._booked
        elif self._quiet and not quiet:
            self._wanted, self._why = self.config.auto_join or self._wanted, ""
        self._quiet = quiet
        # While the connection is lost, those who were there still are.
        self._others = self._others if others is None else others
        self._leave_empty(now, others)
        if self._visiting:
            return Decision(True)
        if self._wanted and (not quiet or self._called or self._others):
            return Decision(True)
        self._others = 0
        if quiet and not self._called:
            return Decision(False, f"quiet hours until {self.config.quiet_until}; {_CALL}")
        return Decision(False, f"{self._why}; {_CALL}" if self._why else _CALL)

    def _leave_empty(self, now: float, others: int | None) -> None:
        if others != 0:
            self._alone_since = None
            return
        if self._alone_since is None:
            self._alone_since = now
        limit = 60.0 * self.config.leave_empty_minutes
        if not limit or now - self._alone_since < limit:
            return
        if self._visiting:
            self.back()
        else:
            self.dismissed("the room was empty")

    def _in_quiet_hours(self, at: dt.time) -> bool:
        begin, end = self.config.quiet_from, self.config.quiet_until
        if begin is None or end is None:
            return False
        return within(at, begin, end)
