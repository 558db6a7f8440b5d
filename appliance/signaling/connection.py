"""The session round :class:`~.client.ClientProtocol`: socket after socket, until it is closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from enum import Enum
from types import TracebackType
from typing import Any, Final, Self

from appliance import __version__

from .address import shown
from .client import ClientProtocol
from .client_session import Resume
from .errors import AuthError, Disconnected, SignalingError, one_line
from .exchange import Exchange
from .expiry import ExpiryWatch
from .link import open_socket
from .reconnect import ReconnectLogic, retry_delay

__all__ = ["Connection", "ConnectionState"]

logger = logging.getLogger(__name__)

#: Seconds without a sign of the server, after its first ping, until it counts as gone. The cloud
#: pings every 10 s; the browser SDK waits 15 s.
PING_GRACE: Final = 15.0


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
        close_timeout: float = 1.0,
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
            close_timeout: seconds for the closing handshake. A server that is gone does not hold up
                the next attempt.
            backoff: seconds before the reconnection of that number, from 0.
        """
        self.url = url
        self.on_event = on_event
        self.on_state = on_state
        self.on_reconnected = on_reconnected
        self.on_expiring = on_expiring
        #: Why the connection is closed, where nobody asked for it.
        self.error: SignalingError | None = None
        #: Why there is no session now though there was one; None while there is one.
        self.trouble: SignalingError | None = None
        self._open_timeout = open_timeout
        self._close_timeout = close_timeout
        self._agent = agent
        self._name = shown(url)
        self._exchange = Exchange(
            ClientProtocol(token, agent=agent, resume=resume),
            self._name,
            request_timeout=request_timeout,
            queue_timeout=queue_timeout,
            ping_grace=ping_grace,
            on_event=self._on_event,
            on_ready=self._on_ready,
            on_lost=self._on_lost,
        )
        self._session = self._exchange.session
        self._expiry = ExpiryWatch(lambda: self._session.expires_at, self._on_expiring)
        self._reconnect = ReconnectLogic(backoff)
        self._state = ConnectionState.IDLE
        self._runner: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[dict[str, Any]] | None = None
        self._renewal: asyncio.Future[None] | None = None

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
        return self._session.authorization

    @property
    def ice_servers(self) -> list[dict[str, Any]]:
        """STUN and TURN servers that the server offers."""
        return self._session.ice_servers

    @property
    def protocol(self) -> str | None:
        """The name under which the server knows this session."""
        return self._session.protocol

    @property
    def resume(self) -> Resume | None:
        """What a later :class:`Connection` needs to be this session; None after :meth:`close`."""
        return self._session.resume

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
        return await self._exchange.call(method, params)

    async def reauthenticate(self, token: str) -> dict[str, Any]:
        """Go on with a new token. Returns the authorization.

        While there is no session, the next attempt to get one uses the token.

        Raises:
            AuthError: the server does not accept the token; the old one stays.
            RequestTimeout, Disconnected: as :meth:`request`.
        """
        if self._state is ConnectionState.CLOSED:
            raise Disconnected(
                "signalwire.reauthenticate: the connection is closed; make a new one"
            )
        if await self._exchange.reauthenticate(token):
            self._expiry.look()
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
                why = f"giving up the connection to {self._name} on demand"
                self._exchange.lose(Disconnected(why))
        await asyncio.shield(self._renewal)

    async def close(self) -> None:
        """End the session. Requests that are not answered fail. Safe to repeat."""
        self._finish(None)
        runner = self._runner
        if runner is None:
            return
        try:
            if self._exchange.finish():
                await asyncio.wait({runner}, timeout=2 * self._close_timeout)
        finally:
            runner.cancel()
            await asyncio.wait({runner})

    # The life of the connection, in one task.

    async def _run(self, opened: asyncio.Future[dict[str, Any]]) -> None:
        """Attempt after attempt. Ends with the connection, or with a failed first attempt."""
        self._set_state(ConnectionState.CONNECTING)
        try:
            while True:
                self._reconnect.attempting()
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
                self._reconnect.lost()
                if self._renewal is not None and self._reconnect.had_session:
                    # This end was wanted. Where the next attempt fails, the usual patience begins.
                    logger.info("%s", error)
                    continue
                self.trouble = error
                delay, level = self._reconnect.next()
                logger.log(level, "%s; next attempt in %.1f s", error, delay)
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
        socket = await open_socket(
            self.url,
            self._name,
            agent=self._agent,
            open_timeout=self._open_timeout,
            close_timeout=self._close_timeout,
        )
        try:
            await self._exchange.serve(socket)
        finally:
            await socket.close()

    def _finish(self, error: SignalingError | None) -> None:
        """The connection is over. Only the first call counts."""
        if self._state is ConnectionState.CLOSED:
            return
        self.error = error
        self._set_state(ConnectionState.CLOSED)
        self._renewed(error or Disconnected("reconnect: the connection was closed meanwhile"))
        self._exchange.close()
        self._expiry.stop()

    # What the exchange tells.

    def _on_event(self, kind: str, params: dict[str, Any]) -> None:
        if self._state is not ConnectionState.CLOSED:
            self._notify(self.on_event, kind, params)

    def _on_lost(self) -> None:
        if self._state is ConnectionState.CONNECTED:
            self._set_state(ConnectionState.RECONNECTING)

    def _on_ready(self, result: dict[str, Any], resumed: bool) -> None:
        if self._state is ConnectionState.CLOSED:
            return
        self.trouble = None
        self._reconnect.ready()
        self._set_state(ConnectionState.CONNECTED)
        if self._opened is not None and not self._opened.done():
            self._opened.set_result(result)
        else:
            what = "the same session" if resumed else "a new session"
            logger.info("connected to %s again, %s", self._name, what)
            self._notify(self.on_reconnected, resumed)
            self._renewed(None)
        self._expiry.look()

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

    def _on_expiring(self, left: float) -> None:
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
