"""What goes on between the client's protocol and its socket: frames, events and deadlines."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from websockets.asyncio.client import ClientConnection

from .client import ClientProtocol
from .client_events import (
    Answered,
    ClientEvent,
    Draining,
    Ignored,
    Pinged,
    Ready,
    Received,
    Refused,
)
from .client_session import ClientSession
from .errors import Disconnected, ProtocolError, RequestTimeout, SignalingError
from .link import Link
from .pending import PendingRequests

__all__ = ["Exchange"]

logger = logging.getLogger(__name__)


class Exchange:
    """One protocol over one socket at a time. Its callbacks must not raise."""

    def __init__(
        self,
        protocol: ClientProtocol,
        name: str,
        *,
        request_timeout: float,
        queue_timeout: float,
        ping_grace: float,
        on_event: Callable[[str, dict[str, Any]], None],
        on_ready: Callable[[dict[str, Any], bool], None],
        on_lost: Callable[[], None],
    ) -> None:
        """Nothing goes on before :meth:`serve`.

        Args:
            protocol: the session. It is used through this object alone from now on.
            name: what the texts call the server.
            request_timeout: seconds for the server to answer a request, or to close the socket
                when it said that it would.
            queue_timeout: seconds that a request waits for a socket.
            ping_grace: seconds of silence, once the server has pinged, that end the socket.
            on_event: told the type and the params of each event of the server.
            on_ready: told that there is a session: the server's answer, and whether it is the one
                of the socket before.
            on_lost: told that the socket is over, before the requests on it fail.
        """
        self._protocol = protocol
        self._name = name
        self._request_timeout = request_timeout
        self._ping_grace = ping_grace
        self._on_event = on_event
        self._on_ready = on_ready
        self._on_lost = on_lost
        self._requests = PendingRequests(
            name,
            answer_timeout=request_timeout,
            queue_timeout=queue_timeout,
            forget=protocol.forget,
            on_overdue=lambda text: self.lose(Disconnected(text)),
        )
        self._pumping = False
        # Of the current socket.
        self._link: Link | None = None
        self._complained = False

    @property
    def session(self) -> ClientSession:
        """What is known of the session."""
        return self._protocol.session

    async def serve(self, socket: ClientConnection) -> None:
        """The session on one open socket, until it is over. The socket is the caller's to close.

        Returns when :meth:`finish` was called.

        Raises:
            SignalingError: why it ended otherwise.
        """
        self._complained = False
        link = self._link = Link(socket, self._name, self._receive)
        reason = "the connection was lost"
        try:
            self._protocol.connected()
            self._pump()
            if (error := await link.ended()) is not None:
                reason = str(error)
                raise error
        finally:
            self._link = None
            self._on_lost()
            self._protocol.disconnected(reason)
            self._pump()
            await link.stop()

    async def call(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Call the server, as soon as there is a session, and return what its answer says.

        Raises:
            SignalingError: what the server answered instead, or why no answer came.
        """
        identifier = self._protocol.call(method, params)
        return await self._requests.answer(identifier, method, self._pump)

    async def reauthenticate(self, token: str) -> bool:
        """Go on with a new token. False where the next socket will use it.

        Raises:
            SignalingError: as :meth:`call`.
        """
        identifier = self._protocol.reauthenticate(token)
        if identifier is None:
            return False
        await self._requests.answer(identifier, "signalwire.reauthenticate", self._pump)
        return True

    def lose(self, error: SignalingError) -> None:
        """Give up the present socket, if there is one, for that reason."""
        if self._link is not None:
            self._link.lose(error)

    def close(self) -> None:
        """The session is over: requests fail, and nothing remains to resume."""
        self._protocol.close()
        self._pump()

    def finish(self) -> bool:
        """Let :meth:`serve` send what is left, and end. False where there is no socket."""
        if self._link is None:
            return False
        self._link.finish()
        return True

    def _receive(self, message: str | bytes) -> None:
        try:
            if isinstance(message, bytes):
                raise ProtocolError("a frame is binary")
            self._protocol.receive(message)
        except ProtocolError as e:
            # One warning a socket: a server that talks nonsense must not fill the log.
            level = logging.DEBUG if self._complained else logging.WARNING
            self._complained = True
            logger.log(level, "ignored a frame from %s: %s", self._name, e)
        self._pump()

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
        link, frames = self._link, self._protocol.frames_to_send()
        if link is None:
            return  # nothing is said between two sockets
        for frame in frames:
            link.send(frame.text)
            if frame.request_id is not None and not self._requests.sent(frame.request_id):
                link.set_timer("connect", self._request_timeout, self._on_connect_overdue)

    def _handle(self, event: ClientEvent) -> None:
        link = self._link
        match event:
            case Received(kind, params):
                self._on_event(kind, params)
            case Answered():
                self._requests.settle(event)
            case Ready(result, resumed):
                if link is not None:
                    link.clear_timer("connect")
                self._on_ready(result, resumed)
            case Refused(error):
                self.lose(error)
            case Pinged() if link is not None:
                link.watch_silence(self._ping_grace)
            case Draining() if link is not None:
                link.set_timer("drain", self._request_timeout, self._on_not_closed)
            case Ignored(reason):
                logger.debug("%s: ignored %s", self._name, reason)

    def _on_connect_overdue(self) -> None:
        text = f"signalwire.connect: no answer from {self._name} in {self._request_timeout:g} s"
        self.lose(RequestTimeout(f"{text}; is it a room server?"))

    def _on_not_closed(self) -> None:
        self.lose(Disconnected(f"{self._name} said that it would close the connection"))
