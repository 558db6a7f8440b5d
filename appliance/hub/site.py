"""What the hub serves by HTTP: signaling, the page, REST, previews and the state of its health."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

import appliance
from appliance.hub.archive import Archive
from appliance.hub.config import HubConfig
from appliance.hub.gateway import Gateway
from appliance.hub.keys import Keys
from appliance.hub.previews import PREFIX, Previews
from appliance.hub.rest import ERROR_HANDLERS, Rest
from appliance.hub.room_options import RoomDefaults
from appliance.hub.rooms import Rooms
from appliance.web.hosts import HostGuard, HostNames

__all__ = ["PAGE", "Site"]

PAGE: Final = Path(__file__).with_name("page")


class Site:
    """The routes of one hub, and what holds for all of them."""

    def __init__(
        self,
        config: HubConfig,
        keys: Keys,
        *,
        archive: Archive,
        rooms: Rooms,
        previews: Previews,
        gateway: Gateway,
    ) -> None:
        self._config = config
        self._rooms = rooms
        self._gateway = gateway
        rest = Rest(
            keys,
            frozenset(config.open_rooms),
            store=archive.store,
            directory=archive.directory,
            rooms=rooms,
            streams=archive.streams,
            defaults=RoomDefaults(
                max_members=config.max_members,
                quality="1080p" if config.height > 720 else "720p",
                fps=config.rate,
                layout=config.layout,
            ),
        )
        self._routes = [
            Route("/", self._index),
            WebSocketRoute("/", self._socket),
            WebSocketRoute("/ws", self._socket),
            Route("/health", self._health),
            Route("/demo.json", self._demo),
            *rest.routes(),
            Route(f"{PREFIX}/{{name}}.mp4", previews.get),
            Mount("/static", StaticFiles(directory=PAGE, packages=[("appliance.web", "page")])),
        ]

    def app(self) -> ASGIApp:
        """The ASGI application."""
        middleware = [Middleware(_Headers, policy=self._policy())]
        if self._config.cert is None:
            # With a certificate browsers check the name themselves.
            names = HostNames(self._config.host_names)
            remedy = "use the hub's address, or start the hub with --allowed-host for this name"
            middleware.append(Middleware(HostGuard, names=names, remedy=remedy))
        return Starlette(
            routes=self._routes, exception_handlers=ERROR_HANDLERS, middleware=middleware
        )

    def _policy(self) -> str:
        panels = " ".join(panel.url for panel in self._config.panels) or "'none'"
        return (
            "default-src 'self'; media-src 'self' blob: mediastream:; img-src 'self' data: blob:; "
            f"frame-src {panels}; frame-ancestors 'self'; object-src 'none'; base-uri 'none'; "
            "form-action 'self'"
        )

    async def _socket(self, websocket: WebSocket) -> None:
        await self._gateway.serve(websocket)

    async def _index(self, _request: Request) -> Response:
        # Not cached: with the next version of the hub comes the next version of its page.
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})

    async def _health(self, _request: Request) -> Response:
        return JSONResponse(
            {
                "status": "ok",
                "version": appliance.__version__,
                "rooms": len(self._rooms),
                "members": sum(len(room.members) for room in self._rooms),
            }
        )

    async def _demo(self, _request: Request) -> Response:
        if not self._config.panels:
            return JSONResponse({"panels": []}, 404)
        return JSONResponse({"panels": [panel.model_dump() for panel in self._config.panels]})


class _Headers:
    """The headers that every answer of the hub has."""

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self._app = app
        self._headers = [
            (b"content-security-policy", policy.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
