"""Text of a calendar to meetings.  Pure; runs in a process of its own (`reader`).

A calendar is what anybody wrote who may invite the room, so nothing in it is taken for sane.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import recurring_ical_events
from icalendar import Calendar

from appliance.service.calendar.meeting import TEXT_MAX, TITLE_MAX, Meeting

MEETINGS_MAX: Final = 500
"""Meetings of one window at most."""

A_DAY_MAX: Final = 24
"""Times a day at which one event may happen; no meeting does so more often."""

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


def read_agenda(data: bytes, begin: dt.datetime, end: dt.datetime, zone: dt.tzinfo) -> Reading:
    """The meetings that overlap [begin, end) in one or several VCALENDARs that follow each other.

    Times without a zone are in `zone`.  Whole days and cancelled meetings are none.  Raises
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
        kept = [one for one in calendar.subcomponents if not _endless(one)]
        skipped += len(calendar.subcomponents) - len(kept)
        calendar.subcomponents = kept
        found, bad = _expand(calendar, begin, end, zone)
        meetings += found
        skipped += bad
    # The same event may come twice, from two objects of a server.
    unique = {one.key: one for one in meetings}
    order = sorted(unique.values(), key=lambda one: (one.begins, one.ends, one.key))
    return Reading(tuple(order[:MEETINGS_MAX]), skipped)


def _expand(
    calendar: Calendar, begin: dt.datetime, end: dt.datetime, zone: dt.tzinfo
) -> tuple[list[Meeting], int]:
    meetings: list[Meeting] = []
    skipped = 0
    query = recurring_ical_events.of(calendar, components=["VEVENT"], skip_bad_series=True)
    for event in query.between(begin - _SLACK, end + _SLACK):
        try:
            meeting = _meeting(event, zone)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            skipped += 1
            continue
        if meeting is not None and meeting.begins < end and meeting.ends > begin:
            meetings.append(meeting)
    return meetings, skipped


def _endless(component: Any) -> bool:
    """Whether it happens so often that it is no meeting, and only takes time and memory."""
    rules = component.get("RRULE", [])
    for rule in rules if isinstance(rules, list) else [rules]:
        frequency = [str(one).upper() for one in rule.get("FREQ", [])]
        if "SECONDLY" in frequency or "MINUTELY" in frequency:
            return True
        times = (len(rule.get(part, [1])) for part in ("BYHOUR", "BYMINUTE", "BYSECOND"))
        if prod(times) > A_DAY_MAX:
            return True
    return False


def _meeting(event: Any, zone: dt.tzinfo) -> Meeting | None:
    """None for a whole day, and for what does not take place."""
    start, stop = event["DTSTART"].dt, event["DTEND"].dt
    if not isinstance(start, dt.datetime) or not isinstance(stop, dt.datetime):
        return None
    if str(event.get("STATUS", "")).upper() == "CANCELLED":
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
        room=_text(event, "X-ROOMLET-ROOM").strip()[:TEXT_MAX],
        conference=_text(event, "CONFERENCE").strip()[:TEXT_MAX],
        texts=tuple(_text(event, name)[:TEXT_MAX] for name in ("URL", "LOCATION", "DESCRIPTION")),
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
