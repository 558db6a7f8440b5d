"""The sockets: each brings one client, speaks the protocol, and is kept within its limits.

Whatever a client sends or fails to read, the worst that comes of it is the end of its own socket.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from appliance.hub import rpc
from appliance.hub.calls import Calls
from appliance.hub.errors import TokenError
from appliance.hub.request import Programme
from appliance.hub.sessions import Session, Sessions
from appliance.hub.tokens import verify
from appliance.signaling.errors import one_line
from appliance.signaling.server import (
    AUTH_FAILED,
    METHOD_NOT_FOUND,
    Connect,
    Incoming,
    Reauthenticate,
    Rpc,
    ServerProtocol,
    VertoCall,
)

log = logging.getLogger(__name__)

# WebSocket close codes (RFC 6455, and its registry).
GOING_AWAY: Final = 1001
UNSUPPORTED: Final = 1003
POLICY: Final = 1008
RESTART: Final = 1012
TRY_AGAIN: Final = 1013


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one client may take, and how long it is waited for. Times in seconds."""

    #: Sockets at a time, of all clients together.
    sockets: int = 500
    #: Bytes of one message; an offer with every codec of a browser has some 10,000.
    message_bytes: int = 262_144
    #: Messages that may come at once, and a second in the long run, acknowledgements not counted.
    #: A busy page sends a few.
    burst: int = 400
    rate: float = 100.0
    #: Events that one client's messages may make the hub send, at once and a second in the long
    #: run: it is read more slowly then. What a message costs is what it tells others, and that
    #: grows with the room. 2000 take about an eighth of a core.
    events_burst: int = 10_000
    events_rate: float = 2000.0
    #: From the socket to `signalwire.connect`.
    connect: float = 10.0
    #: Between pings. Clients of the service know this period, and give up after 15.
    ping: float = 10.0
    #: For one message to be taken by the client's machine.
    send: float = 10.0
    #: How long a client may be gone and come back as the same member. The service outlives an
    #: outage of 15, and clients need some more to notice it and to connect.
    grace: float = 45.0
    #: How long a leg may be without working media.
    media: float = 45.0


class Gateway:
    """All sockets of the hub."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        calls: Calls,
        programme: Programme,
        key: bytes,
        node_id: str,
        limits: Limits,
    ) -> None:
        self.sessions: Final = sessions
        self.calls: Final = calls
        self.programme: Final = programme
        self.key: Final = key
        self.node_id: Final = node_id
        self.limits: Final = limits
        #: Events sent over all sockets.
        self.events = 0
        self._sockets: set[_Socket] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._sockets)

    async def serve(self, websocket: WebSocket) -> None:
        """Talk with one client until its socket is closed."""
        if self._closed or len(self._sockets) >= self.limits.sockets:
            await websocket.close(TRY_AGAIN)
            return
        socket = _Socket(self, websocket)
        self._sockets.add(socket)
        try:
            await websocket.accept()
            await socket.run()
        finally:
            self._sockets.discard(socket)
            socket.gone.set()

    async def close(self) -> None:
        """Close all sockets; clients may come back, to this hub or the next."""
        self._closed = True
        for socket in self._sockets:
            socket.disconnect()
        gone = [asyncio.ensure_future(socket.gone.wait()) for socket in self._sockets]
        if gone:
            _, late = await asyncio.wait(gone, timeout=self.limits.send)
            for socket in self._sockets:
                socket.abort()
            if late:
                await asyncio.wait(late)


class _Socket:
    """One WebSocket, its protocol, and the session that it carries."""

    def __init__(self, gateway: Gateway, websocket: WebSocket) -> None:
        self.gone = asyncio.Event()
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._gateway = gateway
        self._limits = gateway.limits
        self._websocket = websocket
        self._protocol = ServerProtocol(gateway.node_id)
        self._session: Session | None = None
        self._wake = asyncio.Event()
        self._close_code: int | None = None
        self._loop = asyncio.get_running_loop()
        #: When the writer has to act without being woken.
        self._deadline = self._loop.time() + self._limits.connect
        limits, now = self._limits, self._loop.time()
        self._messages = _Bucket(limits.rate, limits.burst, now)
        self._events = _Bucket(limits.events_rate, limits.events_burst, now)

    async def run(self) -> None:
        """Read and write until either side closes, or a limit is reached."""
        reader = asyncio.create_task(self._read(), name="socket reader")
        writer = asyncio.create_task(self._write(), name="socket writer")
        self._tasks = (reader, writer)
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            if self._closing:
                # The last frames, and the reason, are still to be sent.
                await asyncio.wait({writer}, timeout=self._limits.send)
        finally:
            for task in (reader, writer):
                task.cancel()
            results = await asyncio.gather(reader, writer, return_exceptions=True)
            if self._session is not None:
                self._detach(self._session)
        for result in results:
            # A lost connection is how most sockets end.
            if isinstance(result, Exception) and not isinstance(
                result, WebSocketDisconnect | OSError | TimeoutError
            ):
                log.error("a socket failed: %s", result, exc_info=result)

    def _detach(self, session: Session) -> None:
        if session.link is not self:
            return
        self._gateway.sessions.detach(session, self)
        who, room, address = session.who, session.token.room_name, session.address
        if not session.legs:
            log.info("%s has disconnected from room %s (%s)", who, room, address)
        elif self._close_code != RESTART:
            text = "%s has lost the connection to room %s (%s), and may come back within %g s"
            log.info(text, who, room, address, self._limits.grace)

    def abort(self) -> None:
        """End at once, whatever is still to be sent."""
        for task in self._tasks:
            task.cancel()

    @property
    def _closing(self) -> bool:
        return self._close_code is not None or self._protocol.closing is not None

    # What the session asks for

    def event(self, params: Mapping[str, Any]) -> None:
        """Send one event."""
        self._gateway.events += 1
        self._protocol.event(params)
        self._wake.set()

    def unacked_events(self) -> list[Mapping[str, Any]]:
        """The events that the client may not have got."""
        return self._protocol.unacked_events()

    def close(self, reason: str) -> None:
        """Close the socket once what waits is sent."""
        log.info("a socket is closed: %s", reason)
        self._close_code = self._close_code or GOING_AWAY
        self._wake.set()

    def disconnect(self) -> None:
        """Say good-bye, and close."""
        if self._protocol.connected:
            self._protocol.disconnect()
        self._close_code = self._close_code or RESTART
        self._wake.set()

    # Reading

    async def _read(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text, debt = message.get("text"), 0.0
            if text is None:
                self._close_code = UNSUPPORTED
            else:
                answered = self._protocol.answered
                incoming = self._protocol.receive(text)
                now = self._loop.time()
                if self._protocol.answered == answered and self._messages.take(1, now):
                    log.warning("a client sends more than %g messages a second", self._limits.rate)
                    self._close_code = POLICY
                elif incoming is not None:
                    debt = self._work(incoming, now)
            self._wake.set()
            if self._closing:
                return
            if debt:
                # What it has sent meanwhile waits with its own machine.
                await asyncio.sleep(debt)

    def _work(self, incoming: Incoming, now: float) -> float:
        """Do what a message asks for. Returns for how many seconds the next one has to wait."""
        before = self._gateway.events
        self._do(incoming)
        return self._events.take(self._gateway.events - before, now)

    def _do(self, incoming: Incoming) -> None:
        if isinstance(incoming, Connect):
            self._connect(incoming)
            return
        session = self._session
        if session is None:
            return
        if isinstance(incoming, Reauthenticate):
            self._reauthenticate(session, incoming)
        elif isinstance(incoming, VertoCall):
            self._gateway.calls.handle(session, self._protocol, incoming)
        else:
            self._rpc(session, incoming)

    def _connect(self, connect: Connect) -> None:
        gateway = self._gateway
        session = gateway.sessions.find(connect.protocol, connect.authorization_state)
        try:
            options = verify(connect.token, gateway.key, joined=session is not None)
        except TokenError as error:
            self._refuse(connect, error)
            return
        if session is not None and not session.token.same_client(options):
            session = None
            try:
                options = verify(connect.token, gateway.key)
            except TokenError as error:
                self._refuse(connect, error)
                return
        resumed = session is not None
        if session is None:
            session = gateway.sessions.create(options)
        # What the client became in the room it stays.
        session.token = options
        session.origin = _origin(self._websocket)
        session.address = _address(self._websocket)
        self._session = session
        self._deadline = self._loop.time() + self._limits.ping
        gateway.sessions.attach(session, self)
        self._protocol.accept(connect, session.connect_result())
        session.send_authorization_state()
        if resumed:
            session.flush()
        log.info(
            "%s %s room %s as %s (%s, %s)",
            session.who,
            "is back in" if resumed else "has connected to",
            options.room_name,
            session.options.join_as,
            session.address,
            one_line(connect.agent) or "unnamed client",
        )

    def _refuse(self, connect: Connect, error: TokenError) -> None:
        log.info("a client (%s) was refused: %s", _address(self._websocket), error)
        # The service's words, with the cause where it has none.
        text = f"Authentication service failed with status ProtocolError, 401 Unauthorized: {error}"
        self._protocol.refuse(connect, AUTH_FAILED, text)

    def _reauthenticate(self, session: Session, request: Reauthenticate) -> None:
        try:
            options = verify(request.token, self._gateway.key)
        except TokenError as error:
            text = f"Authentication service failed with status ProtocolError, 401: {error}"
            self._protocol.fail(request.id, AUTH_FAILED, text)
            return
        if not session.token.same_client(options):
            text = "the new token is for another room, or for another way to take part"
            self._protocol.fail(request.id, AUTH_FAILED, text)
            return
        session.token = options
        self._protocol.reply(request.id, session.connect_result())
        session.send_authorization_state()

    def _rpc(self, session: Session, request: Rpc) -> None:
        gateway = self._gateway
        answer = rpc.call(session, gateway.calls, gateway.programme, request.method, request.params)
        if answer is None:
            text = f"there is no method {request.method[:80]}"
            self._protocol.fail(request.id, METHOD_NOT_FOUND, text)
            return
        result, then = answer
        self._protocol.reply(request.id, result)
        if then is not None:
            then()

    # Writing

    async def _write(self) -> None:
        while True:
            await self._send_waiting()
            if self._closing:
                closing = self._protocol.closing
                code = self._close_code or (closing.value if closing is not None else GOING_AWAY)
                async with asyncio.timeout(self._limits.send):
                    await self._websocket.close(code)
                return
            self._wake.clear()
            try:
                async with asyncio.timeout_at(self._deadline):
                    await self._wake.wait()
            except TimeoutError:
                if not self._protocol.connected:
                    self._close_code = POLICY
                else:
                    self._protocol.ping(time.time())
                self._deadline = self._loop.time() + self._limits.ping

    async def _send_waiting(self) -> None:
        while (frame := self._protocol.next_frame()) is not None:
            async with asyncio.timeout(self._limits.send):
                await self._websocket.send_text(frame)
            # To a socket that takes everything, and to one that is broken, nothing above waits:
            # the loop must learn that it is broken, and look after others in between.
            await asyncio.sleep(0)
            if not self._protocol.connected and self._loop.time() >= self._deadline:
                # A slow reader must not stay longer than one who says nothing.
                self._close_code = POLICY
                return


class _Bucket:
    """Tokens that come at a rate, up to a burst."""

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._last = now

    def take(self, tokens: int, now: float) -> float:
        """Take so many, there or not. Returns the seconds until what is owed has come."""
        grown = self._tokens + (now - self._last) * self._rate
        self._tokens, self._last = min(grown, self._burst) - tokens, now
        return max(0.0, -self._tokens / self._rate)


def _origin(websocket: WebSocket) -> str:
    """How the client reaches the web server on the same port."""
    scheme = "https" if websocket.url.scheme == "wss" else "http"
    return f"{scheme}://{websocket.url.netloc}"


def _address(websocket: WebSocket) -> str:
    """Where the client is, as the log has it; a proxy in front tells it."""
    client = websocket.client
    return (one_line(client.host) if client is not None else "") or "unknown address"
