"""A meeting that ended early, made shorter in its calendar.  Pure; runs in `reader`'s process."""

from __future__ import annotations

import datetime as dt
from copy import deepcopy
from typing import Any, Final

from icalendar import Calendar

from appliance.service.calendar.agenda import NoCalendar, instant

_OF_SERIES: Final = ("RRULE", "RDATE", "EXDATE", "EXRULE", "DURATION", "DTEND")


def shorten(data: bytes, key: str, until: dt.datetime, zone: dt.tzinfo) -> bytes | None:
    """The VCALENDAR in which the meeting `key` ends at `until`; None if it is not in there, or ends
    before.  Raises NoCalendar."""
    uid, _, stamp = key.rpartition("/")
    origin = dt.datetime.strptime(stamp, "%Y%m%dT%H%M%S%z")
    try:
        calendar: Any = Calendar.from_ical(data)
    except (ValueError, IndexError, KeyError) as error:
        raise NoCalendar("it holds no calendar") from error
    events: list[Any] = [
        one for one in calendar.walk("VEVENT") if str(one.get("UID", ""))[:200] == uid
    ]
    target: Any = next((one for one in events if _time(one, "RECURRENCE-ID", zone) == origin), None)
    if target is None:
        series = next((one for one in events if "RECURRENCE-ID" not in one), None)
        if series is None:
            return None
        target = series
        if "RRULE" in series or "RDATE" in series:
            target = _occurrence(series, origin, zone)
            calendar.add_component(target)
        elif _time(series, "DTSTART", zone) != origin:
            return None
    begins = _time(target, "DTSTART", zone)
    if begins is None or until <= begins:
        return None
    for name in ("DTEND", "DURATION"):
        target.pop(name, None)
    target.add("DTEND", _like(target["DTSTART"].dt, until, zone))
    target["SEQUENCE"] = int(target.get("SEQUENCE", 0)) + 1
    for name in ("DTSTAMP", "LAST-MODIFIED"):
        target.pop(name, None)
        target.add(name, until)
    return bytes(calendar.to_ical())


def _occurrence(series: Any, origin: dt.datetime, zone: dt.tzinfo) -> Any:
    """One of a series, as an event of its own."""
    one = deepcopy(series)
    start = series["DTSTART"].dt
    for name in (*_OF_SERIES, "DTSTART"):
        one.pop(name, None)
    one.add("DTSTART", _like(start, origin, zone))
    one.add("RECURRENCE-ID", _like(start, origin, zone))
    return one


def _time(event: Any, name: str, zone: dt.tzinfo) -> dt.datetime | None:
    value = getattr(event.get(name), "dt", None)
    return instant(value, zone) if isinstance(value, dt.datetime) else None


def _like(pattern: dt.datetime, time: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    """The same instant in the zone of another time; without one, if that has none."""
    if pattern.tzinfo is None:
        return time.astimezone(zone).replace(tzinfo=None)
    return time.astimezone(pattern.tzinfo)
