"""Getting the calendar's text, from servers that are well and from others."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from appliance.provisioning import Config, ConfigError
from appliance.service.calendar import source as source_module
from appliance.service.calendar.reader import CalendarError, read
from appliance.service.calendar.source import Source
from appliance.service.journal import SECRETS
from tests.appliance.provisioning.static_server import Authority
from tests.appliance.service.calendar.calendar_server import calendar, event, served

NINE = dt.datetime(2026, 3, 16, 9, tzinfo=dt.UTC)
WINDOW = (NINE, NINE + dt.timedelta(days=1))
MEETING = calendar(event("a", NINE, NINE + dt.timedelta(hours=1)))


async def test_a_file_is_fetched_once_while_it_stays_the_same() -> None:
    async with served() as server:
        server.data, server.etag = MEETING, '"1"'
        source = Source(server.config())
        assert await source.fetch(*WINDOW) == MEETING
        assert await source.fetch(*WINDOW) is None
        server.etag = '"2"'
        assert await source.fetch(*WINDOW) == MEETING
        assert [one.get("if-none-match") for one in server.asked] == [None, '"1"', '"1"']
        source.forget()
        assert await source.fetch(*WINDOW) == MEETING


@pytest.mark.parametrize(
    ("status", "says"),
    [(401, "check calendar.user"), (404, "check calendar.url"), (500, "500"), (302, "302"),
     (304, "304")],
)  # fmt: skip
async def test_what_is_refused(status: int, says: str) -> None:
    async with served() as server:
        server.status, server.data = status, b"canary-of-an-answer"
        server.headers = "Location: http://127.0.0.1:1/\r\n"
        with pytest.raises(CalendarError, match=says) as caught:
            await Source(server.config()).fetch(*WINDOW)
        assert "canary" not in str(caught.value)
        assert len(server.asked) == 1


async def test_answers_that_break_off_are_too_long_or_never_come(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    async with served() as server:
        server.data, server.declared = MEETING, len(MEETING) + 10
        with pytest.raises(CalendarError, match="breaks off"):
            await Source(server.config()).fetch(*WINDOW)
        server.data, server.declared = bytes(source_module.SIZE_MAX + 1), None
        with pytest.raises(CalendarError, match="more than 8 MiB"):
            await Source(server.config()).fetch(*WINDOW)
        server.silent = True
        monkeypatch.setattr(source_module, "DEADLINE", 0.2)
        with pytest.raises(CalendarError, match="in time"):
            await Source(server.config()).fetch(*WINDOW)
        server.url = f"http://127.0.0.1:{unused_tcp_port}/canary"
        with pytest.raises(CalendarError, match="cannot ask") as caught:
            await Source(server.config()).fetch(*WINDOW)
        assert "canary" not in str(caught.value)


async def test_only_a_certificate_that_fits_is_believed(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    async with served(authority.context()) as server:
        server.data = MEETING
        with pytest.raises(CalendarError, match="cannot ask"):
            await Source(server.config()).fetch(*WINDOW)
        assert not server.asked
        assert await Source(server.config(ca_file=authority.file)).fetch(*WINDOW) == MEETING


async def test_the_password_goes_to_the_server_and_into_no_line(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("canary-of-a-password\n")
    (tmp_path / "secret").chmod(0o600)
    async with served() as server:
        config = server.config(user="oak", password_file=tmp_path / "secret")
        await Source(config).fetch(*WINDOW)
        assert server.asked[0]["authorization"].startswith("Basic ")
        assert "canary" not in SECRETS.blacken(f"{server.url} canary-of-a-password")
        (tmp_path / "secret").unlink()
        with pytest.raises(ConfigError, match="put the password there"):
            await Source(config).fetch(*WINDOW)


async def test_a_caldav_collection_is_asked_for_the_hours_that_matter() -> None:
    two = calendar(event("b", NINE, NINE + dt.timedelta(hours=2))).decode()
    answer = (
        '<?xml version="1.0"?><m:multistatus xmlns:m="DAV:" '
        'xmlns:c="urn:ietf:params:xml:ns:caldav">'
        + "".join(
            "<m:response><m:href>/x</m:href><m:propstat><m:prop><c:calendar-data>"
            f"{text}</c:calendar-data></m:prop></m:propstat></m:response>"
            for text in (MEETING.decode(), two)
        )
        + "</m:multistatus>"
    )
    async with served() as server:
        server.status, server.data = 207, answer.encode()
        config = server.config(kind="caldav")
        data = await Source(config).fetch(*WINDOW)
        assert data is not None
        meetings, skipped = await read(data, *WINDOW, "UTC")
        assert [one.key[0] for one in meetings] == ["a", "b"]
        assert skipped == 0
        assert server.asked[0][""].startswith("REPORT /")
        assert server.asked[0]["depth"] == "1"
        assert b'start="20260316T090000Z" end="20260317T090000Z"' in server.bodies[0]
        server.data = b'<m:multistatus xmlns:m="DAV:"/>'
        data = await Source(config).fetch(*WINDOW)
        assert data is not None
        assert await read(data, *WINDOW, "UTC") == ((), 0)
        odd = b'<?xml version="1.0" encoding="x-odd"?><a/>'
        for bad in (b"<html", odd, b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'):
            server.data = bad
            with pytest.raises(CalendarError, match=r"check calendar\.url"):
                await Source(config).fetch(*WINDOW)
        server.status = 200
        with pytest.raises(CalendarError, match="no CalDAV collection"):
            await Source(config).fetch(*WINDOW)


@pytest.mark.parametrize(
    "calendar",
    [
        {"url": "http://cal.example/x"},
        {"url": "https://u:p@cal.example/x"},
        {"url": "ftp://cal.example/x"},
        {"url": "https://cal.example/x", "user": "oak"},
        {"url": "https://cal.example/x", "password_file": "a"},
        {"url": "https://x/", "user": "o", "password_file": "a", "password_credential": "b"},
        {"refresh_minutes": 0},
    ],
)
def test_what_cannot_be_configured(calendar: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="calendar"):
        Config.model_validate({"room": {"host": "h", "token": "t"}, "calendar": calendar})
