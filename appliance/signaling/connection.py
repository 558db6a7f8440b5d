"""The WebSocket round :class:`~.client.ClientProtocol`: sockets, deadlines, reconnection."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Any, Final, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from appliance import __version__

from .address import cause, shown
from .client import (
    EXPIRY_NOTICE,
    PING_GRACE,
    Answered,
    ClientEvent,
    ClientProtocol,
    Draining,
    Ignored,
    Pinged,
    Ready,
    Received,
    Refused,
    Resume,
)
from .errors import (
    AuthError,
    Disconnected,
    ProtocolError,
    RequestTimeout,
    SignalingError,
    one_line,
)

__all__ = ["Connection", "ConnectionState", "retry_delay"]

logger = logging.getLogger(__name__)

# At level DEBUG websockets logs whole frames, and the first frame holds the token. So its logger
# stays at INFO, whatever the level of the root logger.
_wire_logger = logging.getLogger(f"{__name__}.wire")
_wire_logger.setLevel(logging.INFO)

#: Bytes of the largest frame taken. A full room (300 members, each with 2000 characters of meta,
#: named twice in ``video.room.subscribed``) makes about 1.7 MB.
MAX_FRAME: Final = 4 * 1024 * 1024
#: Seconds between WebSocket pings, and until one without an answer ends the socket. They find a
#: dead link also where the server sends no pings of its own.
WIRE_PING_INTERVAL: Final = 15.0
WIRE_PING_TIMEOUT: Final = 15.0
#: Seconds for the closing handshake. A server that is gone does not hold up the next attempt.
CLOSE_TIMEOUT: Final = 1.0
#: Seconds after which a connection counts as good, and the next loss as the first.
STABLE_AFTER: Final = 10.0
#: Seconds between looks at the clock for the end of the authorization, as in the browser SDK. The
#: clock of a device without battery jumps once it hears of the true time.
EXPIRY_CHECK: Final = 20.0


class ConnectionState(Enum):
    """What the connection is doing."""

    #: Made, and not opened yet; or the first attempt failed.
    IDLE = "idle"
    #: The first attempt is under way.
    CONNECTING = "connecting"
    #: There is a session.
    CONNECTED = "connected"
    #: The socket was lost. Attempts go on until one works or the token is refused.
    RECONNECTING = "reconnecting"
    #: Over, by :meth:`Connection.close` or by a refused token (:attr:`Connection.error`).
    CLOSED = "closed"


def retry_delay(attempt: int) -> float:
    """Seconds to wait before a reconnection; ``attempt`` counts from 0.

    Random, so that the devices of a building do not come back to a restarted server all at once:
    0.2 to 1 s before the first, then 1 to 4 s without growth, as the browser SDK has it.
    """
    return random.uniform(0.2, 1.0) if attempt == 0 else random.uniform(1.0, 4.0)


@dataclass(slots=True)
class _Call:
    method: str
    answer: asyncio.Future[dict[str, Any]]
    deadline: asyncio.TimerHandle | None = None


class Connection:
    """One session with a server, over as many sockets as it takes.

    All of it belongs to one event loop. The callbacks are plain functions; they run on that loop
    and must not block. An exception in one is logged and goes no further.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        agent: str = f"roomlet/{__version__}",
        on_event: Callable[[str, dict[str, Any]], None],
        on_state: Callable[[ConnectionState], None] | None = None,
        on_reconnected: Callable[[bool], None] | None = None,
        on_expiring: Callable[[], None] | None = None,
        resume: Resume | None = None,
        open_timeout: float = 10.0,
        request_timeout: float = 10.0,
        queue_timeout: float = 30.0,
        ping_grace: float = PING_GRACE,
        backoff: Callable[[int], float] = retry_delay,
    ) -> None:
        """Nothing is connected yet.

        Args:
            url: where to connect, from :func:`~.token.websocket_url`.
            token: the room token.
            agent: what the client calls itself.
            on_event: called with the type and the params of each event, after it was acknowledged.
                The params of ``webrtc.message`` are what :func:`~.verto.parse` reads.
            on_state: called at each change of :attr:`state`.
            on_reconnected: called after each reconnection; the argument tells whether the server
                took it as the same session, so that calls and member live on.
            on_expiring: called once for each authorization, 120 s before it ends, or at once where
                less is left. The owner then calls :meth:`reauthenticate` with a new token.
            resume: continues a session of an earlier process.
            open_timeout: seconds for the socket to open.
            request_timeout: seconds for the server to answer a request; then the socket is given
                up.
            queue_timeout: seconds that a request waits for a connection. A server keeps a call
                without its socket for about that long; later the request would be stale.
            ping_grace: seconds of silence, once the server has pinged, until the socket is given
                up.
            backoff: seconds before the reconnection of that number, from 0.
        """
        self.url = url
        self.on_event = on_event
        self.on_state = on_state
        self.on_reconnected = on_reconnected
        self.on_expiring = on_expiring
        #: Why the connection is closed, where nobody asked for it.
        self.error: SignalingError | None = None
        self._open_timeout = open_timeout
        self._request_timeout = request_timeout
        self._queue_timeout = queue_timeout
        self._ping_grace = ping_grace
        self._backoff = backoff
        self._agent = agent
        self._protocol = ClientProtocol(token, agent=agent, resume=resume)
        self._state = ConnectionState.IDLE
        self._name = shown(url)
        self._runner: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[dict[str, Any]] | None = None
        self._calls: dict[str, _Call] = {}
        self._renewal: asyncio.Future[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._expiry_told: float | None = None
        self._pumping = False
        # Of the current socket.
        self._lost: asyncio.Future[SignalingError | None] | None = None
        self._outbox: deque[str] = deque()
        self._wake = asyncio.Event()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._heard = 0.0
        self._ready_at: float | None = None
        self._complained = False

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def state(self) -> ConnectionState:
        """What the connection is doing."""
        return self._state

    @property
    def authorization(self) -> dict[str, Any]:
        """What the server grants; empty before the connection is open."""
        return self._protocol.authorization

    @property
    def ice_servers(self) -> list[dict[str, Any]]:
        """STUN and TURN servers that the server offers."""
        return self._protocol.ice_servers

    @property
    def protocol(self) -> str | None:
        """The name under which the server knows this session."""
        return self._protocol.protocol

    @property
    def resume(self) -> Resume | None:
        """What a later :class:`Connection` needs to be this session; None after :meth:`close`."""
        return self._protocol.resume

    async def open(self) -> dict[str, Any]:
        """Connect, once. Returns the server's answer: ``authorization``, ``ice_servers``, …

        Only a connection that was open reconnects by itself; one that fails to open may be opened
        again.

        Raises:
            AuthError: the server does not accept the token.
            Disconnected: the server cannot be reached, or closed the connection.
            RequestTimeout: the server did not answer ``signalwire.connect`` in time.
            ProtocolError: what answered is no room server.
        """
        if self._state is ConnectionState.CLOSED:
            raise Disconnected("the connection was closed; make a new one")
        if self._runner is not None:
            raise RuntimeError("open() runs or ran already")
        opened = self._opened = asyncio.get_running_loop().create_future()
        runner = self._runner = asyncio.create_task(self._run(opened), name="roomlet-signaling")
        try:
            return await asyncio.shield(opened)
        except asyncio.CancelledError:
            opened.cancel()
            await self.close()
            raise
        except SignalingError:
            await asyncio.wait({runner})
            self._runner = None
            raise

    async def request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Call the server and return what its answer says, unwrapped.

        While the connection is being restored the request waits for it, ``queue_timeout`` seconds
        at most.

        Raises:
            RpcError: the server answered with an error; PermissionDenied, NotFound where it was
                that.
            RequestTimeout: the server did not answer in time. It may have done what was asked.
            Disconnected: there is no connection, or it was lost before the answer came.
            ProtocolError: the answer is no object.
        """
        if self._state is ConnectionState.CLOSED:
            raise Disconnected(f"{method}: the connection is closed; make a new one")
        if self._state in (ConnectionState.IDLE, ConnectionState.CONNECTING):
            raise Disconnected(f"{method}: not connected yet; call open() first")
        return await self._answer(self._protocol.call(method, params), method)

    async def reauthenticate(self, token: str) -> dict[str, Any]:
        """Go on with a new token. Returns the authorization.

        While there is no session, the next attempt to get one uses the token.

        Raises:
            AuthError: the server does not accept the token; the old one stays.
            RequestTimeout, Disconnected: as :meth:`request`.
        """
        method = "signalwire.reauthenticate"
        if self._state is ConnectionState.CLOSED:
            raise Disconnected(f"{method}: the connection is closed; make a new one")
        identifier = self._protocol.reauthenticate(token)
        if identifier is not None:
            await self._answer(identifier, method)
            self._watch_expiry()
        return self.authorization

    async def reconnect(self) -> None:
        """Give up the present socket, at once, and resume the session on a fresh one.

        For an owner who has reason to think that the way to the server is dead, or has become
        another one. Returns when there is a session again. While a reconnection is under way
        this only waits for it. Requests under way fail with Disconnected.

        Raises:
            AuthError: the server does not accept the token any more; the connection is closed.
            Disconnected: the connection is closed, or was not opened yet.
        """
        if self._state is ConnectionState.CLOSED:
            raise self.error or Disconnected("reconnect: the connection is closed; make a new one")
        if self._state in (ConnectionState.IDLE, ConnectionState.CONNECTING):
            raise Disconnected("reconnect: not connected yet; call open() first")
        if self._renewal is None:
            self._renewal = asyncio.get_running_loop().create_future()
            if self._state is ConnectionState.CONNECTED:
                self._lose(Disconnected(f"giving up the connection to {self._name} on demand"))
        await asyncio.shield(self._renewal)

    async def close(self) -> None:
        """End the session. Requests that are not answered fail. Safe to repeat."""
        self._finish(None)
        runner = self._runner
        if runner is None:
            return
        try:
            if self._lost is not None:
                # The writer sends what is left, and then ends the socket; see _write().
                self._wake.set()
                await asyncio.wait({runner}, timeout=2 * CLOSE_TIMEOUT)
        finally:
            runner.cancel()
            await asyncio.wait({runner})

    # The life of the connection, in one task.

    async def _run(self, opened: asyncio.Future[dict[str, Any]]) -> None:
        """Attempt after attempt. Ends with the connection, or with a failed first attempt."""
        self._set_state(ConnectionState.CONNECTING)
        attempt = 0
        try:
            while True:
                try:
                    await self._attempt()
                    return
                except SignalingError as e:
                    error = e
                if isinstance(error, AuthError):
                    # The error's text keeps to the server's reason.
                    logger.debug("%s: refused with %s: %s", self._name, error.code, error.message)
                if self._state is ConnectionState.CLOSED:
                    return
                if not opened.done():
                    self._set_state(ConnectionState.IDLE)
                    opened.set_exception(error)
                    return
                if isinstance(error, AuthError):
                    logger.error("%s: %s", self._name, error)
                    self._finish(error)
                    return
                if self._was_stable():
                    attempt = 0
                if self._renewal is not None and self._ready_at is not None:
                    # This end was wanted. Where the next attempt fails, the usual patience begins.
                    logger.info("%s", error)
                    continue
                delay = self._backoff(attempt)
                logger.log(_level(attempt), "%s; next attempt in %.1f s", error, delay)
                attempt += 1
                await asyncio.sleep(delay)
        except Exception as e:
            logger.exception("the connection to %s failed on a mistake of its own", self._name)
            self._finish(Disconnected(f"internal error: {one_line(str(e))}; see the log"))
        finally:
            if self._state is not ConnectionState.IDLE:
                self._finish(None)
            if not opened.done():
                opened.set_exception(self.error or Disconnected("closed before it was open"))

    async def _attempt(self) -> None:
        """One socket, from its opening to its end.

        Returns when the connection was closed on demand.

        Raises:
            SignalingError: why it ended otherwise.
        """
        self._ready_at = None
        try:
            socket = await connect(
                self.url,
                open_timeout=self._open_timeout,
                close_timeout=CLOSE_TIMEOUT,
                ping_interval=WIRE_PING_INTERVAL,
                ping_timeout=WIRE_PING_TIMEOUT,
                max_size=MAX_FRAME,
                # Frames are few and small: not worth the memory and the processor.
                compression=None,
                user_agent_header=self._agent,
                logger=_wire_logger,
            )
        # ValueError: a port or a host name that cannot be.
        except (OSError, WebSocketException, ValueError, EOFError) as e:
            secure = self.url.lower().startswith("wss:")
            why = cause(e, secure=secure)
            raise Disconnected(f"cannot reach {self._name}: {why}") from e
        try:
            await self._serve(socket)
        finally:
            await socket.close()

    async def _serve(self, socket: ClientConnection) -> None:
        """The session on one open socket; ends as :meth:`_attempt`."""
        loop = asyncio.get_running_loop()
        lost = self._lost = loop.create_future()
        self._outbox.clear()
        self._wake.clear()
        self._complained = False
        tasks = [
            asyncio.create_task(self._read(socket), name="roomlet-signaling-read"),
            asyncio.create_task(self._write(socket), name="roomlet-signaling-write"),
        ]
        for task in tasks:
            task.add_done_callback(self._on_task_done)
        reason = "the connection was lost"
        try:
            self._protocol.connected()
            self._pump()
            if (error := await lost) is not None:
                reason = str(error)
                raise error
        finally:
            self._lost = None
            for timer in self._timers.values():
                timer.cancel()
            self._timers.clear()
            if self._state is ConnectionState.CONNECTED:
                self._set_state(ConnectionState.RECONNECTING)
            self._protocol.disconnected(reason)
            self._pump()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _read(self, socket: ClientConnection) -> None:
        loop = asyncio.get_running_loop()
        try:
            async for message in socket:
                self._heard = loop.time()
                try:
                    if isinstance(message, bytes):
                        raise ProtocolError("a frame is binary")
                    self._protocol.receive(message)
                except ProtocolError as e:
                    self._complain(str(e))
                self._pump()
        except ConnectionClosed:
            pass
        code, text = socket.close_code, one_line(socket.close_reason or "")
        what = " ".join(part for part in (f"code {code}" if code else "", text) if part)
        self._lose(Disconnected(f"lost the connection to {self._name} ({what or 'no goodbye'})"))

    async def _write(self, socket: ClientConnection) -> None:
        try:
            while True:
                while self._outbox:
                    await socket.send(self._outbox.popleft())
                if self._state is ConnectionState.CLOSED:
                    self._lose(None)
                    return
                self._wake.clear()
                await self._wake.wait()
        except ConnectionClosed:
            pass  # the reader tells

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("the connection to %s failed", self._name, exc_info=error)
            self._lose(Disconnected(f"internal error: {one_line(str(error))}; see the log"))

    def _lose(self, error: SignalingError | None) -> None:
        """End the life of the current socket; None when that was wanted."""
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(error)

    def _was_stable(self) -> bool:
        """Whether the last socket held long enough to take its loss as the first one."""
        now = asyncio.get_running_loop().time()
        return self._ready_at is not None and now - self._ready_at >= STABLE_AFTER

    def _finish(self, error: SignalingError | None) -> None:
        """The connection is over. Only the first call counts."""
        if self._state is ConnectionState.CLOSED:
            return
        self.error = error
        self._set_state(ConnectionState.CLOSED)
        self._renewed(error or Disconnected("reconnect: the connection was closed meanwhile"))
        self._protocol.close()
        self._pump()
        if self._expiry is not None:
            self._expiry.cancel()

    # Between the protocol and the socket.

    def _pump(self) -> None:
        """Carry on what the protocol has to send and to tell."""
        self._flush()
        if self._pumping:
            return  # called from a callback: the outer call goes on with the events, in order
        self._pumping = True
        try:
            while events := self._protocol.events():
                for event in events:
                    self._handle(event)
                self._flush()
        finally:
            self._pumping = False

    def _flush(self) -> None:
        for frame in self._protocol.frames_to_send():
            self._outbox.append(frame.text)
            self._wake.set()
            if frame.request_id is None:
                continue
            if (call := self._calls.get(frame.request_id)) is not None:
                self._set_deadline(call, self._request_timeout, self._on_overdue, frame.request_id)
            else:
                self._set_timer("connect", self._request_timeout, self._on_connect_overdue)

    def _handle(self, event: ClientEvent) -> None:
        match event:
            case Received(kind, params):
                if self._state is not ConnectionState.CLOSED:
                    self._notify(self.on_event, kind, params)
            case Answered(identifier, result, error):
                call = self._calls.get(identifier)
                if call is None or call.answer.done():
                    return
                if error is not None:
                    call.answer.set_exception(error)
                else:
                    call.answer.set_result(result or {})
            case Ready(result, resumed):
                self._on_ready(result, resumed)
            case Refused(error):
                self._lose(error)
            case Pinged():
                if "silence" not in self._timers:
                    self._set_timer("silence", self._ping_grace, self._on_silence)
            case Draining():
                self._set_timer("drain", self._request_timeout, self._on_not_closed)
            case Ignored(reason):
                logger.debug("%s: ignored %s", self._name, reason)

    def _on_ready(self, result: dict[str, Any], resumed: bool) -> None:
        if self._state is ConnectionState.CLOSED:
            return
        self._ready_at = asyncio.get_running_loop().time()
        if (timer := self._timers.pop("connect", None)) is not None:
            timer.cancel()
        self._set_state(ConnectionState.CONNECTED)
        if self._opened is not None and not self._opened.done():
            self._opened.set_result(result)
        else:
            what = "the same session" if resumed else "a new session"
            logger.info("connected to %s again, %s", self._name, what)
            self._notify(self.on_reconnected, resumed)
            self._renewed(None)
        self._watch_expiry()

    def _renewed(self, error: SignalingError | None) -> None:
        """Tell whoever wanted a fresh connection."""
        renewal, self._renewal = self._renewal, None
        if renewal is None or renewal.done():
            return
        if error is None:
            renewal.set_result(None)
        else:
            renewal.set_exception(error)
            renewal.exception()  # whoever waited may have given up

    # Requests and their deadlines.

    async def _answer(self, identifier: str, method: str) -> dict[str, Any]:
        call = _Call(method, asyncio.get_running_loop().create_future())
        self._calls[identifier] = call
        self._set_deadline(call, self._queue_timeout, self._on_stale, identifier)
        self._pump()
        try:
            return await call.answer
        finally:
            del self._calls[identifier]
            if call.deadline is not None:
                call.deadline.cancel()
            self._protocol.forget(identifier)

    def _set_deadline(
        self, call: _Call, delay: float, then: Callable[[str], None], identifier: str
    ) -> None:
        if call.deadline is not None:
            call.deadline.cancel()
        call.deadline = asyncio.get_running_loop().call_later(delay, then, identifier)

    def _set_timer(self, name: str, delay: float, then: Callable[[], None]) -> None:
        if (timer := self._timers.get(name)) is not None:
            timer.cancel()
        self._timers[name] = asyncio.get_running_loop().call_later(delay, then)

    def _on_overdue(self, identifier: str) -> None:
        call = self._calls[identifier]
        text = f"{call.method}: no answer from {self._name} in {self._request_timeout:g} s"
        if not call.answer.done():
            self._protocol.forget(identifier)
            call.answer.set_exception(RequestTimeout(f"{text}; trying a new connection"))
            self._lose(Disconnected(text))

    def _on_stale(self, identifier: str) -> None:
        call = self._calls[identifier]
        if not call.answer.done():
            self._protocol.forget(identifier)
            text = f"{call.method}: no connection to {self._name} for {self._queue_timeout:g} s"
            call.answer.set_exception(Disconnected(f"{text}; try again when it is back"))

    def _on_connect_overdue(self) -> None:
        text = f"signalwire.connect: no answer from {self._name} in {self._request_timeout:g} s"
        self._lose(RequestTimeout(f"{text}; is it a room server?"))

    def _on_silence(self) -> None:
        left = self._heard + self._ping_grace - asyncio.get_running_loop().time()
        if left > 0:
            self._set_timer("silence", left, self._on_silence)
        else:
            self._lose(Disconnected(f"{self._name} was silent for {self._ping_grace:g} s"))

    def _on_not_closed(self) -> None:
        self._lose(Disconnected(f"{self._name} said that it would close the connection"))

    def _watch_expiry(self) -> None:
        """Tell the owner once when the authorization is about to end."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        ends = self._protocol.expires_at
        if ends is None or ends == self._expiry_told or self._state is ConnectionState.CLOSED:
            return
        left = ends - time.time()
        if left > EXPIRY_NOTICE:
            loop = asyncio.get_running_loop()
            delay = min(left - EXPIRY_NOTICE, EXPIRY_CHECK)
            self._expiry = loop.call_later(delay, self._watch_expiry)
            return
        self._expiry_told = ends
        if self.on_expiring is None:
            logger.warning("the authorization ends in %.0f s, and nothing renews it", left)
        self._notify(self.on_expiring)

    # Telling.

    def _set_state(self, state: ConnectionState) -> None:
        if state is not self._state:
            self._state = state
            self._notify(self.on_state, state)

    def _notify(self, callback: Callable[..., None] | None, *args: object) -> None:
        if callback is None:
            return
        try:
            callback(*args)
        except Exception:
            logger.exception("a callback of the connection to %s failed", self._name)

    def _complain(self, what: str) -> None:
        """One warning a socket: a server that talks nonsense must not fill the log."""
        level = logging.DEBUG if self._complained else logging.WARNING
        self._complained = True
        logger.log(level, "ignored a frame from %s: %s", self._name, what)


def _level(attempt: int) -> int:
    """The first loss is news; a server that stays away is not."""
    if attempt == 0:
        return logging.WARNING
    return logging.INFO if attempt < 5 else logging.DEBUG
