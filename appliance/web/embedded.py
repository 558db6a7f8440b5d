"""A web server inside a program that does more than serve."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import Any, Final

import uvicorn

from appliance.web.seldom import SeldomWarnings

__all__ = ["EmbeddedServer"]

_PATIENCE: Final = 10.0
"""Seconds."""


class EmbeddedServer(uvicorn.Server):
    """uvicorn without its hands on the process's signals, and that says when it is up.

    Its visitors have `patience` seconds for a TLS handshake, and as many to end one. What they do
    wrong is told in the log, once a minute at most.
    """

    def __init__(self, config: uvicorn.Config, *, patience: float = _PATIENCE) -> None:
        super().__init__(config)
        self._patience = patience
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

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `should_exit` is set."""
        logger, seldom = logging.getLogger("uvicorn.error"), SeldomWarnings()
        logger.addFilter(seldom)
        try:
            await super().serve(sockets)
        finally:
            logger.removeFilter(seldom)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, and tell who waits in `begin`."""
        # uvicorn itself has no way to say how long a handshake may take.
        await super().startup([])
        options: dict[str, Any] = {"backlog": self.config.backlog}
        if self.config.ssl is not None:
            options |= {
                "ssl": self.config.ssl,
                "ssl_handshake_timeout": self._patience,
                "ssl_shutdown_timeout": self._patience,
            }
        loop = asyncio.get_running_loop()
        for listener in sockets or []:
            self.servers.append(await loop.create_server(self._protocol, sock=listener, **options))
        self._up.set()

    def _protocol(self) -> asyncio.Protocol:
        """For a new connection; as uvicorn makes it."""
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made
