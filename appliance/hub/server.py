"""The room server: one port for signaling, REST and the page, and the rooms behind it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

import appliance
from appliance.hub import keys as keyring
from appliance.hub.archive import Archive
from appliance.hub.broadcasts import Stream
from appliance.hub.calls import Calls
from appliance.hub.config import HubConfig, parse_address
from appliance.hub.errors import HubError, ListenError, SettingError
from appliance.hub.gateway import Gateway, Limits
from appliance.hub.mp4 import finish_interrupted
from appliance.hub.observers import RoomObservers
from appliance.hub.playbacks import Playbacks
from appliance.hub.previews import PREFIX, Previews
from appliance.hub.programme import Programme
from appliance.hub.recordings import Recordings
from appliance.hub.rest import ERROR_HANDLERS, Rest
from appliance.hub.room_options import RoomDefaults
from appliance.hub.rooms import Room, Rooms, RoomStage
from appliance.hub.sessions import Sessions
from appliance.hub.streamer import Streamer, StreamState
from appliance.hub.tasks import Tasks
from appliance.media.peer import Peer

log = logging.getLogger(__name__)

PAGE: Final = Path(__file__).with_name("page")

#: Seconds for everything to end by itself at stop().
STOP_TIMEOUT: Final = 5.0


class HubServer:
    """A room server in this process.

    `environment` is read for the keys (see `keys.load`), the process's own where it is None.
    `stage` and `peer` make the media side of a room and of a leg; tests put others in their place.
    """

    def __init__(
        self,
        config: HubConfig,
        *,
        limits: Limits | None = None,
        environment: Mapping[str, str] | None = None,
        stage: Callable[[Room], RoomStage] | None = None,
        peer: Callable[[], Peer] | None = None,
    ) -> None:
        self.config: Final = config
        self.limits: Final = limits or Limits()
        self._environment = environment
        self._stage = stage or self._make_stage
        self._peer = peer or self._make_peer
        self._tasks = Tasks()
        self._keys: keyring.Keys | None = None
        self._archive: Archive | None = None
        self._previews: Previews | None = None
        self._rooms: Rooms | None = None
        self._sessions: Sessions | None = None
        self._gateway: Gateway | None = None
        self._server: _Uvicorn | None = None
        self._serving: asyncio.Task[None] | None = None
        self._url = ""

    @property
    def keys(self) -> keyring.Keys:
        """The project id and the API token; after start()."""
        assert self._keys is not None, "the hub is not started"
        return self._keys

    @property
    def rooms(self) -> Rooms:
        """The rooms that are open just now; after start()."""
        assert self._rooms is not None, "the hub is not started"
        return self._rooms

    @property
    def url(self) -> str:
        """Where the page is, with the port that the hub really has; after start()."""
        return self._url

    @property
    def websocket_url(self) -> str:
        """Where clients connect; after start()."""
        return "ws" + self._url.removeprefix("http")

    async def start(self) -> None:
        """Listen. Raises HubError, whose text is one line for the user."""
        config = self.config
        _check_tls(config)
        keyring.prepare(config.data)
        self._keys = keys = keyring.load(config.data, self._environment)
        listener = _listen(config.listen)
        self._archive = archive = Archive(
            config.data, self._tasks, make_stream=self._make_stream, finish=finish_interrupted
        )
        try:
            await archive.open(config.open_rooms)
        except BaseException:
            listener.close()
            await archive.close()
            raise
        self._previews = Previews(self._tasks, config.data / "previews")
        self._previews.clear()
        programme = Programme(
            Recordings(archive.journal, self._tasks, config.data / "recordings"),
            Playbacks(self._tasks, config.data / "media"),
            archive.broadcasts,
        )
        node_id = f"{uuid.uuid4()}@roomlet"
        self._rooms = Rooms(
            project=keys.project,
            stage=self._stage,
            auto_create=config.auto_create_rooms,
            stored=archive.directory.named,
            observer=RoomObservers(
                archive.observer, programme.recordings, programme.playbacks, self._previews
            ),
            layout=config.layout,
            max_members=config.max_members,
        )
        calls = Calls(
            self._rooms, peer=self._peer, media_timeout=self.limits.media, tasks=self._tasks
        )
        self._sessions = calls.sessions = Sessions(
            project=keys.project,
            node_id=node_id,
            grace=self.limits.grace,
            on_end=calls.end_session,
        )
        self._gateway = Gateway(
            sessions=self._sessions,
            calls=calls,
            programme=programme,
            key=keys.signing_key,
            node_id=node_id,
            limits=self.limits,
        )
        archive.start(self._rooms)
        host, port = listener.getsockname()[:2]
        scheme = "http" if config.cert is None else "https"
        self._url = self._previews.base = f"{scheme}://{_reachable(host)}:{port}"
        self._server = _Uvicorn(self._uvicorn_config())
        self._serving = asyncio.create_task(self._server.serve([listener]), name="hub server")
        await self._server.up(self._serving)
        log.debug("the hub listens at %s", self._url)

    async def stop(self) -> None:
        """End all calls and close all sockets. Safe to call twice, or without start()."""
        if self._gateway is not None:
            await self._gateway.close()
        if self._sessions is not None:
            self._sessions.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT):
                await self._tasks.drain()
        await self._tasks.close()
        if self._rooms is not None:
            await self._rooms.close()
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving
        if self._archive is not None:
            await self._archive.close()

    async def wait_stopped(self) -> None:
        """Wait until the server has ended, by stop() or by itself. Raises what ended it."""
        if self._serving is not None:
            await asyncio.shield(self._serving)

    def _make_stage(self, room: Room) -> RoomStage:
        from appliance.hub.stage import Stage

        config, options = self.config, room.options
        sizes = {"720p": (1280, 720), "1080p": (1920, 1080)}
        width, height = sizes.get(options.quality or "", (config.width, config.height))
        return Stage(
            room.display_name,
            width=width,
            height=height,
            rate=options.fps or config.rate,
            on_level=room.level,
        )

    def _make_stream(
        self, room: Room, url: str, on_change: Callable[[StreamState], None]
    ) -> Stream:
        return Streamer(room.stage, url, on_change=on_change)

    def _make_peer(self) -> Peer:
        return Peer(addresses=self.config.media_addresses)

    # HTTP

    def _app(self) -> Starlette:
        archive, config = self._archive, self.config
        assert archive is not None, "the hub is not started"
        assert self._previews is not None
        rest = Rest(
            self.keys,
            frozenset(config.open_rooms),
            store=archive.store,
            directory=archive.directory,
            rooms=self.rooms,
            streams=archive.streams,
            defaults=RoomDefaults(
                max_members=config.max_members,
                quality="1080p" if config.height > 720 else "720p",
                fps=config.rate,
                layout=config.layout,
            ),
        )
        return Starlette(
            routes=[
                Route("/", self._index),
                WebSocketRoute("/", self._socket),
                WebSocketRoute("/ws", self._socket),
                Route("/health", self._health),
                Route("/demo.json", self._demo),
                *rest.routes(),
                Route(f"{PREFIX}/{{name}}.mp4", self._previews.get),
                Mount("/static", StaticFiles(directory=PAGE, check_dir=False)),
            ],
            exception_handlers=ERROR_HANDLERS,
            middleware=[Middleware(_Headers, policy=self._policy())],
        )

    def _policy(self) -> str:
        panels = " ".join(panel.url for panel in self.config.panels) or "'none'"
        return (
            "default-src 'self'; media-src 'self' blob: mediastream:; img-src 'self' data: blob:; "
            f"frame-src {panels}; frame-ancestors 'self'; object-src 'none'; base-uri 'none'; "
            "form-action 'self'"
        )

    async def _socket(self, websocket: WebSocket) -> None:
        assert self._gateway is not None
        await self._gateway.serve(websocket)

    async def _index(self, _request: Request) -> Response:
        # Not cached: with the next version of the hub comes the next version of its page.
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})

    async def _health(self, _request: Request) -> Response:
        return JSONResponse(
            {
                "status": "ok",
                "version": appliance.__version__,
                "rooms": len(self.rooms),
                "members": sum(len(room.members) for room in self.rooms),
            }
        )

    async def _demo(self, _request: Request) -> Response:
        if not self.config.panels:
            return JSONResponse({"panels": []}, 404)
        return JSONResponse({"panels": [panel.model_dump() for panel in self.config.panels]})

    def _uvicorn_config(self) -> uvicorn.Config:
        return uvicorn.Config(
            self._app(),
            ws="websockets-sansio",
            ws_max_size=self.limits.message_bytes,
            # signalwire.ping does it, and asks more of the client than its browser's answer.
            ws_ping_interval=None,
            ws_ping_timeout=None,
            # Of HTTP and WebSocket together; more get 503.
            limit_concurrency=2 * self.limits.sockets,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(STOP_TIMEOUT),
            ssl_certfile=self.config.cert,
            ssl_keyfile=self.config.key,
        )


async def serve(config: HubConfig, on_ready: Callable[[str], None], stop: asyncio.Event) -> None:
    """Run a hub until `stop` is set.

    `on_ready` is called with the page's URL once the hub listens. Raises HubError.
    """
    server = HubServer(config)
    stopped = asyncio.create_task(stop.wait(), name="hub stop")
    try:
        await server.start()
        on_ready(server.url)
        ended = asyncio.create_task(server.wait_stopped(), name="hub end")
        try:
            await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                ended.result()
                raise HubError("the hub's server has ended by itself; start the hub again")
        finally:
            ended.cancel()
    finally:
        stopped.cancel()
        await server.stop()


class _Uvicorn(uvicorn.Server):
    """uvicorn without its hands on the process's signals."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._up.set()

    async def up(self, serving: asyncio.Task[None]) -> None:
        """Wait until it accepts connections. Raises HubError."""
        waiting = asyncio.create_task(self._up.wait())
        await asyncio.wait({waiting, serving}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            raise ListenError("the HTTP server did not start; see the log") from (
                None if serving.cancelled() else serving.exception()
            )


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


def _listen(address: str) -> socket.socket:
    """A bound socket. Raises ListenError."""
    host, port = parse_address(address)
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror:
        raise ListenError(
            f"cannot listen on {address}: {host} is no address of this machine;"
            " give another with --listen"
        ) from None
    listener = socket.socket(family, kind, protocol)
    try:
        # A port that was in use a moment ago may be taken again.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(target)
        listener.listen(128)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        reasons = {
            errno.EADDRINUSE: "the port is taken; end the other program or choose another port",
            errno.EACCES: "this port needs more rights; choose one above 1023",
            errno.EADDRNOTAVAIL: f"{host} is no address of this machine; give another",
        }
        reason = reasons.get(error.errno or 0, error.strerror or "no reason given")
        raise ListenError(f"cannot listen on {address}: {reason} with --listen") from error
    return listener


def _check_tls(config: HubConfig) -> None:
    """Whether the configured certificate can be used. Raises SettingError."""
    cert, key = config.cert, config.key
    if cert is None or key is None:
        return
    for path in (cert, key):
        try:
            path.open("rb").close()
        except OSError as error:
            reason = (error.strerror or "cannot be read").lower()
            raise SettingError(f"{path}: {reason}; mend its path or its rights") from None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: b"")
    except (ssl.SSLError, ValueError):
        raise SettingError(
            f"{cert} and {key} are no certificate with its unencrypted key (PEM);"
            " give a pair that belongs together"
        ) from None


def _reachable(host: str) -> str:
    """The host as it stands in a URL; for a wildcard the loopback."""
    if host in ("0.0.0.0", ""):
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host
