"""Text of a calendar to meetings.  Pure; runs in a process of its own (`reader`).

A calendar is what anybody wrote who may invite the room, so nothing in it is taken for sane.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from copy import copy
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import recurring_ical_events
from icalendar import Calendar

from appliance.service.calendar.meeting import TITLE_MAX, Meeting
from appliance.service.calendar.place import read_place

MEETINGS_MAX: Final = 500
"""Meetings of one window at most."""

A_DAY_MAX: Final = 24
"""Times a day at which one event may happen; no meeting does so more often."""

_YEARS: Final = range(1970, 2200)
"""What is before or after is no time, but a way to say never; libraries stumble over it."""

_TIMES: Final = ("DTSTART", "DTEND", "RDATE", "EXDATE", "RECURRENCE-ID")

_SLACK: Final = dt.timedelta(days=1)
"""Floating times are placed only after the search, so that looks a day further both ways."""


class NoCalendar(ValueError):
    """The text is no calendar."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read."""

    meetings: tuple[Meeting, ...]
    """By their beginning."""
    skipped: int = 0
    """Events that cannot be understood, or would happen without end."""


class Endless(BaseException):
    """What was begun takes too long.  No Exception, for the library passes over those."""


Bounded = Callable[[float], AbstractContextManager[None]]
"""What ends its body with `Endless` after so many seconds of processor."""

WHOLE_S: Final = 8.0
"""Seconds of processor for all events together; a calendar of 5000 takes a few on a small board."""

EACH_S: Final = 0.5
"""The same for one event, when all together came to no end."""


def read_agenda(
    data: bytes,
    begin: dt.datetime,
    end: dt.datetime,
    zone: dt.tzinfo,
    address: str | None = None,
    *,
    bounded: Bounded = lambda _: nullcontext(),
) -> Reading:
    """The meetings that overlap [begin, end) in one or several VCALENDARs that follow each other.

    Times without a zone are in `zone`.  Whole days, cancelled meetings, those that leave the room
    free (TRANSP) and those that `address`, the room's own, has declined are none.  Raises
    NoCalendar.
    """
    try:
        calendars = Calendar.from_ical(data.decode("utf-8-sig", "replace"), multiple=True)
    except (ValueError, IndexError, KeyError) as error:
        raise NoCalendar("it holds no calendar") from error
    if not calendars or any(one.name != "VCALENDAR" for one in calendars):
        raise NoCalendar("it holds no calendar")
    meetings: list[Meeting] = []
    skipped = 0
    for calendar in calendars:
        kept = [one for one in calendar.subcomponents if _is_sane(one)]
        skipped += len(calendar.subcomponents) - len(kept)
        calendar.subcomponents = kept
        found, bad = _expand(calendar, begin, end, zone, address, bounded)
        meetings += found
        skipped += bad
    # The same event may come twice, from two objects of a server.
    unique = {one.key: one for one in meetings}
    order = sorted(unique.values(), key=lambda one: (one.begins, one.ends, one.key))
    return Reading(tuple(order[:MEETINGS_MAX]), skipped)


def _expand(
    calendar: Calendar,
    begin: dt.datetime,
    end: dt.datetime,
    zone: dt.tzinfo,
    address: str | None,
    bounded: Bounded,
) -> tuple[list[Meeting], int]:
    meetings: list[Meeting] = []
    events, skipped = _occurrences(calendar, begin - _SLACK, end + _SLACK, bounded)
    for event in events:
        try:
            meeting = None if _is_off(event, address) else _meeting(event, zone)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            skipped += 1
            continue
        if meeting is not None and meeting.begins < end and meeting.ends > begin:
            meetings.append(meeting)
    return meetings, skipped


def _occurrences(
    calendar: Any, begin: dt.datetime, end: dt.datetime, bounded: Bounded
) -> tuple[list[Any], int]:
    """What happens meanwhile, and how many events cannot be understood."""

    def find(part: Any, limit: float) -> list[Any]:
        with bounded(limit):
            query = recurring_ical_events.of(part, components=["VEVENT"], skip_bad_series=True)
            return list(query.between(begin, end))

    with suppress(Exception, Endless):
        return find(calendar, WHOLE_S), 0
    # The library met something that it has no words for, or a rule that comes to no end.  Now each
    # event has to stand alone, which takes longer.
    found: list[Any] = []
    skipped = 0
    series: dict[str, list[Any]] = {}
    others = [one for one in calendar.subcomponents if one.name != "VEVENT"]
    for one in calendar.subcomponents:
        if one.name == "VEVENT":
            series.setdefault(_text(one, "UID"), []).append(one)
    for events in series.values():
        part = copy(calendar)
        part.subcomponents = [*others, *events]
        try:
            found += find(part, EACH_S)
        except (Exception, Endless):
            skipped += len(events)
    return found, skipped


def _is_sane(component: Any) -> bool:
    """Whether it can be a meeting at all, and not something that only takes time and memory."""
    if component.name != "VEVENT":
        return True
    try:
        return not _endless(component) and all(
            year in _YEARS for name in _TIMES for year in _years(component.get(name))
        )
    except Exception:
        # What is wrong in a way that nobody thought of.
        return False


def _years(value: Any) -> Iterator[int]:
    for one in value if isinstance(value, list) else [value]:
        # One time, or several, of which each may be a period: a pair.
        for each in getattr(one, "dts", [one]):
            times = getattr(each, "dt", None)
            for time in times if isinstance(times, tuple) else [times]:
                if isinstance(time, dt.date):
                    yield time.year


def _endless(component: Any) -> bool:
    """Whether it happens so often that it is no meeting."""
    rules = component.get("RRULE", [])
    for rule in rules if isinstance(rules, list) else [rules]:
        frequency = [str(one).upper() for one in rule.get("FREQ", [])]
        if any(int(one) < 1 for one in rule.get("INTERVAL", [])):
            return True
        if "SECONDLY" in frequency or "MINUTELY" in frequency:
            return True
        times = (len(rule.get(part, [1])) for part in ("BYHOUR", "BYMINUTE", "BYSECOND"))
        if prod(times) > A_DAY_MAX:
            return True
    return False


def _is_off(event: Any, address: str | None) -> bool:
    """Whether it does not take place, or not in this room."""
    if _text(event, "STATUS").upper() == "CANCELLED":
        return True
    if _text(event, "TRANSP").upper() == "TRANSPARENT":
        return True
    attendees = event.get("ATTENDEE", [])
    for one in attendees if isinstance(attendees, list) else [attendees]:
        who = str(one).lower().removeprefix("mailto:")
        if address is not None and who == address.lower():
            return str(one.params.get("PARTSTAT", "")).upper() == "DECLINED"
    return False


def _meeting(event: Any, zone: dt.tzinfo) -> Meeting | None:
    """None for a whole day, and for what takes no time."""
    start, stop = event["DTSTART"].dt, event["DTEND"].dt
    if not isinstance(start, dt.datetime) or not isinstance(stop, dt.datetime):
        return None
    begins, ends = instant(start, zone), instant(stop, zone)
    length = stop.replace(tzinfo=None) - start.replace(tzinfo=None)
    if ends <= begins or begins.astimezone(start.tzinfo or zone).time() != start.time():
        # It begins in a gap of the clocks, and the library took its end from the hands of a clock.
        ends = begins + length
    if ends <= begins:
        return None
    uid = _text(event, "UID")[:200]
    # A moved occurrence keeps the time at which it would have been.
    origin = event.get("RECURRENCE-ID")
    at = begins
    if origin is not None and isinstance(origin.dt, dt.datetime):
        at = instant(origin.dt, zone)
    return Meeting(
        key=f"{uid}/{at:%Y%m%dT%H%M%SZ}",
        title=" ".join(_text(event, "SUMMARY").split())[:TITLE_MAX],
        begins=begins,
        ends=ends,
        private=_text(event, "CLASS").upper() in ("PRIVATE", "CONFIDENTIAL"),
        **read_place(
            _text(event, "X-ROOMLET-ROOM"),
            _text(event, "CONFERENCE"),
            [_text(event, name) for name in ("URL", "LOCATION", "DESCRIPTION")],
        ),
    )


def instant(time: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    """In a gap the offset before it holds, as RFC 5545 has it; of two equal times, the first."""
    return (time.replace(tzinfo=zone) if time.tzinfo is None else time).astimezone(dt.UTC)


def _text(event: Any, name: str) -> str:
    return next(_texts(event.get(name)), "")


def _texts(value: Any) -> Iterator[str]:
    for one in value if isinstance(value, list) else [value]:
        if one is not None:
            yield str(one)
