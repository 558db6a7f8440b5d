"""One socket: what it carries, what ends it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from appliance.signaling.connection import ConnectionState
from appliance.signaling.errors import (
    Disconnected,
)
from appliance.signaling.link import MAX_FRAME
from tests.appliance.signaling.connecting import PATIENCE, Client, accept
from tests.appliance.signaling.scripted_server import Peer, ScriptedServer

pytestmark = pytest.mark.usefixtures("nothing_is_left", "no_secret_is_logged")


async def test_nobody_there_is_told_in_one_line():
    async with ScriptedServer() as server:
        url = server.url
    client = Client(f"{url.replace('ws://', 'ws://user:pass@')}/ws?key=hidden")
    with pytest.raises(Disconnected) as caught:
        await client.open()
    assert str(caught.value) == (
        f"cannot reach {url}/ws: connection refused; is the server running there?"
    )
    assert client.states == [ConnectionState.CONNECTING, ConnectionState.IDLE]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ws://no-such-host.invalid", "its name is not known"),
        ("http://127.0.0.1:1", "no WebSocket address"),
        ("ws://127.0.0.1:99999", "no WebSocket address"),
        ("ws://[::1", "no WebSocket address"),
    ],
)
async def test_an_address_that_cannot_be_is_told(url: str, says: str):
    with pytest.raises(Disconnected, match=says):
        await Client(url).open()


async def test_tls_to_a_plain_server_is_told():
    async with ScriptedServer() as server:
        with pytest.raises(Disconnected, match=r"TLS .* needs ws://"):
            await Client(server.url.replace("ws://", "wss://")).open()


async def test_another_kind_of_server_is_told():
    def turn_away(connection: Any, request: Any) -> Any:
        return connection.respond(404, "nothing here\n")

    async with ScriptedServer(process_request=turn_away) as server:
        with pytest.raises(Disconnected, match="HTTP status 404; check the address"):
            await Client(server.url).open()


async def test_a_server_that_says_nothing_is_given_up():
    done = asyncio.Event()

    async def mute(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Disconnected, match="it does not answer"):
            await Client(f"ws://127.0.0.1:{port}", open_timeout=0.2).open()
        done.set()


async def test_a_server_that_talks_no_http_is_told():
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Disconnected, match="cannot reach") as caught:
            await Client(f"ws://127.0.0.1:{port}").open()
    assert "\n" not in str(caught.value)


async def test_a_frame_beyond_all_measure_costs_the_socket_not_the_session():
    async def flood(peer: Peer) -> None:
        await peer.let_in()
        await peer.send("x" * (MAX_FRAME + 1))
        await peer.gone()

    async with ScriptedServer(flood, accept) as server:
        async with Client(server.url) as client:
            await client.until(lambda: client.reconnections)
            assert client.reconnections == [True]


async def test_a_full_room_fits_in_a_frame():
    members = [{"id": str(n), "meta": {"x": "m" * 2000}} for n in range(300)]
    room = {"room_session": {"members": members}, "room": {"members": members}}

    async def script(peer: Peer) -> None:
        await peer.let_in()
        await peer.event("video.room.subscribed", room)
        await peer.gone()

    async with ScriptedServer(script) as server:
        async with Client(server.url) as client:
            await client.until(lambda: client.told)
            assert client.told == [("video.room.subscribed", room)]


async def test_silence_after_a_ping_ends_the_socket():
    async def fall_silent(peer: Peer) -> None:
        await peer.let_in()
        await peer.ask("signalwire.ping", {"timestamp": 12.5}, id="p")
        assert await peer.receive() == {"jsonrpc": "2.0", "id": "p", "result": {"timestamp": 12.5}}
        await peer.gone()

    async with ScriptedServer(fall_silent, accept) as server:
        async with Client(server.url, ping_grace=0.5) as client:
            await client.until(lambda: client.reconnections)
            assert client.reconnections == [True]


async def test_a_server_that_keeps_talking_is_kept():
    grace = 2.0

    async def chatter(peer: Peer) -> None:
        await peer.let_in()
        start = time.monotonic()
        for n in range(1_000_000):
            await peer.ask("signalwire.ping", {"timestamp": n}, id=f"p{n}")
            await peer.receive()
            if time.monotonic() - start > 1.3 * grace:
                break
            await asyncio.sleep(0.1)  # the server's own rhythm
        await peer.event("video.done", {})
        await peer.gone()

    async with ScriptedServer(chatter) as server:
        async with Client(server.url, ping_grace=grace) as client:
            await client.until(lambda: client.told)
            assert client.attempts == []


async def test_a_server_that_never_pings_is_kept():
    async def script(peer: Peer) -> None:
        await peer.let_in()
        await asyncio.sleep(1.0)  # longer than the grace
        await peer.event("video.done", {})
        await peer.gone()

    async with ScriptedServer(script) as server:
        async with Client(server.url, ping_grace=0.2) as client:
            await client.until(lambda: client.told)
            assert client.attempts == []


async def test_close_sends_what_is_left():
    closing = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.let_in()
        # More is under way now than the sockets' buffers hold.
        await closing.wait()
        for _ in range(8):
            await peer.receive()
        await peer.gone()

    async with ScriptedServer(script, max_size=None) as server:
        # A loaded machine may take its time.
        client = Client(server.url, close_timeout=PATIENCE)
        await client.open()
        padding = "x" * 2_000_000
        calls = [client.request("m", {"n": n, "padding": padding}) for n in range(8)]
        asking = asyncio.gather(*calls, return_exceptions=True)
        ending = asyncio.create_task(client.close())
        await client.until(lambda: client.state is ConnectionState.CLOSED)
        closing.set()
        await ending
        assert all(isinstance(error, Disconnected) for error in await asking)
    assert [frame["params"]["n"] for frame in server.peers[0].frames[1:]] == list(range(8))


async def test_a_server_deaf_to_the_close_holds_nothing_up():
    async def deaf(peer: Peer) -> None:
        await peer.let_in()
        peer.socket.transport.pause_reading()
        await released.wait()

    released = asyncio.Event()
    async with ScriptedServer(deaf) as server:
        client = Client(server.url)
        await client.open()
        async with asyncio.timeout(PATIENCE):
            await client.close()
        assert client.state is ConnectionState.CLOSED
        released.set()
