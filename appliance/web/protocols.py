"""uvicorn's protocols, with an end to what it would wait for without end."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

__all__ = ["HttpProtocol", "WebSocketProtocol"]

_INVALID_TEXT: Final = 1007


class HttpProtocol(H11Protocol):
    """One connection, which has `patience` seconds for each request up to its last header.

    uvicorn itself counts the time between two requests only: who stops in the middle of one would
    keep its place for ever.
    """

    def __init__(self, *arguments: Any, patience: float, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._patience = patience
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """The time runs while no request is being answered."""
        # None before the first one, whatever its declaration says.
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._rest()
        elif self._timer is None:
            self._timer = self.loop.call_later(self._patience, self._too_late)

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_late(self) -> None:
        self._timer = None
        protocol = self.transport.get_protocol()
        # As a WebSocket the connection has a protocol of its own. Once that has begun its gateway
        # looks after it; it does not begin where the two layers disagree about a request.
        if not getattr(protocol, "handshake_initiated", False):
            self.transport.abort()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket, which whatever a client sends closes without a traceback in the log."""

    async def send(self, message: Any) -> None:
        if self.handshake_complete and self.close_sent:
            # Closed over a bad frame, of which the application has not heard yet.
            raise ClientDisconnected
        await super().send(message)

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.fail(_INVALID_TEXT, "text must be UTF-8")
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()
