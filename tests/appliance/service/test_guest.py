from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from appliance.hub.server import HubServer
from appliance.service.errors import EntranceClosed
from appliance.service.guest import guest_token
from appliance.signaling.errors import Disconnected, ProtocolError
from appliance.signaling.token import inspect


@pytest.mark.parametrize("scheme", ["http", "ws"])
async def test_an_open_room_gives_a_token(hub: HubServer, scheme: str) -> None:
    host = scheme + hub.url.removeprefix("http")
    # The address of a page is taken by the configuration only; here it is a WebSocket's.
    token = await guest_token(host.replace("http", "ws", 1), "demo", "Oak")
    assert inspect(token).room == "demo"


async def test_a_closed_room_says_so(hub: HubServer) -> None:
    with pytest.raises(EntranceClosed, match=r"room board .*not open to guests"):
        await guest_token(hub.websocket_url, "board", "Oak")


async def test_no_hub_there(unused_tcp_port: int) -> None:
    with pytest.raises(Disconnected, match=r"cannot reach a room server at http://127\.0\.0\.1:"):
        await guest_token(f"ws://127.0.0.1:{unused_tcp_port}", "demo", "Oak")


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answering(text: bytes) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        # The body too: what is left unread when a socket closes resets it under the client.
        await reader.readuntil(b"}")
        writer.write(text)
        await writer.drain()
        writer.close()

    return handle


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\n\r\n[1]",
        b'HTTP/1.1 200 OK\r\n\r\n{"token": 7}',
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b'HTTP/1.1 500 Oh\r\n\r\n{"errors": []}',
    ],
)
async def test_what_is_no_hub_is_told_apart(answer: bytes) -> None:
    server = await asyncio.start_server(answering(answer), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ProtocolError, match="what answers at"):
            await guest_token(f"ws://127.0.0.1:{port}", "demo", "Oak")


async def test_garbage_is_no_hub_either() -> None:
    server = await asyncio.start_server(answering(b"\0\1\2\r\n\r\n"), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Disconnected):
            await guest_token(f"ws://127.0.0.1:{port}", "demo", "Oak")
