"""Calendars in a process of their own."""

from __future__ import annotations

import asyncio
import datetime as dt
import errno
from pathlib import Path

import pytest

from appliance.service.calendar import agenda, reader
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


async def test_the_room_declines_by_its_address() -> None:
    declined = "ATTENDEE;PARTSTAT=DECLINED:mailto:oak@example.com"
    data = calendar(event("a", NINE, WINDOW[1], "Sync", declined))
    assert len((await read(data, *WINDOW, "UTC"))[0]) == 1
    assert await read(data, *WINDOW, "UTC", "oak@example.com") == ((), 0)


async def test_rubbish_is_told_in_one_line() -> None:
    with pytest.raises(CalendarError, match=r"holds no calendar; check calendar\.url"):
        await read(b"<html>canary</html>", *WINDOW, "UTC")


# It has no second occurrence, and looking for one takes until the year 9999.
ENDLESS = event(
    "e", NINE - dt.timedelta(days=99), NINE, "x", "RRULE:FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=31"
)


async def test_what_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "WALL_S", 2.0)
    with pytest.raises(CalendarError, match="too much time or memory"):
        await read(calendar(ENDLESS), *WINDOW, "UTC")


def test_what_never_ends_spares_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: by the child's own limits it would take ten seconds."""
    monkeypatch.setattr(agenda, "WHOLE_S", 0.1)
    monkeypatch.setattr(agenda, "EACH_S", 0.1)
    good = event("g", NINE, NINE + dt.timedelta(hours=1))
    found = agenda.read_agenda(calendar(ENDLESS, good), *WINDOW, dt.UTC, bounded=reader._bounded)
    assert ([one.key.partition("/")[0] for one in found.meetings], found.skipped) == (["g"], 1)


async def test_what_lies_in_the_working_directory_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recurring_ical_events.py").write_text("raise SystemExit('canary')")
    monkeypatch.chdir(tmp_path)
    assert await read(calendar(), *WINDOW, "UTC") == ((), 0)


async def test_a_machine_without_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", nothing)
    with pytest.raises(CalendarError, match=r"can be started \(Cannot allocate memory\)"):
        await read(calendar(), *WINDOW, "UTC")


async def test_a_bomb_of_events_is_bounded() -> None:
    events = [event(f"u{n}", NINE, NINE + dt.timedelta(hours=1)) for n in range(600)]
    meetings, _ = await read(calendar(*events), *WINDOW, "UTC")
    assert len(meetings) == 500
