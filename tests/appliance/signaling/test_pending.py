"""Requests, their answers and their deadlines."""

from __future__ import annotations

import asyncio

import pytest

from appliance.signaling.connection import ConnectionState
from appliance.signaling.errors import (
    Disconnected,
    NotFound,
    PermissionDenied,
    ProtocolError,
    RequestTimeout,
    SignalingError,
)
from tests.appliance.signaling.connecting import PATIENCE, Client, accept
from tests.appliance.signaling.scripted_server import PROTOCOL, Peer, ScriptedServer

pytestmark = pytest.mark.usefixtures("nothing_is_left", "no_secret_is_logged")


async def test_requests_are_answered_out_of_order():
    async def script(peer: Peer) -> None:
        await peer.let_in()
        first, second = await peer.request(), await peer.request()
        await peer.answer(second, {"code": "200", "n": 2})
        await peer.answer(first, {"code": "200", "n": 1})
        await peer.gone()

    async with ScriptedServer(script) as server:
        async with Client(server.url) as client:
            first, second = await asyncio.gather(client.request("a", {}), client.request("b", {}))
            assert (first["n"], second["n"]) == (1, 2)


async def test_errors_of_the_server_are_raised():
    async def script(peer: Peer) -> None:
        await peer.let_in()
        await peer.answer(await peer.request(), {"code": "403", "message": "Unauthorized"})
        await peer.answer(await peer.request(), {"code": "404", "message": "Not Found"})
        await peer.refuse(await peer.request(), 7, "odd")
        await peer.answer(await peer.request(), "text")
        await peer.serve()

    async with ScriptedServer(script) as server:
        async with Client(server.url) as client:
            with pytest.raises(PermissionDenied, match=r"video\.lock: 403 Unauthorized"):
                await client.request("video.lock", {})
            with pytest.raises(NotFound):
                await client.request("video.lock", {})
            with pytest.raises(SignalingError, match="7 odd"):
                await client.request("video.lock", {})
            with pytest.raises(ProtocolError):
                await client.request("video.lock", {})
            assert (await client.request("video.lock", {}))["code"] == "200"
        assert len(server.peers) == 1


async def test_a_request_before_open_or_after_close_is_told():
    async with ScriptedServer(accept) as server:
        client = Client(server.url)
        with pytest.raises(Disconnected, match=r"call open\(\) first"):
            await client.request("m", {})
        async with client:
            pass
        for call in (client.request("m", {}), client.reauthenticate("new")):
            with pytest.raises(Disconnected, match="is closed"):
                await call


async def test_silence_to_a_request_ends_the_socket_and_the_next_resumes():
    async def silent(peer: Peer) -> None:
        await peer.let_in()
        await peer.gone()

    async def next_one(peer: Peer) -> None:
        params = await peer.let_in()
        assert params["protocol"] == PROTOCOL
        await peer.serve()

    async with ScriptedServer(silent, next_one) as server:
        async with Client(server.url, request_timeout=3.0) as client:
            results = await asyncio.gather(
                client.request("video.lock", {}),
                client.request("video.unlock", {}),
                return_exceptions=True,
            )
            # The first to run out of time takes the socket along, and with it the other.
            assert isinstance(results[0], RequestTimeout)
            assert "video.lock: no answer" in str(results[0])
            assert isinstance(results[1], Disconnected | RequestTimeout)
            await client.until(lambda: client.reconnections)
            assert client.reconnections == [True]
            assert (await client.request("m", {}))["code"] == "200"


async def test_a_cancelled_request_leaves_the_socket_alone():
    received = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.let_in()
        late = await peer.request()
        received.set()
        request = await peer.request()
        await peer.answer(late, {"code": "200", "late": True})
        await peer.answer(request, {"code": "200"})
        await peer.gone()

    async with ScriptedServer(script) as server:
        async with Client(server.url, request_timeout=PATIENCE) as client:
            call = asyncio.create_task(client.request("video.lock", {}))
            await asyncio.wait_for(received.wait(), PATIENCE)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert await client.request("video.unlock", {}) == {"code": "200"}
            assert client.state is ConnectionState.CONNECTED


async def test_a_cancelled_request_is_not_sent_later():
    back = asyncio.Event()

    async def leave(peer: Peer) -> None:
        await peer.let_in()

    async def late(peer: Peer) -> None:
        await back.wait()
        await accept(peer)

    async with ScriptedServer(leave, late) as server:
        async with Client(server.url) as client:
            await client.until(lambda: client.state is ConnectionState.RECONNECTING)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.request("video.lock", {}), 0.1)
            back.set()
            await client.request("video.unlock", {})
        methods = [frame.get("method") for frame in server.peers[1].frames]
        assert methods == ["signalwire.connect", "video.unlock"]


async def test_requests_wait_for_the_connection():
    back = asyncio.Event()

    async def leave(peer: Peer) -> None:
        await peer.let_in()

    async def late(peer: Peer) -> None:
        await back.wait()
        await accept(peer)

    async with ScriptedServer(leave, late) as server:
        async with Client(server.url) as client:
            await client.until(lambda: client.state is ConnectionState.RECONNECTING)
            calls = [asyncio.create_task(client.request("m", {"n": n})) for n in range(3)]
            back.set()
            async with asyncio.timeout(PATIENCE):
                results = await asyncio.gather(*calls)
            assert [result["echo"]["n"] for result in results] == [0, 1, 2]
        echoes = [f["params"]["n"] for f in server.peers[1].frames if f.get("method") == "m"]
        assert echoes == [0, 1, 2]


async def test_a_request_does_not_wait_for_ever():
    async def leave(peer: Peer) -> None:
        await peer.let_in()

    async with ScriptedServer(leave, Peer.gone) as server:
        async with Client(server.url, queue_timeout=0.2) as client:
            await client.until(lambda: client.state is ConnectionState.RECONNECTING)
            with pytest.raises(Disconnected, match=r"no connection to .* for 0\.2 s"):
                await client.request("m", {})
