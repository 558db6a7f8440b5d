"""Who may talk to the panel: checks of Host and Origin, and the headers that bind a browser.

The panel moves a microphone, so no page of another site may reach it through a visitor's browser.
A Host that is neither an address nor a name of ours is refused (a foreign name that points here is
how DNS rebinding works); a request that a browser marks as coming from another origin is refused;
and only the listed pages may show the panel in a frame.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableSequence
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.web.hosts import HostNames, refuse, same_host

_LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors "
)


def ancestors(origins: Iterable[str]) -> str:
    """The value of CSP's frame-ancestors: this page's own origin and `origins`.

    An origin on a loopback address stands for the others too, since `localhost` and
    `127.0.0.1` are the same page to the one who types them.
    """
    sources = ["'self'"]
    for origin in origins:
        parts = urlsplit(origin)
        port = f":{parts.port}" if parts.port else ""
        host = parts.netloc.removesuffix(port)
        for name in _LOOPBACK_NAMES if host in _LOOPBACK_NAMES else (host,):
            source = f"{parts.scheme}://{name}{port}"
            # A source list knows no IPv6 address; such a page is reached by its other names.
            if "[" not in name and source not in sources:
                sources.append(source)
    return " ".join(sources)


class Guard:
    """ASGI middleware round the whole panel.

    `names` are further host names to answer to, `embedders` the origins
    (`http://host:port`) of the pages that may show the panel in a frame; that list may change
    while the panel runs.
    """

    def __init__(
        self, app: ASGIApp, *, names: Iterable[str], embedders: MutableSequence[str]
    ) -> None:
        self._app = app
        self._names = HostNames(names)
        self._embedders = embedders

    def objection(self, scope: Scope) -> str | None:
        """Why this request is refused, in one line, or None."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._names.include(host):
            return f"This panel does not answer to the name {host!r}: use its address."
        origin = headers.get("origin")
        if origin is not None and not same_host(origin, host):
            return f"Pages of {origin} may not use this panel."
        # Browsers say whose page asks; the document itself may be opened from anywhere.
        site = headers.get("sec-fetch-site", "none")
        if scope["path"] != "/" and site not in ("none", "same-origin"):
            return "Pages of other sites may not use this panel."
        return None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        objection = self.objection(scope)
        if scope["type"] == "websocket":
            if objection is None:
                await self._app(scope, receive, send)
            else:
                await refuse(objection, scope, receive, send)
            return

        async def send_bound(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = _POLICY + ancestors(self._embedders)
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
                headers["Referrer-Policy"] = "no-referrer"
                headers["X-Content-Type-Options"] = "nosniff"
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        if objection is None:
            await self._app(scope, receive, send_bound)
        else:
            await refuse(objection, scope, receive, send_bound)
