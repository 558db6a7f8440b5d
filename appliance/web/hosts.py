"""Which host names a web server answers to.

A page of any site may give its own name this machine's address, and its script is then of one
origin with what is served here, as far as the browser can tell (DNS rebinding). The name in the
request gives it away. An IP address is no such name: nobody can make one mean another machine.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from appliance.web.seldom import Seldom

__all__ = ["HostGuard", "HostNames", "hostname", "local_names", "refuse", "same_host"]

log = logging.getLogger(__name__)

_SHOWN: Final = 100
"""Characters of a foreign name that are said again; names end at 253."""


def local_names() -> frozenset[str]:
    """The names under which this machine's own browser and its LAN know it."""
    name = socket.gethostname().lower().removesuffix(".local")
    return frozenset({"localhost", name, f"{name}.local"})


def hostname(authority: str) -> str:
    """The host of ``host[:port]``, lower case, without brackets and without the dot of a complete
    name; empty when malformed."""
    try:
        return (urlsplit(f"//{authority}").hostname or "").removesuffix(".")
    except ValueError:
        return ""


def same_host(origin: str, authority: str) -> bool:
    """Whether the origin of a page names the server of a request, by its Host header."""
    try:
        return urlsplit(origin).netloc.lower() == authority.lower()
    except ValueError:
        return False


class HostNames:
    """The names of one server: `names`, those of the machine, and every IP address."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = local_names() | {name.lower().removesuffix(".") for name in names}

    def include(self, authority: str) -> bool:
        """Whether a request with this Host header is for this server."""
        host = hostname(authority)
        if host in self._names:
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True


class HostGuard:
    """ASGI middleware that refuses what a browser may have asked under a foreign name. `remedy`
    says in the answer and in the log what makes a name known.

    Programs may use any name that leads here: no page makes them ask.
    """

    def __init__(self, app: ASGIApp, *, names: HostNames, remedy: str) -> None:
        self._app = app
        self._names = names
        self._remedy = remedy
        self._line = Seldom()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        headers = Headers(scope=scope) if "headers" in scope else Headers()
        host = headers.get("host", "")
        if not _may_be_a_page(scope, headers) or self._names.include(host):
            await self._app(scope, receive, send)
            return
        objection = f"There is no {host[:_SHOWN]!r} here: {self._remedy}."
        if self._line.due():
            log.warning("refused a request. %s", objection)
        await refuse(objection, scope, receive, send)


def _may_be_a_page(scope: Scope, headers: Headers) -> bool:
    """Whether a script in a browser may have asked for this. Browsers tell the page's origin with
    every WebSocket and whatever changes something, but not with what a page reads from its own."""
    return "origin" in headers or scope.get("method") in ("GET", "HEAD")


async def refuse(objection: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer an HTTP request, or the opening of a WebSocket, with 403 and one line."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": objection})
    else:
        await PlainTextResponse(objection + "\n", status_code=403)(scope, receive, send)
