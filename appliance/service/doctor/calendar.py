"""The calendar of the room: does it answer, and can it be read?"""

from __future__ import annotations

import datetime as dt

from appliance.provisioning import Config
from appliance.service.calendar.keeper import AHEAD, BEHIND
from appliance.service.calendar.reader import read
from appliance.service.calendar.source import Source
from appliance.service.doctor.check import Finding, ok, warn


async def look_at_calendar(config: Config) -> Finding:
    """Ask for it once, as the service does.  Tells no title.  Raises CalendarError and
    ConfigError."""
    source, now = Source(config), dt.datetime.now(dt.UTC)
    begin, end = now - BEHIND, now + AHEAD
    data = await source.fetch(begin, end)
    assert data is not None, "it was asked without conditions"
    meetings, skipped = await read(data, begin, end, None)
    ahead = [one for one in meetings if one.ends > now]
    text = f"{source.where}: {len(ahead)} meetings within {AHEAD.days} days"
    if ahead:
        text += f", the next at {ahead[0].begins.astimezone():%a %H:%M}"
    if skipped:
        remedy = "look for events that repeat every minute, or have no times"
        return warn(f"{text}; {skipped} events cannot be understood", remedy)
    return ok(text)
