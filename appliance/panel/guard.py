"""Who may talk to the panel: checks of Host and Origin, and the headers that bind a browser.

The panel moves a microphone, so no page of another site may reach it through a visitor's browser.
A Host that is neither an address nor a name of ours is refused (a foreign name that points here is
how DNS rebinding works); a request that a browser marks as coming from another origin is refused;
and only the listed pages may show the panel in a frame.  What changes something, and a socket
that comes with a cookie, has to say its origin: every browser does, so that nothing is believed
for want of a word.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableSequence
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.panel.documents import LOGIN, PANEL
from appliance.web.hosts import HostNames, refuse, same_host

_LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")

_SCRIPTS: Final = " ".join([*PANEL.scripts, *LOGIN.scripts])
_STYLES: Final = " ".join(dict.fromkeys([*PANEL.styles, *LOGIN.styles]))
_POLICY: Final = (
    f"default-src 'none'; script-src {_SCRIPTS}; style-src {_STYLES}; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors "
)
"""No script and no style runs but those that stand in our documents."""

_DOCUMENTS: Final = ("/", "/login")
"""What may be opened from a link or a frame."""

_READING: Final = ("GET", "HEAD")


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


def _own(origin: str, host: str, scheme: str) -> bool:
    """Whether a page's origin is this panel.  One that came by TLS is another than what somebody on
    the way may serve without it; in front of a panel without TLS there may be a proxy with."""
    return same_host(origin, host) and not (
        scheme in ("https", "wss") and not origin.lower().startswith("https:")
    )


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
        if origin is not None and not _own(origin, host, scope["scheme"]):
            return f"Pages of {origin} may not use this panel."
        reading = scope.get("method") in _READING
        acts = "cookie" in headers if scope["type"] == "websocket" else not reading
        if origin is None and acts:
            return "A request that changes something has to say its Origin."
        # Browsers say whose page asks; a document may be opened from anywhere.
        site = headers.get("sec-fetch-site", "none")
        opens = reading and scope["path"] in _DOCUMENTS
        if not opens and site not in ("none", "same-origin"):
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
                # With no-referrer the form's Origin would be null.
                headers["Referrer-Policy"] = "same-origin"
                headers["X-Content-Type-Options"] = "nosniff"
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        if objection is None:
            await self._app(scope, receive, send_bound)
        else:
            await refuse(objection, scope, receive, send_bound)
