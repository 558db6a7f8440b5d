"""Calendars in a process of their own."""

from __future__ import annotations

import datetime as dt

import pytest

from appliance.service.calendar import reader
from appliance.service.calendar.reader import CalendarError, read
from tests.appliance.service.calendar.calendar_server import calendar, event

NINE = dt.datetime(2026, 3, 16, 9, tzinfo=dt.UTC)
WINDOW = (NINE, NINE + dt.timedelta(days=1))


async def test_floating_times_are_in_the_zone_that_is_given() -> None:
    floating = (
        event("f", NINE, NINE)
        .replace("000Z", "000")
        .replace("DTEND:20260316T090000", "DURATION:PT1H")
    )
    (one,), _ = await read(calendar(floating), NINE - dt.timedelta(days=1), WINDOW[1], "Asia/Tokyo")
    assert one.begins == NINE - dt.timedelta(hours=9)


async def test_rubbish_is_told_in_one_line() -> None:
    with pytest.raises(CalendarError, match=r"holds no calendar; check calendar\.url"):
        await read(b"<html>canary</html>", *WINDOW, "UTC")


async def test_what_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    # It has no second occurrence, and looking for one takes until the year 9999.
    endless = event(
        "e", NINE - dt.timedelta(days=99), NINE, "x", "RRULE:FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=31"
    )
    monkeypatch.setattr(reader, "WALL_S", 2.0)
    with pytest.raises(CalendarError, match="too much time or memory"):
        await read(calendar(endless), *WINDOW, "UTC")


async def test_a_bomb_of_events_is_bounded() -> None:
    events = [event(f"u{n}", NINE, NINE + dt.timedelta(hours=1)) for n in range(600)]
    meetings, _ = await read(calendar(*events), *WINDOW, "UTC")
    assert len(meetings) == 500
