"""A web server inside a program that does more than serve."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn

__all__ = ["EmbeddedServer"]


class EmbeddedServer(uvicorn.Server):
    """uvicorn without its hands on the process's signals, and that says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._up = asyncio.Event()

    async def begin(self, listener: socket.socket, name: str) -> asyncio.Task[None]:
        """Serve in a task of this name from now on, and return it once connections are accepted.

        The task ends after `should_exit` is set. Raises RuntimeError when it ends before it
        accepts anything.
        """
        serving = asyncio.create_task(self.serve([listener]), name=name)
        waiting = asyncio.create_task(self._up.wait())
        try:
            await asyncio.wait({waiting, serving}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            serving.cancel()
            await asyncio.wait({serving})
            raise
        finally:
            waiting.cancel()
        if not self._up.is_set():
            raise RuntimeError("the HTTP server did not start; see the log") from (
                None if serving.cancelled() else serving.exception()
            )
        return serving

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the program."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, and tell who waits in `begin`."""
        await super().startup(sockets)
        self._up.set()
