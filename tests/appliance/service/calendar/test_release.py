"""An early end in the calendar: on the text, and on a real CalDAV server."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from collections.abc import Iterator
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server
from zoneinfo import ZoneInfo

import httpx
import pytest
from radicale import config as radicale_config
from radicale.app import Application

from appliance.provisioning import Config
from appliance.service.calendar.agenda import read_agenda
from appliance.service.calendar.reader import read
from appliance.service.calendar.release import shorten
from appliance.service.calendar.source import Source, _Object
from tests.appliance.service.calendar.calendar_server import calendar, event
from tests.appliance.service.conftest import DEADLINE, MakeDevice, until

BERLIN = ZoneInfo("Europe/Berlin")
NINE = dt.datetime(2026, 3, 16, 9, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
WINDOW = (NINE - 24 * HOUR, NINE + 24 * 20 * HOUR)


def spans(data: bytes) -> list[tuple[dt.datetime, dt.timedelta]]:
    meetings = read_agenda(data, *WINDOW, BERLIN).meetings
    return [(one.begins, one.ends - one.begins) for one in meetings]


@pytest.mark.parametrize(
    "times",
    [
        "DTSTART:20260316T090000Z\nDTEND:20260316T100000Z",
        "DTSTART;TZID=Europe/Berlin:20260316T100000\nDURATION:PT1H",
        "DTSTART:20260316T100000\nDTEND:20260316T110000",
    ],
)
def test_one_of_a_series_or_all_there_is(times: str) -> None:
    def event(*more: str) -> bytes:
        lines = ["BEGIN:VEVENT", "UID:a/b", "SEQUENCE:3", *times.split("\n"), *more, "END:VEVENT"]
        return calendar(*lines)

    until, short = NINE + HOUR / 4, HOUR / 4
    single = shorten(event(), "a/b/20260316T090000Z", until, BERLIN)
    assert single is not None
    assert spans(single) == [(NINE, short)]
    assert b"SEQUENCE:4" in single
    week = dt.timedelta(days=7)
    data = event("RRULE:FREQ=WEEKLY;COUNT=2")
    second = shorten(data, "a/b/20260323T090000Z", until + week, BERLIN)
    assert second is not None
    assert spans(second) == [(NINE, HOUR), (NINE + week, short)]
    # The same one again, which now is an exception of its series.
    again = shorten(second, "a/b/20260323T090000Z", until + week - short / 2, BERLIN)
    assert again is not None
    assert spans(again) == [(NINE, HOUR), (NINE + week, short / 2)]
    for key, end in (("x/20260316T090000Z", until), ("a/b/20260316T090000Z", NINE)):
        assert shorten(data, key, end, BERLIN) is None


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[str]:
    """The address of a calendar on a CalDAV server."""
    settings = radicale_config.load()
    settings.update(
        {
            "storage": {"filesystem_folder": str(tmp_path / "radicale")},
            "auth": {"type": "none"},
            "rights": {"type": "authenticated"},
        },
        "test",
    )
    server = make_server("127.0.0.1", 0, Application(settings), handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/oak/room/"
    made = httpx.request("MKCALENDAR", url, auth=("oak", "x"), timeout=DEADLINE)
    assert made.status_code == 201
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


def configured(url: str, tmp_path: Path) -> dict[str, object]:
    (tmp_path / "secret").write_text("canary-password")
    (tmp_path / "secret").chmod(0o600)
    secret = {"user": "oak", "password_file": tmp_path / "secret"}
    return {"url": url, "kind": "caldav", "release": True, **secret}


def put(url: str, data: bytes) -> None:
    answer = httpx.put(f"{url}a.ics", content=data, auth=("oak", "x"), timeout=DEADLINE)
    assert answer.status_code in (201, 204)


async def test_a_real_server(collection: str, tmp_path: Path) -> None:
    weekly = event("a", NINE, NINE + HOUR, "Sync", "DTSTAMP:20260101T000000Z")
    weekly = weekly.replace("END:VEVENT", "RRULE:FREQ=WEEKLY;COUNT=2\r\nEND:VEVENT")
    await asyncio.to_thread(put, collection, calendar(weekly))
    room = {"host": "ws://h", "token": "t"}
    config = Config.model_validate({"room": room, "calendar": configured(collection, tmp_path)})
    source = Source(config)
    data = await source.fetch(*WINDOW)
    assert data is not None
    (first, _), _ = await read(data, *WINDOW, "UTC")
    await source.release(first, NINE + HOUR / 3)
    data = await source.fetch(*WINDOW)
    assert data is not None
    assert [length for _, length in spans(data)] == [HOUR / 3, HOUR]


@pytest.mark.parametrize(
    ("href", "address"),
    [
        ("/oak/a.ics", "https://cal.example/oak/a.ics"),
        ("a%20b.ics", "https://cal.example/oak/a%20b.ics"),
        # One behind a proxy calls itself so, and the password must not go there.
        ("http://cal.example/oak/a.ics", "https://cal.example/oak/a.ics"),
        ("http://inner:5232/oak/a.ics?x=1", "https://cal.example/oak/a.ics?x=1"),
        ("//evil.example/oak/a.ics", "https://cal.example/oak/a.ics"),
    ],
)
def test_an_early_end_is_told_to_the_server_that_is_configured(href: str, address: str) -> None:
    given = {"url": "https://cal.example/oak/", "kind": "caldav"}
    room = {"host": "ws://h", "token": "t"}
    source = Source(Config.model_validate({"room": room, "calendar": given}))
    assert source._object(_Object(href, "1", "")) == address


async def test_what_was_changed_meanwhile_is_left_alone(
    collection: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = calendar(event("a", NINE, NINE + HOUR, "Sync", "DTSTAMP:20260101T000000Z"))
    await asyncio.to_thread(put, collection, plain)
    room = {"host": "ws://h", "token": "t"}
    config = Config.model_validate({"room": room, "calendar": configured(collection, tmp_path)})
    source = Source(config)
    (one,), _ = await read(await source.fetch(*WINDOW) or b"", *WINDOW, "UTC")
    query = source._query

    async def too_slow(*given: object) -> object:
        found = await query(*given)  # type: ignore[arg-type]
        longer = calendar(event("a", NINE, NINE + 2 * HOUR, "Sync", "DTSTAMP:20260101T000000Z"))
        await asyncio.to_thread(put, collection, longer)
        return found

    monkeypatch.setattr(source, "_query", too_slow)
    await source.release(one, NINE + HOUR / 3)
    monkeypatch.undo()
    assert [length for _, length in spans(await source.fetch(*WINDOW) or b"")] == [2 * HOUR]


async def test_who_hangs_up_frees_the_room(
    make_device: MakeDevice, collection: str, tmp_path: Path
) -> None:
    began = dt.datetime.now(dt.UTC).replace(microsecond=0) - HOUR / 60
    data = calendar(event("a", began, began + HOUR, "Sync", "DTSTAMP:20260101T000000Z"))
    await asyncio.to_thread(put, collection, data)
    oak = await make_device(calendar=configured(collection, tmp_path))
    oak.calendar.grace = 0.0
    await until(oak, lambda state: state.meeting.get("when") == "now")
    oak.presence.hang_up()
    await until(oak, lambda state: state.meeting.get("when") == "ended")
    (told,) = oak.calendar._releases.values()
    await asyncio.wait_for(told, DEADLINE)
    source = Source(oak.config)
    found, _ = await read(
        await source.fetch(began, began + HOUR) or b"", began - HOUR, began + HOUR, "UTC"
    )
    assert found[0].ends - began < HOUR / 10


def test_only_caldav_can_be_written() -> None:
    wrong = {"url": "https://x/", "release": True}
    with pytest.raises(ValueError, match="caldav"):
        Config.model_validate({"room": {"host": "h", "token": "t"}, "calendar": wrong})
