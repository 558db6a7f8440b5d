"""The room server: one port for signaling, REST and the page, and the rooms behind it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import uvicorn

from appliance.hub import keys as keyring
from appliance.hub.archive import Archive
from appliance.hub.broadcasts import Stream
from appliance.hub.calls import Calls
from appliance.hub.config import HubConfig
from appliance.hub.errors import HubError, ListenError
from appliance.hub.gateway import Gateway, Limits
from appliance.hub.listener import check_addresses, check_tls, listen, url_of
from appliance.hub.mp4 import finish_interrupted
from appliance.hub.observers import RoomObservers
from appliance.hub.playbacks import Playbacks
from appliance.hub.previews import Previews
from appliance.hub.recordings import Recordings
from appliance.hub.request import Programme
from appliance.hub.room import Room
from appliance.hub.room_stage import RoomStage
from appliance.hub.rooms import Rooms
from appliance.hub.sessions import Sessions
from appliance.hub.site import Site
from appliance.hub.streamer import Streamer, StreamState
from appliance.hub.tasks import Tasks
from appliance.media.peer import Peer
from appliance.web.embedded import EmbeddedServer
from appliance.web.protocols import HttpProtocol, WebSocketProtocol

log = logging.getLogger(__name__)

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
        self._server: EmbeddedServer | None = None
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
        check_tls(config)
        check_addresses(config.addresses or ())
        keyring.prepare(config.data)
        self._keys = keys = keyring.load(config.data, self._environment)
        listener = listen(config.listen)
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
        archive.start()
        self._url = self._previews.base = url_of(listener, secure=config.cert is not None)
        site = Site(
            config,
            keys,
            archive=archive,
            rooms=self._rooms,
            previews=self._previews,
            gateway=self._gateway,
        )
        self._server = EmbeddedServer(self._uvicorn_config(site), patience=self.limits.connect)
        try:
            self._serving = await self._server.begin(listener, "hub server")
        except RuntimeError as error:
            raise ListenError(str(error)) from error.__cause__
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

    def _uvicorn_config(self, site: Site) -> uvicorn.Config:
        return uvicorn.Config(
            site.app(),
            http=partial(HttpProtocol, patience=self.limits.connect),  # type: ignore[arg-type]
            ws=WebSocketProtocol,
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
