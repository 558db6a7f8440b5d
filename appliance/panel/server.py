"""The panel's server: one small HTTP and WebSocket service on the device itself.

=====================  ============================================================
GET /                  the page
GET /api/state         `PanelState` as JSON
GET /api/report        the device's measurements as JSON
GET /api/bundle        what helps to find a fault, as a zip file
WebSocket /api/live    state on each change, presses (see `appliance.panel.live`)
GET /screen.mjpg       what the screen shows, multipart JPEG, at most 10 a second
GET /screen.jpg        one picture of it
GET /self.mjpg         what the camera sends; /self.jpg: one picture of it
GET /login             with a PIN: the way in; POST /login, POST /logout
GET /api/session       whether there is a PIN; without a session 401, as anywhere
=====================  ============================================================
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Self

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route, WebSocketRoute

from appliance.panel.access import Access
from appliance.panel.device import PanelDevice, PanelError
from appliance.panel.documents import PANEL
from appliance.panel.door import Door, admitted
from appliance.panel.guard import Guard
from appliance.panel.live import Live, state_json
from appliance.panel.maintenance import Maintenance
from appliance.panel.picture import PictureFeed
from appliance.panel.tls import Tls
from appliance.provisioning.values import is_loopback
from appliance.web import SHARED
from appliance.web.embedded import EmbeddedServer
from appliance.web.listener import Listener
from appliance.web.protocols import HttpProtocol, WebSocketProtocol

_ICON: Final = "/favicon.svg"
"""The one part of the pages that is asked for by itself; nothing in it is secret."""
_BOUNDARY: Final = b"picture"
_COMMAND_BYTES: Final = 4096
"""Longest message that the live socket takes."""
_GRACE: Final = 5
"""Seconds that `Panel.stop` lets running answers finish."""
_PATIENCE: Final = 10.0
"""Seconds for a TLS handshake, and for a request up to its last header."""
_CONNECTIONS: Final = 64
"""Connections at once, beyond which none is taken: the room must not run out of files."""
_CONNECTIONS_EACH: Final = 16
"""Of them from one address: a page has up to four, a browser may have several pages."""
_BACKLOG: Final = 256
"""Connections that wait to be looked at; what is too many is closed when it is its turn."""


class ListenError(PanelError, OSError):
    """The panel cannot listen where it was told to."""


def parse_listen(listen: str) -> tuple[str, int]:
    """Host and port of `host:port` (`[::1]:8081` for IPv6).  Raises ListenError."""
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ListenError(
            f"cannot listen on {listen!r}: write an address and a port, as in 127.0.0.1:8081"
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


class Panel:
    """The panel of one device.

    `listen` is `host:port`; port 0 takes a free one.  `hosts` are further names to answer to
    when it listens beyond the loopback address.  `embed_origins` are the origins
    (`http://host:port`) of pages that may show the panel in a frame; the list may be changed
    while the panel runs.  With `access` visitors need a session of it, with `tls` they come by
    https.  Beyond this machine it listens only with one of them, or raises ListenError.
    Without `maintenance` the page has no cards for whoever does that.
    """

    def __init__(
        self,
        device: PanelDevice,
        listen: str = "127.0.0.1:8081",
        *,
        embed_origins: Sequence[str] = (),
        hosts: Sequence[str] = (),
        access: Access | None = None,
        tls: Tls | None = None,
        maintenance: Maintenance | None = None,
    ) -> None:
        self.embed_origins: list[str] = list(embed_origins)
        self._device = device
        self._maintenance = maintenance
        self._host, self._port = parse_listen(listen)
        if access is None and (tls is None or tls.client_ca is None) and not is_loopback(listen):
            raise ListenError(
                f"cannot listen on {listen} without a PIN or client certificates;"
                " give one of them, or listen on 127.0.0.1"
            )
        self._access = access
        self._tls = tls
        self._shown = b""
        self._unsubscribe: Callable[[], None] = lambda: None
        self._hosts = tuple(hosts)
        self._server: EmbeddedServer | None = None
        self._serving: asyncio.Task[None] | None = None
        self._live: Live | None = None
        self._feeds: dict[str, PictureFeed] = {}

    @property
    def url(self) -> str:
        """Where the page is, with the port really taken; valid after `start`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http{'' if self._tls is None else 's'}://{host}:{self._port}/"

    @property
    def viewers(self) -> int:
        """How many pages are open now."""
        return self._live.viewers if self._live is not None else 0

    async def start(self) -> None:
        """Listen and serve; at an address that this machine has yet to get, from then on.  Raises
        ListenError when the address is none or the port cannot be had, and TlsError."""
        if self._serving is not None:
            raise RuntimeError("the panel is running already")
        secure = {}
        if self._tls is not None:
            secure, self._shown = self._tls.options(), self._tls.fingerprint()
        listener = self._bind()
        self._live = Live(self._device, self._maintenance)
        if self._access is not None:
            self._unsubscribe = self._access.subscribe(self._live.wake)
        self._feeds = {
            "screen": PictureFeed(self._device.screen),
            "self": PictureFeed(self._device.self_view),
        }
        self._server = EmbeddedServer(
            uvicorn.Config(
                self._app(self._live),
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                http=partial(HttpProtocol, patience=_PATIENCE),  # type: ignore[arg-type]
                ws=WebSocketProtocol,
                ws_max_size=_COMMAND_BYTES,
                timeout_graceful_shutdown=_GRACE,
                # So many are looked at before the loop turns to the room again: milliseconds.
                backlog=_BACKLOG,
                # The word of whoever asks would make each guess one from another address.
                proxy_headers=False,
                **secure,
            ),
            patience=_PATIENCE,
        )
        try:
            self._serving = await self._server.begin(listener, "panel-server")
        except RuntimeError as error:
            raise ListenError(f"the panel: {error}") from error.__cause__

    def outdated(self) -> bool:
        """Whether its certificate was renewed, so that it should be begun anew.  Raises TlsError
        where what is in the files now cannot be used."""
        if self._tls is None or self._tls.fingerprint() == self._shown:
            return False
        self._tls.options()
        return True

    async def stop(self) -> None:
        """End every page's sockets and pictures, then the server.  Safe to call twice."""
        serving, self._serving = self._serving, None
        if serving is None or self._server is None or self._live is None:
            return
        self._unsubscribe()
        self._live.close()
        for feed in self._feeds.values():
            await feed.close()
        self._server.should_exit = True
        await serving

    async def __aenter__(self) -> Self:
        """Start; the same as `start`."""
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop; the same as `stop`."""
        await self.stop()

    def _bind(self) -> socket.socket:
        where = f"{self._host}:{self._port}"
        try:
            listener = Listener(
                self._host,
                self._port,
                name="the panel",
                most=_CONNECTIONS,
                most_each=_CONNECTIONS_EACH,
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ListenError(
                    f"the panel cannot listen on {where}: the port is taken;"
                    " stop the other program or choose another port"
                ) from error
            raise ListenError(
                f"the panel cannot listen on {where}: {error.strerror or error};"
                " choose an address of this machine and a free port above 1023"
            ) from error
        self._port = listener.getsockname()[1]
        return listener

    def _app(self, live: Live) -> Starlette:
        whole = PANEL.text()

        async def page(_: Request) -> Response:
            return HTMLResponse(whole)

        async def icon(_: Request) -> Response:
            return FileResponse(SHARED / _ICON.lstrip("/"))

        async def state(_: Request) -> Response:
            return Response(
                state_json(self._device),
                media_type="application/json",
                headers={"Cache-Control": "no-store"},
            )

        async def report(_: Request) -> Response:
            return JSONResponse(dict(self._device.report()), headers={"Cache-Control": "no-store"})

        async def bundle(_: Request) -> Response:
            if self._maintenance is None:
                return PlainTextResponse("This device makes no bundle.\n", 404)
            name = re.sub(r"[^A-Za-z0-9-]+", "-", self._device.state().name).strip("-")
            day = time.strftime("%Y%m%d-%H%M")
            return Response(
                await self._maintenance.bundle(),
                media_type="application/zip",
                headers={
                    "Cache-Control": "no-store",
                    "Content-Disposition": f'attachment; filename="roomlet-{name}-{day}.zip"',
                },
            )

        async def still(request: Request) -> Response:
            return Response(
                await self._feeds[_stem(request)].snapshot(),
                media_type="image/jpeg",
                headers={"Cache-Control": "no-store"},
            )

        async def moving(request: Request) -> Response:
            return StreamingResponse(
                _multipart(self._feeds[_stem(request)], admitted(request)),
                media_type=f"multipart/x-mixed-replace; boundary={_BOUNDARY.decode()}",
                headers={"Cache-Control": "no-store"},
            )

        async def session(_: Request) -> Response:
            told = {"pin": self._access is not None}
            return JSONResponse(told, headers={"Cache-Control": "no-store"})

        middleware = [Middleware(Guard, names=self._hosts, embedders=self.embed_origins)]
        door: list[Route] = []
        if self._access is not None:
            way_in = Door(
                self._access, port=self._port, secure=self._tls is not None, public=(_ICON,)
            )
            middleware.append(Middleware(way_in.middleware))
            door = way_in.routes()
        return Starlette(
            routes=[
                Route("/", page),
                *door,
                Route("/api/session", session),
                Route(_ICON, icon),
                Route("/api/state", state),
                Route("/api/report", report),
                Route("/api/bundle", bundle),
                WebSocketRoute("/api/live", live.serve),
                *(Route(f"/{what}.jpg", still) for what in self._feeds),
                *(Route(f"/{what}.mjpg", moving) for what in self._feeds),
            ],
            middleware=middleware,
        )


def _stem(request: Request) -> str:
    return Path(request.url.path).stem


async def _multipart(feed: PictureFeed, allowed: Callable[[], bool]) -> AsyncIterator[bytes]:
    # Chromium shows a picture only when it has seen the head of the part after it, so each picture
    # is sent with the next one's head; and that is why no head can tell a length.
    head = b"--" + _BOUNDARY + b"\r\nContent-Type: image/jpeg\r\n\r\n"
    pictures = feed.pictures()
    async with contextlib.aclosing(pictures):
        yield head
        async for jpeg in pictures:
            if not allowed():
                return
            yield jpeg + b"\r\n" + head
