from __future__ import annotations

import asyncio
import contextlib
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
    said = (
        f"cannot reach a room server at http://127.0.0.1:{unused_tcp_port}: "
        "connection refused; is the server running there?"
    )
    for password in ("", "oak:canary@"):
        with pytest.raises(Disconnected) as refused:
            await guest_token(f"ws://{password}127.0.0.1:{unused_tcp_port}", "demo", "Oak")
        assert str(refused.value) == said
    with pytest.raises(Disconnected, match="its name is not known; check the address"):
        await guest_token("ws://hub.invalid", "demo", "Oak")


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
        with pytest.raises(ProtocolError) as none:
            await guest_token(f"ws://oak:canary@127.0.0.1:{port}", "demo", "Oak")
        assert "canary" not in str(none.value)


async def test_garbage_is_no_hub_either() -> None:
    server = await asyncio.start_server(answering(b"\0\1\2\r\n\r\n"), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Disconnected, match="it speaks no HTTP; is it a room server"):
            await guest_token(f"ws://127.0.0.1:{port}", "demo", "Oak")


async def test_who_gives_up_leaves_nothing_behind_and_no_server_holds_on_to_a_wish(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        host = "ws://127.0.0.1:{1}".format(*server.sockets[0].getsockname())
        wishes = [asyncio.create_task(guest_token(host, "demo", "Oak")) for _ in range(40)]
        done, _ = await asyncio.wait(wishes, timeout=1)
        assert not done
        for wish in wishes:
            wish.cancel()
        await asyncio.gather(*wishes, return_exceptions=True)
        # The threads that all the device shares are free.
        async with asyncio.timeout(5):
            await asyncio.to_thread(lambda: None)
        monkeypatch.setattr("appliance.service.guest.TIMEOUT_S", 0.3)
        with pytest.raises(Disconnected, match="it does not answer; check the address"):
            await guest_token(host, "demo", "Oak")
