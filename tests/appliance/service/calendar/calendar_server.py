"""A server of one calendar on the loopback, with faults that can be switched on."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from appliance.provisioning import Config


def event(
    uid: str, begins: dt.datetime, ends: dt.datetime, title: str = "Weekly sync", *more: str
) -> str:
    stamp = "%Y%m%dT%H%M%SZ"
    return "\r\n".join(
        [
            "BEGIN:VEVENT",
            f"UID:{uid}",
            f"SUMMARY:{title}",
            f"DTSTART:{begins.astimezone(dt.UTC):{stamp}}",
            f"DTEND:{ends.astimezone(dt.UTC):{stamp}}",
            *more,
            "END:VEVENT",
        ]
    )


def calendar(*events: str) -> bytes:
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:test", *events, "END:VCALENDAR", ""]
    return "\r\n".join(lines).encode()


@dataclass
class CalendarServer:
    url: str = ""
    data: bytes = calendar()
    status: int = 200
    headers: str = ""
    etag: str = ""
    declared: int | None = None
    """Of the length, if it lies."""
    silent: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.rstrip().split("\r\n")
            pairs = (line.partition(":") for line in lines)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            self.bodies.append(await reader.readexactly(int(headers.get("content-length", 0))))
            self.asked.append({**headers, "": first})
            if self.silent:
                await reader.read()
            elif self.etag and headers.get("if-none-match") == self.etag:
                writer.write(b"HTTP/1.1 304 Same\r\n\r\n")
            else:
                length = len(self.data) if self.declared is None else self.declared
                tag = f"ETag: {self.etag}\r\n" if self.etag else ""
                writer.write(
                    f"HTTP/1.1 {self.status} So\r\nContent-Length: {length}\r\n"
                    f"{tag}{self.headers}\r\n".encode()
                    + self.data
                )
                await writer.drain()
        writer.close()

    def config(self, room: dict[str, Any] | None = None, **values: Any) -> Config:
        given = {"host": "ws://hub.example", "token": "x.y.z"} if room is None else room
        return Config.model_validate({"room": given, "calendar": {"url": self.url, **values}})


@contextlib.asynccontextmanager
async def served(context: ssl.SSLContext | None = None) -> AsyncIterator[CalendarServer]:
    one = CalendarServer()
    more: dict[str, Any] = {} if context is None else {"ssl_shutdown_timeout": 1}
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0, ssl=context, **more)
    port = server.sockets[0].getsockname()[1]
    one.url = f"{'http' if context is None else 'https'}://127.0.0.1:{port}/canary-path/room.ics"
    try:
        yield one
    finally:
        server.close()
