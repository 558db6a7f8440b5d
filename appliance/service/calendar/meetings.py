"""What the device does about its meetings.  Pure: times, agenda and members are given.

A meeting calls the device once.  It goes after the meeting only if it came for it, and never while
others are there.  Who hangs up, or a room that stays empty, ends the meeting for this device.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from appliance.provisioning.config import CalendarConfig
from appliance.service.calendar.meeting import Meeting
from appliance.service.calendar.place import Place

NOTICE: Final = dt.timedelta(minutes=5)
"""How long before a meeting those who are still in the call before it are told."""


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
    open: bool = False
    """Whether the device may go there."""
    near: bool = False
    """Whether a meeting is on, or begins soon, to which the device may go."""
    ended: tuple[Meeting, ...] = ()
    """Those whose time is not over, but they are."""
    coming: Meeting | None = None
    """In a call: the one that begins within `NOTICE`, or that is on in another room."""


class Meetings:
    """Follows one `CalendarConfig`, which may be replaced at any time."""

    def __init__(self, config: CalendarConfig) -> None:
        self.config = config
        self._called: dict[str, dt.datetime] = {}
        """Which meetings the device has come for, or was there for, and when they end."""
        self._ended: dict[str, dt.datetime] = {}
        self._later: dict[str, dt.datetime] = {}
        """Which meetings are tried again, and when."""
        self._brought: Meeting | None = None
        """For which it is in the room; None where it would be there without."""
        self._home: Meeting | None = None
        """The one that had brought it into its own room, while it is in another."""
        self._known = False
        """Whether there was a look before."""
        self._at: str | None = None
        """The room at the last look, or where it had the device go."""
        self._alone_since: dt.datetime | None = None
        self._others: int | None = None
        """Who was there at last, as far as was known."""

    def missed(self, one: Meeting, again: dt.datetime) -> None:
        """The device did not get in there: that was no hang-up and is no early end, and at `again`
        it is tried anew."""
        self._called.pop(one.key, None)
        self._ended.pop(one.key, None)
        self._later[one.key] = again
        if self._brought is not None and self._brought.key == one.key:
            self._brought = None
        # Where the device comes from now says nothing of what people want.
        self._known = False

    def carry(self, before: Meetings) -> None:
        """Go on where another one stopped.  What was going on calls again, for the device that it
        called is gone."""
        self._ended = dict(before._ended)
        self._called = {key: end for key, end in before._called.items() if key in self._ended}
        self._later = dict(before._later)

    def look(
        self,
        now: dt.datetime,
        agenda: Iterable[Meeting],
        *,
        at: str | None,
        others: int | None,
        stays: bool,
        place: Callable[[Meeting], Place],
    ) -> Plan:
        """What to do at `now`.

        `at` is the room where the device is, or is on its way to: empty for its own, None while it
        stays out on purpose.  `others` counts the members beside it, None outside a room; `stays`
        is whether it would be in its own room without a meeting too.
        """
        self._forget(now)
        if at is None or at != self._at:
            self._alone_since = self._others = None
        if others is not None:
            self._others = others
        ahead = [one for one in agenda if one.ends > now]
        rooms = {one.key: where.room for one in ahead if not (where := place(one)).foreign}
        soon = dt.timedelta(minutes=self.config.join_before_minutes)
        near = [one for one in ahead if one.begins - soon <= now and one.key in rooms]
        on = [one for one in near if one.begins <= now]
        if self._known:
            self._notice_leaving([one for one in on if rooms[one.key] == self._at], at)
            here = [one for one in near if rooms[one.key] == at]
            self._notice_coming(here, at, stays=stays and at == "")
        here = [one for one in on if rooms[one.key] == at]
        self._stay_on(here)
        join, leave = self._to_join(now, on, rooms, at), ""
        if join is None and at is not None:
            leave = self._to_leave(now, here, others)
        shown = self._to_show(now, ahead)
        self._known, self._at = True, at if join is None else rooms[join.key]
        offered = shown is not None and shown.key in rooms
        ended = tuple(one for one in on if one.key in self._ended)
        due = any(one.key not in self._ended for one in near)
        coming = None if at is None else self._to_tell(now, near, rooms, at)
        return Plan(join, leave, shown, self._when(shown, now, soon), offered, due, ended, coming)

    def _notice_leaving(self, on: list[Meeting], at: str | None) -> None:
        """Somebody hung up, or the policy found the room empty."""
        if self._at is None or at == self._at:
            return
        for one in on:
            self._ended[one.key] = one.ends
        if self._at == "":
            self._home = self._brought if at else None
        self._brought = None

    def _notice_coming(self, near: list[Meeting], at: str | None, *, stays: bool) -> None:
        """Somebody pressed the button: that meeting it is, even if it had ended."""
        if at is None or at == self._at:
            return
        home, self._home = (self._home, None) if at == "" else (None, self._home)
        if not near:
            # Back from elsewhere it goes, if what it had come for is over.
            self._brought = home
            return
        one = near[-1]
        self._called[one.key] = one.ends
        self._ended.pop(one.key, None)
        self._brought = None if stays else one

    def _stay_on(self, here: list[Meeting]) -> None:
        """The device is there already: for a meeting that follows, or that begins around it."""
        for one in here:
            self._called.setdefault(one.key, one.ends)
            if self._brought is not None and one.ends > self._brought.ends:
                # One after the other: the later end counts.
                self._brought = one

    def _to_join(
        self,
        now: dt.datetime,
        on: list[Meeting],
        rooms: Mapping[str, str],
        at: str | None,
    ) -> Meeting | None:
        """Nobody is left alone for a meeting, also not while the connection is lost, and where a
        person went the device stays."""
        if not self.config.auto_join or self._others or (at and self._brought is None):
            return None
        done = self._called.keys() | self._ended.keys()
        fresh = [
            one
            for one in on
            if one.key not in done and rooms[one.key] != at and now >= self._later.get(one.key, now)
        ]
        if not fresh:
            return None
        one = max(fresh, key=lambda meeting: meeting.begins)
        for meeting in fresh:
            self._called[meeting.key] = meeting.ends
        if at == "":
            self._home = self._brought
        self._brought, self._alone_since = one, None
        return one

    def _to_leave(self, now: dt.datetime, here: list[Meeting], others: int | None) -> str:
        if others != 0:
            self._alone_since = None
            return ""
        if self._alone_since is None:
            self._alone_since = now
        if self._brought is None:
            return ""
        alone = now - self._alone_since
        patience = dt.timedelta(minutes=self.config.no_show_minutes)
        if here and patience and alone >= patience:
            return self._end(here, "the room was empty during the meeting")
        rest = dt.timedelta(minutes=self.config.leave_after_minutes)
        if not here and now >= self._brought.ends + rest:
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

    def _to_tell(
        self, now: dt.datetime, near: list[Meeting], rooms: Mapping[str, str], at: str
    ) -> Meeting | None:
        """What those who are in the call could miss."""
        waiting = [
            one
            for one in near
            if one.key not in self._ended
            and one.key not in self._called
            and one.begins - NOTICE <= now
            and (one.begins > now or rooms[one.key] != at)
        ]
        return min(waiting, key=lambda one: one.begins, default=None)

    def _when(self, shown: Meeting | None, now: dt.datetime, soon: dt.timedelta) -> When:
        if shown is None or shown.begins - soon > now:
            return When.NEXT
        if shown.key in self._ended:
            return When.ENDED
        return When.NOW if shown.begins <= now else When.SOON

    def _forget(self, now: dt.datetime) -> None:
        """What ended a day ago; a meeting that is made longer is still known."""
        for known in (self._called, self._ended, self._later):
            for key in [key for key, end in known.items() if now - end > dt.timedelta(days=1)]:
                del known[key]
