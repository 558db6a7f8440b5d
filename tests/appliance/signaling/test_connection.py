"""Opening, renewing and closing a connection."""

from __future__ import annotations

import asyncio

import pytest

from appliance.signaling.client_session import Resume
from appliance.signaling.connection import ConnectionState
from appliance.signaling.errors import (
    AuthError,
    Disconnected,
    ProtocolError,
    RequestTimeout,
)
from tests.appliance.signaling.connecting import PATIENCE, TOKEN, Client, accept
from tests.appliance.signaling.scripted_server import PROTOCOL, SESSION, Peer, ScriptedServer

pytestmark = pytest.mark.usefixtures("nothing_is_left", "no_secret_is_logged")


async def test_open_tells_what_the_server_grants():
    servers = [{"urls": "stun:127.0.0.1:1"}]

    async def script(peer: Peer) -> None:
        params = await peer.let_in(ice_servers=servers)
        assert params["authentication"] == {"jwt_token": TOKEN}
        assert params["agent"] == "test/1"
        await peer.gone()

    async with ScriptedServer(script) as server:
        client = Client(server.url)
        assert client.state is ConnectionState.IDLE
        result = await client.open()
        assert result == {**SESSION, "ice_servers": servers}
        assert client.state is ConnectionState.CONNECTED
        assert client.authorization == SESSION["authorization"]
        assert client.ice_servers == servers
        assert client.protocol == PROTOCOL
        assert client.resume == Resume(PROTOCOL)
        await client.close()
        assert client.states == [
            ConnectionState.CONNECTING,
            ConnectionState.CONNECTED,
            ConnectionState.CLOSED,
        ]
        assert client.error is None
        assert client.resume is None


async def test_a_refused_token_is_not_tried_again():
    async def script(peer: Peer) -> None:
        connect = await peer.receive()
        await peer.refuse(connect, -32002, f"401 Unauthorized: {TOKEN}")
        await peer.gone()

    async with ScriptedServer(script) as server:
        with pytest.raises(AuthError) as caught:
            await Client(server.url).open()
        assert caught.value.code == -32002
        assert "very-secret-token" not in str(caught.value)
        assert len(server.peers) == 1


async def test_an_unanswered_connect_times_out():
    async with ScriptedServer(Peer.gone) as server:
        with pytest.raises(RequestTimeout, match=r"signalwire\.connect: no answer"):
            await Client(server.url, request_timeout=0.2).open()


async def test_a_connect_answer_of_a_wrong_type_fails():
    async def script(peer: Peer) -> None:
        await peer.answer(await peer.receive(), [1])
        await peer.gone()

    async with ScriptedServer(script) as server:
        with pytest.raises(ProtocolError):
            await Client(server.url).open()


async def test_a_failed_open_can_be_repeated():
    async def leave(peer: Peer) -> None:
        await peer.receive()

    async with ScriptedServer(leave, accept) as server:
        client = Client(server.url)
        with pytest.raises(Disconnected, match="lost the connection"):
            await client.open()
        assert client.state is ConnectionState.IDLE
        await client.open()
        assert await client.request("m", {"a": 1}) == {"code": "200", "echo": {"a": 1}}
        await client.close()


async def test_open_is_once():
    async with ScriptedServer(accept) as server:
        async with Client(server.url) as client:
            with pytest.raises(RuntimeError):
                await client.open()
        with pytest.raises(Disconnected, match="make a new one"):
            await client.open()


async def test_cancelling_open_leaves_nothing():
    reached = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.receive()
        reached.set()
        await peer.gone()

    async with ScriptedServer(script) as server:
        client = Client(server.url)
        opening = asyncio.create_task(client.open())
        await asyncio.wait_for(reached.wait(), PATIENCE)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert client.state is ConnectionState.CLOSED


async def test_closing_while_opening_ends_the_opening():
    reached = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.receive()
        reached.set()
        await peer.gone()

    async with ScriptedServer(script) as server:
        client = Client(server.url)
        opening = asyncio.create_task(client.open())
        await asyncio.wait_for(reached.wait(), PATIENCE)
        await client.close()
        with pytest.raises(Disconnected):
            await opening


async def test_a_new_token_is_used_at_once_and_later():
    async def first(peer: Peer) -> None:
        await peer.let_in()
        request = await peer.request()
        assert request["method"] == "signalwire.reauthenticate"
        assert request["params"] == {
            "authentication": {"project": "proj", "jwt_token": "second-token"}
        }
        renewed = {**SESSION["authorization"], "expires_at": 4_000_000_000}
        await peer.answer(request, {**SESSION, "authorization": renewed})

    async def second(peer: Peer) -> None:
        params = await peer.let_in()
        assert params["authentication"] == {"jwt_token": "second-token"}
        await peer.serve()

    async with ScriptedServer(first, second) as server:
        async with Client(server.url) as client:
            authorization = await client.reauthenticate("second-token")
            assert authorization["expires_at"] == 4_000_000_000
            await client.until(lambda: client.reconnections)
            assert client.reconnections == [True]


async def test_a_refused_new_token_leaves_the_session():
    async def script(peer: Peer) -> None:
        await peer.let_in()
        await peer.refuse(await peer.request(), -32002, "no")
        await peer.serve()

    async with ScriptedServer(script) as server:
        async with Client(server.url) as client:
            with pytest.raises(AuthError):
                await client.reauthenticate("second-token")
            assert client.authorization == SESSION["authorization"]
            assert (await client.request("m", {}))["code"] == "200"


async def test_close_fails_what_is_open_and_may_be_repeated():
    received = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.let_in()
        await peer.request()
        received.set()
        await peer.gone()

    async with ScriptedServer(script) as server:
        client = Client(server.url)
        await client.open()
        call = asyncio.create_task(client.request("video.lock", {}))
        await asyncio.wait_for(received.wait(), PATIENCE)
        await asyncio.gather(client.close(), client.close())
        with pytest.raises(Disconnected, match=r"video\.lock: the session was closed"):
            await call
        await client.close()
        assert server.peers[0].socket.close_code == 1000


async def test_close_before_open_is_nothing():
    await Client("ws://127.0.0.1:1").close()
