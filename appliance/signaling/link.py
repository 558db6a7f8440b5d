"""One WebSocket, from its opening to its end."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from .address import cause
from .errors import Disconnected, SignalingError, one_line

__all__ = ["Link", "open_socket"]

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


async def open_socket(
    url: str, name: str, *, agent: str, open_timeout: float, close_timeout: float
) -> ClientConnection:
    """A socket to ``url``, which the texts call ``name``. Timeouts in seconds.

    Raises:
        Disconnected: the server cannot be reached.
    """
    try:
        return await connect(
            url,
            open_timeout=open_timeout,
            close_timeout=close_timeout,
            ping_interval=WIRE_PING_INTERVAL,
            ping_timeout=WIRE_PING_TIMEOUT,
            max_size=MAX_FRAME,
            # Frames are few and small: not worth the memory and the processor.
            compression=None,
            user_agent_header=agent,
            logger=_wire_logger,
        )
    # ValueError: a port or a host name that cannot be.
    except (OSError, WebSocketException, ValueError, EOFError) as e:
        why = cause(e, secure=url.lower().startswith("wss:"))
        raise Disconnected(f"cannot reach {name}: {why}") from e


class Link:
    """What goes over one open socket, the timers that watch it, and its end."""

    def __init__(
        self, socket: ClientConnection, name: str, on_frame: Callable[[str | bytes], None]
    ) -> None:
        """Reads and writes from now on. ``on_frame`` takes each frame; ``name`` is for texts."""
        self._socket = socket
        self._name = name
        self._on_frame = on_frame
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[SignalingError | None] = self._loop.create_future()
        self._outbox: deque[str] = deque()
        self._wake = asyncio.Event()
        self._finishing = False
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._heard = self._loop.time()
        self._tasks = [
            asyncio.create_task(self._read(), name="roomlet-signaling-read"),
            asyncio.create_task(self._write(), name="roomlet-signaling-write"),
        ]
        for task in self._tasks:
            task.add_done_callback(self._on_task_done)

    def send(self, text: str) -> None:
        """Send a frame, after those before it."""
        self._outbox.append(text)
        self._wake.set()

    def finish(self) -> None:
        """Send what is left, then end as wanted."""
        self._finishing = True
        self._wake.set()

    def lose(self, error: SignalingError | None) -> None:
        """End now; None when that was wanted. Only the first reason counts."""
        if not self._end.done():
            self._end.set_result(error)

    async def ended(self) -> SignalingError | None:
        """Wait for the end. Returns its reason; None when it was wanted."""
        return await self._end

    async def stop(self) -> None:
        """Stop reading, writing and watching. The socket is the owner's to close."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    def set_timer(self, name: str, delay: float, then: Callable[[], None]) -> None:
        """Call ``then`` in ``delay`` seconds, unless the timer of that name is set anew."""
        self.clear_timer(name)
        self._timers[name] = self._loop.call_later(delay, then)

    def clear_timer(self, name: str) -> None:
        """Forget the timer of that name, if there is one."""
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()

    def watch_silence(self, grace: float) -> None:
        """From now on, ``grace`` seconds without a frame end it. Safe to repeat."""
        if "silence" not in self._timers:
            self.set_timer("silence", grace, lambda: self._on_silence(grace))

    def _on_silence(self, grace: float) -> None:
        left = self._heard + grace - self._loop.time()
        if left > 0:
            self.set_timer("silence", left, lambda: self._on_silence(grace))
        else:
            self.lose(Disconnected(f"{self._name} was silent for {grace:g} s"))

    async def _read(self) -> None:
        try:
            async for message in self._socket:
                self._heard = self._loop.time()
                self._on_frame(message)
        except ConnectionClosed:
            pass
        code, text = self._socket.close_code, one_line(self._socket.close_reason or "")
        what = " ".join(part for part in (f"code {code}" if code else "", text) if part)
        self.lose(Disconnected(f"lost the connection to {self._name} ({what or 'no goodbye'})"))

    async def _write(self) -> None:
        try:
            while True:
                while self._outbox:
                    await self._socket.send(self._outbox.popleft())
                if self._finishing:
                    self.lose(None)
                    return
                self._wake.clear()
                await self._wake.wait()
        except ConnectionClosed:
            pass  # the reader tells

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("the connection to %s failed", self._name, exc_info=error)
            self.lose(Disconnected(f"internal error: {one_line(str(error))}; see the log"))
