"""Where the calendar's text comes from: a file on a web server, or a CalDAV collection.

CalDAV is two requests of HTTP here, by the client that the device has anyway.  Why not by the
library `caldav`: see docs/design.md.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import ssl
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import httpx

from appliance.provisioning import Config
from appliance.provisioning.errors import Unreachable
from appliance.provisioning.web import tls_context
from appliance.service import journal
from appliance.service.calendar.meeting import Meeting
from appliance.service.calendar.reader import CalendarError, shortened
from appliance.signaling.errors import one_line

log = logging.getLogger(__name__)

DEADLINE: Final = 30.0
"""Seconds for one answer, from the name's look-up to the last byte."""

SIZE_MAX: Final = 8 * 1024 * 1024
"""Bytes of a calendar; one of ten years and five thousand events has four."""

_CALDAV: Final = "urn:ietf:params:xml:ns:caldav"

_QUERY: Final = """<?xml version="1.0" encoding="utf-8"?>
<C:calendar-query xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">
<D:prop><D:getetag/><C:calendar-data/></D:prop>
<C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT">
<C:time-range start="{begin:%Y%m%dT%H%M%SZ}" end="{end:%Y%m%dT%H%M%SZ}"/>
</C:comp-filter></C:comp-filter></C:filter></C:calendar-query>"""


class Source:
    """The calendar of one configuration, which has one."""

    def __init__(self, config: Config) -> None:
        assert config.calendar.url is not None, "there is a calendar"
        self._config = config
        self._url = config.calendar.url.get_secret_value()
        # Some services put a secret into the path, and httpx tells each request.
        journal.SECRETS.add(self._url)
        parts = urlsplit(self._url)
        journal.SECRETS.add(f"{parts.path}?{parts.query}" if parts.query else parts.path)
        self.where = f"{parts.hostname}{f':{parts.port}' if parts.port else ''}"
        """The server, for people."""
        self._known: dict[str, str] = {}
        """What the server said of the last answer, as headers of the next request."""

    def forget(self) -> None:
        """Take the next answer whole."""
        self._known = {}

    async def fetch(self, begin: dt.datetime, end: dt.datetime) -> bytes | None:
        """VCALENDARs with at least what there is in [begin, end); None if the file is as before.

        Raises CalendarError, and ConfigError for a password that is not there.
        """
        calendar, auth = self._config.calendar, await self._auth()
        headers = {"Accept-Encoding": "identity"}
        if calendar.kind == "ics":
            status, data = await self._ask("GET", headers | self._known, auth)
            return None if status == 304 else data
        objects = await self._query(begin, end, auth)
        # None at all is an empty calendar too.
        return "\r\n".join([one.text for one in objects] or [_EMPTY]).encode()

    async def release(self, meeting: Meeting, until: dt.datetime) -> None:
        """Have a meeting end at `until`, in the collection of a CalDAV server.

        Nothing is written over what somebody else changed.  Raises as `fetch`.
        """
        auth = await self._auth()
        uid = meeting.key.rpartition("/")[0]
        for one in await self._query(meeting.begins, meeting.ends, auth):
            if uid[:40] not in one.text.replace("\r\n ", "").replace("\n ", ""):
                continue
            text = await shortened(one.text.encode(), meeting.key, until)
            if text is None:
                continue
            if not one.etag:
                raise CalendarError(f"{self.where} gives no ETag; an early end is not told to it")
            headers = {"If-Match": one.etag, "Content-Type": "text/calendar; charset=utf-8"}
            status, _ = await self._ask("PUT", headers, auth, text.decode(), self._object(one))
            if status == 412:
                log.info("a meeting was changed meanwhile, and so is not made shorter")
            return

    def _object(self, one: _Object) -> str:
        """The address of an object, always on the server that is configured, and as that is asked:
        one behind a proxy may name itself by http and another name."""
        try:
            path = httpx.URL(self._url).join(one.href).raw_path
        except httpx.InvalidURL:
            raise CalendarError(f"{self.where} gives an address that is none") from None
        return str(httpx.URL(self._url).copy_with(raw_path=path))

    async def _auth(self) -> tuple[str, str] | None:
        user = self._config.calendar.user
        password = await asyncio.to_thread(self._config.read_calendar_password)
        if password is None or user is None:
            return None
        journal.SECRETS.add(password)
        return user, password

    async def _query(
        self, begin: dt.datetime, end: dt.datetime, auth: tuple[str, str] | None
    ) -> list[_Object]:
        headers = {"Accept-Encoding": "identity"}
        headers |= {"Depth": "1", "Content-Type": "application/xml; charset=utf-8"}
        status, data = await self._ask("REPORT", headers, auth, _QUERY.format(begin=begin, end=end))
        if status != 207:
            raise CalendarError(
                f"{self.where} is no CalDAV collection (it answers {status}); check calendar.url"
            )
        # Some megabytes of XML take a while.
        return await asyncio.to_thread(_objects, data)

    async def _ask(
        self,
        method: str,
        headers: dict[str, str],
        auth: tuple[str, str] | None,
        content: str | None = None,
        url: str | None = None,
    ) -> tuple[int, bytes]:
        data = bytearray()
        try:
            async with (
                asyncio.timeout(DEADLINE),
                httpx.AsyncClient(
                    verify=tls_context(self._config.calendar.ca_file),
                    # What the environment says would go past the configuration.
                    trust_env=False,
                    timeout=DEADLINE,
                ) as client,
                client.stream(
                    method, url or self._url, headers=headers, auth=auth, content=content
                ) as answer,
            ):
                status = answer.status_code
                if status in (200, 207):
                    async for piece in answer.aiter_raw(65_536):
                        data += piece
                        if len(data) > SIZE_MAX:
                            raise CalendarError(
                                f"the calendar has more than {SIZE_MAX >> 20} MiB;"
                                " keep old events elsewhere"
                            )
        except (Unreachable, OSError, httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
            raise CalendarError(
                f"cannot ask {self.where} for the calendar: {_reason(error)};"
                " check calendar.url and the network"
            ) from None
        if status in (401, 403):
            raise CalendarError(
                f"{self.where} does not give the calendar (it answers {status});"
                " check calendar.user and its password"
            )
        if method == "PUT" and status in (201, 204, 412):
            return status, b""
        if status not in (200, 207) and not (status == 304 and self._known):
            raise CalendarError(
                f"{self.where} does not give the calendar (it answers {status}); check calendar.url"
            )
        if status == 200:
            self._keep(answer.headers)
        return status, bytes(data)

    def _keep(self, headers: Any) -> None:
        pairs = (("ETag", "If-None-Match"), ("Last-Modified", "If-Modified-Since"))
        found = {asks: headers.get(says) for says, asks in pairs}
        self._known = {
            name: value
            for name, value in found.items()
            if value is not None and value.isascii() and value.isprintable()
        }


@dataclass(frozen=True, slots=True)
class _Object:
    """One event, or series, of a collection."""

    href: str
    etag: str
    text: str


def _objects(data: bytes) -> list[_Object]:
    """What is in a multistatus.  Raises CalendarError."""
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise CalendarError("the CalDAV server sends what no such server sends; check calendar.url")
    try:
        root = ET.fromstring(data)
    except (ET.ParseError, ValueError, LookupError):
        raise CalendarError("the CalDAV server's answer is no XML; check calendar.url") from None
    found = []
    for response in root.iter("{DAV:}response"):
        text = response.findtext(f".//{{{_CALDAV}}}calendar-data")
        if text:
            href = response.findtext("{DAV:}href", "").strip()
            etag = response.findtext(".//{DAV:}getetag", "").strip()
            found.append(_Object(href, etag, text))
    return found


_EMPTY: Final = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:roomlet\r\nEND:VCALENDAR\r\n"


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "it does not answer in time"
    if isinstance(error, httpx.RemoteProtocolError):
        # Its text may hold what was answered.
        return "the answer breaks off, or is no HTTP"
    return one_line(str(error) or type(error).__name__)
