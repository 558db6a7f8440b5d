"""What the device does about its meetings.  Pure: times, agenda and members are given.

A meeting calls the device once.  It goes after the meeting only if it came for it, and never while
others are there.  Who hangs up, or a room that stays empty, ends the meeting for this device.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from appliance.provisioning.config import CalendarConfig
from appliance.service.calendar.meeting import Meeting


class When(Enum):
    """Where a meeting stands."""

    NEXT = "next"
    SOON = "soon"
    """It begins within `join_before_minutes`."""
    NOW = "now"
    ENDED = "ended"
    """Its time is not over, but the meeting is."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is right now."""

    join: Meeting | None = None
    """For this one the device should come in."""
    leave: str = ""
    """Why it should go; empty if it should not."""
    shown: Meeting | None = None
    """The meeting to tell people of."""
    when: When = When.NEXT


class Meetings:
    """Follows one `CalendarConfig`, which may be replaced at any time."""

    def __init__(self, config: CalendarConfig) -> None:
        self.config = config
        self._called: dict[str, dt.datetime] = {}
        """Which meetings the device has come for, or was there for, and when they end."""
        self._ended: dict[str, dt.datetime] = {}
        self._brought: Meeting | None = None
        """For which it is in the room; None where it would be there without."""
        self._was_idle: bool | None = None
        self._alone_since: dt.datetime | None = None

    def carry(self, before: Meetings) -> None:
        """Go on where another one stopped."""
        self._called, self._ended = dict(before._called), dict(before._ended)
        self._brought = before._brought

    def look(
        self,
        now: dt.datetime,
        agenda: Iterable[Meeting],
        *,
        idle: bool,
        others: int | None,
        stays: bool,
        elsewhere: Callable[[Meeting], str],
    ) -> Plan:
        """What to do at `now`.

        `idle` is whether the device stays out of its room on purpose, `others` counts the members
        beside it, None outside a room; `stays` is whether it would be there without a meeting too.
        """
        self._forget(now)
        ahead = [one for one in agenda if one.ends > now]
        here = [one for one in ahead if not elsewhere(one)]
        soon = dt.timedelta(minutes=self.config.join_before_minutes)
        on = [one for one in here if one.begins <= now]
        near = [one for one in here if one.begins - soon <= now]
        self._notice(on, near, idle=idle, stays=stays)
        join = self._to_join(on, idle=idle)
        leave = "" if idle else self._to_leave(now, on, others)
        shown = self._to_show(now, ahead)
        self._was_idle = idle and join is None
        return Plan(join, leave, shown, self._when(shown, now, soon))

    def _notice(self, on: list[Meeting], near: list[Meeting], *, idle: bool, stays: bool) -> None:
        """What has happened since the last look."""
        if idle and self._was_idle is False:
            # Somebody hung up, or the policy found the room empty.
            for one in on:
                self._ended[one.key] = one.ends
            self._brought = None
        if not idle and self._was_idle and near:
            # Somebody pressed the button: that one it is, even if it had ended.
            one = near[-1]
            self._called[one.key] = one.ends
            self._ended.pop(one.key, None)
            self._brought = None if stays else one
        if not idle and self._was_idle is not True:
            for one in on:
                self._called.setdefault(one.key, one.ends)
                if self._brought is not None and one.ends > self._brought.ends:
                    # One after the other: the later end counts.
                    self._brought = one

    def _to_join(self, on: list[Meeting], *, idle: bool) -> Meeting | None:
        if not idle or not self.config.auto_join:
            return None
        fresh = [one for one in on if one.key not in self._called and one.key not in self._ended]
        if not fresh:
            return None
        one = max(fresh, key=lambda meeting: meeting.begins)
        for meeting in fresh:
            self._called[meeting.key] = meeting.ends
        self._brought, self._alone_since = one, None
        return one

    def _to_leave(self, now: dt.datetime, on: list[Meeting], others: int | None) -> str:
        if others != 0:
            self._alone_since = None
            return ""
        if self._alone_since is None:
            self._alone_since = now
        if self._brought is None:
            return ""
        alone = now - self._alone_since
        patience = dt.timedelta(minutes=self.config.no_show_minutes)
        if on and patience and alone >= patience:
            return self._end(on, "the room was empty during the meeting")
        rest = dt.timedelta(minutes=self.config.leave_after_minutes)
        if not on and now >= self._brought.ends + rest:
            return self._end([self._brought], "the meeting is over")
        return ""

    def _end(self, meetings: list[Meeting], why: str) -> str:
        for one in meetings:
            self._ended[one.key] = one.ends
        self._brought = None
        return why

    def _to_show(self, now: dt.datetime, ahead: list[Meeting]) -> Meeting | None:
        """What is on, but rather the next one than what has ended."""
        day = now + dt.timedelta(hours=16)
        going = [one for one in ahead if one.key not in self._ended and one.begins < day]
        return min(going or ahead, key=lambda one: one.begins, default=None)

    def _when(self, shown: Meeting | None, now: dt.datetime, soon: dt.timedelta) -> When:
        if shown is None or shown.begins - soon > now:
            return When.NEXT
        if shown.key in self._ended:
            return When.ENDED
        return When.NOW if shown.begins <= now else When.SOON

    def _forget(self, now: dt.datetime) -> None:
        """What ended a day ago; a meeting that is made longer is still known."""
        for known in (self._called, self._ended):
            for key in [key for key, end in known.items() if now - end > dt.timedelta(days=1)]:
                del known[key]
