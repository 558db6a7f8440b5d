"""Meetings out of calendars, held against two oracles: dateutil with zoneinfo, and the library."""

from __future__ import annotations

import contextlib
import datetime as dt
from zoneinfo import ZoneInfo

import pytest
import recurring_ical_events
from dateutil.rrule import rrulestr
from hypothesis import example, given, settings
from hypothesis import strategies as st
from icalendar import Calendar

from appliance.service.calendar.agenda import NoCalendar, Reading, read_agenda

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]


def calendar(*events: str) -> bytes:
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:t"]
    for event in events:
        lines += ["BEGIN:VEVENT", "DTSTAMP:20260101T000000Z", *event.split("\n"), "END:VEVENT"]
    return "\r\n".join([*lines, "END:VCALENDAR", ""]).encode()


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def read(data: bytes, begin: str, end: str, zone: dt.tzinfo = BERLIN) -> Reading:
    return read_agenda(data, utc(begin), utc(end), zone)


def starts(reading: Reading) -> list[str]:
    return [one.begins.strftime("%m-%d %H:%M") for one in reading.meetings]


WEEKLY = (
    "UID:w\nSUMMARY:Weekly sync\nDTSTART;TZID=Europe/Berlin:20260316T100000\n"
    "DTEND;TZID=Europe/Berlin:20260316T103000\nRRULE:FREQ=WEEKLY;COUNT=5"
)


def test_a_series_keeps_its_local_time_over_a_change_of_the_clocks() -> None:
    assert starts(read(calendar(WEEKLY), "2026-03-01", "2026-05-01")) == [
        "03-16 09:00", "03-23 09:00", "03-30 08:00", "04-06 08:00", "04-13 08:00",
    ]  # fmt: skip


def test_exceptions_additions_and_moves() -> None:
    series = (
        f"{WEEKLY}\nEXDATE;TZID=Europe/Berlin:20260323T100000\n"
        "RDATE;TZID=Europe/Berlin:20260318T150000"
    )
    moved = (
        "UID:w\nSUMMARY:Moved\nRECURRENCE-ID;TZID=Europe/Berlin:20260330T100000\n"
        "DTSTART;TZID=Europe/Berlin:20260331T120000\nDTEND;TZID=Europe/Berlin:20260331T123000"
    )
    gone = (
        "UID:w\nSTATUS:CANCELLED\nRECURRENCE-ID;TZID=Europe/Berlin:20260406T100000\n"
        "DTSTART;TZID=Europe/Berlin:20260406T100000\nDTEND;TZID=Europe/Berlin:20260406T103000"
    )
    found = read(calendar(series, moved, gone), "2026-03-01", "2026-05-01")
    assert starts(found) == ["03-16 09:00", "03-18 14:00", "03-31 10:00", "04-13 08:00"]
    assert found.meetings[2].title == "Moved"
    # The occurrence is the same one, wherever it was moved to.
    assert found.meetings[2].key == "w/20260330T080000Z"


@pytest.mark.parametrize(
    ("local", "instant"),
    [
        ("20260329T023000", "03-29 01:30"),  # in the gap: as if the clocks had not moved yet
        ("20261025T023000", "10-25 00:30"),  # twice: the first one
    ],
)
@pytest.mark.parametrize("zoned", [True, False])
def test_times_that_are_not_or_are_twice(local: str, instant: str, zoned: bool) -> None:
    start = f"DTSTART{';TZID=Europe/Berlin' if zoned else ''}:{local}"
    found = read(calendar(f"UID:g\n{start}\nDURATION:PT30M"), "2026-01-01", "2027-01-01")
    assert starts(found) == [instant]


def test_whole_days_cancelled_and_empty_ones_are_no_meetings() -> None:
    data = calendar(
        "UID:a\nDTSTART;VALUE=DATE:20260316\nDTEND;VALUE=DATE:20260317",
        "UID:b\nSTATUS:CANCELLED\nDTSTART:20260316T100000Z\nDTEND:20260316T110000Z",
        "UID:c\nDTSTART:20260316T100000Z\nDTEND:20260316T100000Z",
    )
    assert read(data, "2026-03-01", "2026-04-01").meetings == ()


def test_what_the_room_declined_or_is_free_for_is_no_meeting() -> None:
    when = "DTSTART:20260316T100000Z\nDTEND:20260316T103000Z"
    eve = "ATTENDEE;PARTSTAT=ACCEPTED:mailto:eve@example.com"
    invited = eve + "\nATTENDEE;PARTSTAT={}:MAILTO:Oak@Example.com"
    data = calendar(
        f"UID:declined\n{when}\n{invited.format('DECLINED')}",
        f"UID:accepted\n{when}\n{invited.format('ACCEPTED')}",
        f"UID:alone\n{when}\nATTENDEE;PARTSTAT=DECLINED:mailto:eve@example.com",
        f"UID:free\n{when}\nTRANSP:TRANSPARENT",
    )
    whole = utc("2026-03-16"), utc("2026-03-17"), BERLIN

    def uids(reading: Reading) -> list[str]:
        return [one.key.partition("/")[0] for one in reading.meetings]

    assert uids(read_agenda(data, *whole, "oak@example.com")) == ["accepted", "alone"]
    assert uids(read_agenda(data, *whole)) == ["accepted", "alone", "declined"]


def test_what_is_known_of_a_meeting() -> None:
    data = calendar(
        "UID:p\nSUMMARY:A  secret\\n thing\nCLASS:PRIVATE\nX-ROOMLET-ROOM:elm\n"
        "CONFERENCE;VALUE=URI:https://meet.example/x\nLOCATION:Oak\nDESCRIPTION:See https://hub/?room=demo\n"
        "DTSTART:20260316T100000Z\nDTEND:20260316T110000Z"
    )
    (one,) = read(data, "2026-03-01", "2026-04-01").meetings
    assert (one.title, one.private, one.room) == ("A secret thing", True, "elm")
    assert (one.meet, one.links) == (None, (("hub", "demo"),))


@pytest.mark.parametrize(
    "rule",
    ["FREQ=SECONDLY", "FREQ=MINUTELY", f"FREQ=DAILY;BYMINUTE={','.join(map(str, range(60)))}"],
)
def test_what_happens_all_the_time_spares_the_others(rule: str) -> None:
    bad = f"UID:x\nDTSTART:20260316T100000Z\nDTEND:20260316T110000Z\nRRULE:{rule}"
    found = read(calendar(bad, WEEKLY), "2026-03-01", "2026-03-20")
    assert starts(found) == ["03-16 09:00"]
    assert found.skipped == 1


PLAIN = "DTSTART:20260316T100000Z\nDTEND:20260316T110000Z"


@pytest.mark.parametrize(
    "odd",
    [
        "DTSTART:20260101T000000Z\nDTEND:99991231T235959Z",
        "DTSTART:00010101T000000Z\nDTEND:20300101T000000Z",
        f"{PLAIN}\nRRULE:FREQ=FOO",
        f"{PLAIN}\nRRULE:FREQ=DAILY;BYDAY=XX",
        f"{PLAIN}\nRRULE:FREQ=DAILY;INTERVAL=0",
        f"{PLAIN}\nRDATE:99991231T235959Z",
        f"{PLAIN}\nEXDATE:00010101T000000Z\nRRULE:FREQ=DAILY",
        f"{PLAIN}\nRDATE;VALUE=PERIOD:20261129T100000Z/PT99999999H",
        f"{PLAIN}\nRECURRENCE-ID:foo",
        "DTSTART:foo\nDTEND:bar",
    ],
)
def test_an_odd_event_spares_the_others(odd: str) -> None:
    found = read(calendar(f"UID:odd\n{odd}", WEEKLY), "2026-03-01", "2026-03-20")
    assert "w/20260316T090000Z" in {one.key for one in found.meetings}


def test_an_event_that_the_library_stumbles_over_spares_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of = recurring_ical_events.of

    def stumbling(calendar: Calendar, **options: object) -> object:
        if any(one.get("UID") == "odd" for one in calendar.subcomponents):
            raise RuntimeError("nobody thought of it")
        return of(calendar, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(recurring_ical_events, "of", stumbling)
    found = read(calendar(f"UID:odd\n{PLAIN}", WEEKLY), "2026-03-01", "2026-03-20")
    assert (starts(found), found.skipped) == (["03-16 09:00"], 1)


@pytest.mark.parametrize(
    "data", [b"", b"<html>", b"\x00\xff" * 50, b"BEGIN:VEVENT\r\nEND:VEVENT\r\n"]
)
def test_what_is_no_calendar(data: bytes) -> None:
    with pytest.raises(NoCalendar):
        read(data, "2026-01-01", "2026-02-01")


rules = st.one_of(
    st.builds("FREQ=DAILY;INTERVAL={};COUNT={}".format, st.integers(1, 5), st.integers(1, 40)),
    st.builds(
        "FREQ=WEEKLY;INTERVAL={};BYDAY={};COUNT={}".format,
        st.integers(1, 3),
        st.sets(st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"]), min_size=1).map(
            lambda days: ",".join(sorted(days))
        ),
        st.integers(1, 30),
    ),
    st.builds(
        "FREQ=MONTHLY;BYDAY={}{};COUNT={}".format,
        st.sampled_from([1, 2, 4, -1]),
        st.sampled_from(["MO", "WE", "FR"]),
        st.integers(1, 12),
    ),
)
times = st.datetimes(
    dt.datetime.fromisoformat("2025-12-01"), dt.datetime.fromisoformat("2026-12-01")
).map(lambda at: at.replace(second=0, microsecond=0))
EVE_OF_GAP, EVE_OF_FOLD = map(
    dt.datetime.fromisoformat, ("2026-03-28T02:30:00", "2026-10-24T02:30:00")
)
DAILY = "FREQ=DAILY;INTERVAL=1;COUNT=3"


@settings(max_examples=120)
@given(
    times,
    rules,
    st.sampled_from(ZONES),
    st.integers(5, 600),
    st.sets(st.integers(0, 20)),
    st.booleans(),
)
@example(EVE_OF_GAP, DAILY, ZONES[0], 30, set(), True)
@example(EVE_OF_FOLD, DAILY, ZONES[0], 30, set(), False)
def test_series_are_those_of_dateutil_and_zoneinfo_and_of_the_library(
    first: dt.datetime, rule: str, zone: str, minutes: int, left_out: set[int], floating: bool
) -> None:
    """By hand: local times by dateutil alone, each placed by zoneinfo."""
    tz = ZoneInfo(zone)
    local = list(rrulestr(f"RRULE:{rule}", dtstart=first))
    # The library counts DTSTART among the occurrences, as RFC 5545 does, even off the pattern.
    first = local[0]
    local = list(rrulestr(f"RRULE:{rule}", dtstart=first))
    dropped = [local[n] for n in left_out if n < len(local)]
    where = "" if floating else f";TZID={zone}"
    event = f"UID:h\nDTSTART{where}:{first:%Y%m%dT%H%M%S}\nDURATION:PT{minutes}M\nRRULE:{rule}"
    event += "".join(f"\nEXDATE{where}:{at:%Y%m%dT%H%M%S}" for at in dropped)
    begin, end = utc("2026-02-01"), utc("2026-11-20")
    found = read_agenda(calendar(event), begin, end, tz)

    length = dt.timedelta(minutes=minutes)
    wanted = []
    for at in local:
        if at in dropped:
            continue
        instant = at.replace(tzinfo=tz).astimezone(dt.UTC)
        if instant < end and instant + length > begin:
            wanted.append(instant)
    assert [one.begins for one in found.meetings] == wanted

    if not floating:
        raw = Calendar.from_ical(calendar(event))
        theirs = recurring_ical_events.of(raw).between(begin, end)
        by_library = sorted(one["DTSTART"].dt.astimezone(dt.UTC) for one in theirs)
        assert [one.begins for one in found.meetings] == by_library


@settings(max_examples=60)
@given(st.binary(max_size=300))
def test_rubbish_in_an_event_raises_nothing_else(rubbish: bytes) -> None:
    data = calendar(WEEKLY).replace(b"SUMMARY:Weekly sync", rubbish)
    with contextlib.suppress(NoCalendar):
        read(data, "2026-03-01", "2026-05-01")
