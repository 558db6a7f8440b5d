"""What two parties say to each other over a WebSocket, written down on the way."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

Message = dict[str, Any]
Party = Literal["client", "hub"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One message, who sent it, and the number of the call that was made then."""

    sender: Party
    message: Message
    call: int

    @property
    def is_request(self) -> bool:
        """Whether an answer is due."""
        return "method" in self.message

    @property
    def verto(self) -> Message:
        """The Verto message inside, empty where there is none."""
        params = self.message.get("params") or {}
        if self.message.get("method") == "video.message":
            inner: Message = params["message"]
        elif params.get("event_type") == "webrtc.message":
            inner = params["params"]
        else:
            inner = {}
        return inner


class WireTape:
    """Stands between one client and the hub, and passes on every frame as it is."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._server: Server | None = None
        self._sockets: set[ServerConnection] = set()
        self.frames: list[Frame] = []
        #: The number of the call that is made now; it is written beside each frame.
        self.call = 0
        #: How many sockets there were.
        self.sockets = 0
        # What is still due on the present socket, in words, by what it is waited for with.
        self._due: dict[object, str] = {}
        #: Calls by the id of the message that began them.
        self._invites: dict[str, str] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def before(cls, target: str) -> AsyncIterator[WireTape]:
        """Between a hub and whoever connects to `url` instead, until the block ends."""
        tape = cls(target)
        async with serve(
            tape._carry, "127.0.0.1", 0, max_size=None, compression=None, ping_interval=None
        ) as server:
            tape._server = server
            yield tape

    @property
    def url(self) -> str:
        """Where the client is to connect."""
        assert self._server is not None
        return f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}"

    @property
    def open(self) -> bool:
        """Whether a client is connected."""
        return bool(self._sockets)

    @property
    def due(self) -> list[str]:
        """What has to come yet, on either side, until nothing of the call is under way."""
        return list(self._due.values())

    def sent(self, call: int) -> list[Frame]:
        """What the client sent in a call."""
        return [one for one in self.frames if one.sender == "client" and one.call == call]

    async def cut(self) -> None:
        """Drop the socket without a word, at both ends; a new one is taken."""
        sockets = list(self._sockets)
        for socket in sockets:
            socket.transport.abort()
        for socket in sockets:
            await socket.wait_closed()

    async def _carry(self, client: ServerConnection) -> None:
        self._due.clear()
        self.sockets += 1
        self._sockets.add(client)
        try:
            async with connect(
                self._target, max_size=None, compression=None, ping_interval=None
            ) as hub:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._pour(client, hub, "client"))
                    tasks.create_task(self._pour(hub, client, "hub"))
        finally:
            self._sockets.discard(client)
            if not self._sockets:
                self._due.clear()

    async def _pour(
        self,
        source: ServerConnection | ClientConnection,
        target: ServerConnection | ClientConnection,
        sender: Party,
    ) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for text in source:
                frame = Frame(sender, json.loads(text), self.call)
                self.frames.append(frame)
                self._note(frame)
                await target.send(text)
        if source.close_code in (None, 1005, 1006):
            # It ended without a word, and so does the other side.
            target.transport.abort()
        else:
            await target.close(source.close_code, source.close_reason or "")

    def _note(self, frame: Frame) -> None:
        """Keep the list of what is due: answers to requests, of JSON-RPC and of Verto, and
        what the hub says to a call that it has taken."""
        message, verto = frame.message, frame.verto
        other: Party = "hub" if frame.sender == "client" else "client"
        if frame.is_request:
            self._due[other, message["id"]] = f"{other}: answer to {message['method']}"
        else:
            self._due.pop((frame.sender, message["id"]), None)
            result = message.get("result", {"code": "error"})
            if result.get("code", "200") != "200":
                self._due.pop(("call", self._invites.get(message["id"])), None)
        match verto.get("method"):
            case "verto.invite":
                call_id = self._invites[message["id"]] = message["params"]["callID"]
                self._due["call", call_id] = "hub: verto.answer"
            case "verto.answer" | "verto.bye" as method if frame.sender == "hub":
                self._due.pop(("call", verto["params"]["callID"]), None)
                self._due["verto", verto["id"]] = f"client: answer to {method}"
            case None if verto:
                self._due.pop(("verto", verto["id"]), None)
