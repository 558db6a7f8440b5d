"""A WebSocket server that plays one script a connection, faults included."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

PROTOCOL = "signalwire_sig_4c1b_proj"

SESSION: dict[str, Any] = {
    "identity": "i@n",
    "protocol": PROTOCOL,
    "authorization": {"type": "video", "signature": "sig", "project_id": "proj"},
    "ice_servers": [],
}


class Peer:
    """The server's end of one connection."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        #: Every frame of the client, in order.
        self.frames: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        """The next frame of the client."""
        frame: dict[str, Any] = json.loads(await self.socket.recv())
        self.frames.append(frame)
        return frame

    async def request(self) -> dict[str, Any]:
        """The next request of the client; its answers to us are passed over."""
        while "method" not in (frame := await self.receive()):
            pass
        return frame

    async def send(self, frame: dict[str, Any] | str | bytes) -> None:
        await self.socket.send(json.dumps(frame) if isinstance(frame, dict) else frame)

    async def answer(self, request: dict[str, Any], result: Any) -> None:
        await self.send({"jsonrpc": "2.0", "id": request["id"], "result": result})

    async def refuse(self, request: dict[str, Any], code: Any, message: Any) -> None:
        error = {"code": code, "message": message}
        await self.send({"jsonrpc": "2.0", "id": request["id"], "error": error})

    async def let_in(self, **session: Any) -> dict[str, Any]:
        """Accept ``signalwire.connect``; returns its params."""
        connect = await self.receive()
        assert connect["method"] == "signalwire.connect"
        await self.answer(connect, {**SESSION, **session})
        params: dict[str, Any] = connect["params"]
        return params

    async def ask(self, method: str, params: dict[str, Any] | None = None, id: str = "s") -> None:  # noqa: A002
        await self.send({"jsonrpc": "2.0", "id": id, "method": method, "params": params or {}})

    async def event(self, kind: str, params: dict[str, Any], id: str = "e") -> None:  # noqa: A002
        await self.ask("signalwire.event", {"event_type": kind, "params": params}, id)

    async def serve(self) -> None:
        """Answer every request with success, until the client leaves."""
        while True:
            request = await self.request()
            await self.answer(request, {"code": "200", "echo": request["params"]})

    async def gone(self) -> None:
        """Wait until the client has left."""
        await self.socket.wait_closed()


Script = Callable[[Peer], Awaitable[None]]


class ScriptedServer:
    """Plays ``scripts`` to the connections in their order. A script that ends closes its socket."""

    def __init__(self, *scripts: Script, **options: Any) -> None:
        self.scripts = list(scripts)
        #: The connections so far.
        self.peers: list[Peer] = []
        self._options = options
        self._failures: list[BaseException] = []
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        options = {"compression": None, "close_timeout": 1, **self._options}
        self._server = await serve(self._play, "127.0.0.1", 0, **options)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()
        if self._failures:
            raise self._failures[0]

    @property
    def url(self) -> str:
        assert self._server is not None
        port = next(iter(self._server.sockets)).getsockname()[1]
        return f"ws://127.0.0.1:{port}"

    async def _play(self, socket: ServerConnection) -> None:
        peer = Peer(socket)
        self.peers.append(peer)
        try:
            assert len(self.peers) <= len(self.scripts), "a connection more than expected"
            with contextlib.suppress(ConnectionClosed):
                await self.scripts[len(self.peers) - 1](peer)
        except asyncio.CancelledError:
            raise
        except BaseException as e:
            self._failures.append(e)
