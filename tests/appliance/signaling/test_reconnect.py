"""What comes after a socket was lost."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from appliance.signaling.connection import ConnectionState
from appliance.signaling.errors import (
    AuthError,
    Disconnected,
)
from appliance.signaling.reconnect import retry_delay
from tests.appliance.signaling.connecting import PATIENCE, Client, accept, ours
from tests.appliance.signaling.scripted_server import PROTOCOL, Peer, ScriptedServer

pytestmark = pytest.mark.usefixtures("nothing_is_left", "no_secret_is_logged")


async def test_a_close_in_the_middle_fails_the_request_and_resumes(
    caplog: pytest.LogCaptureFixture,
):
    async def first(peer: Peer) -> None:
        params = await peer.let_in()
        assert "protocol" not in params
        state = {"authorization_state": "opaque-state"}
        await peer.event("signalwire.authorization.state", state)
        await peer.request()
        await peer.socket.close(4000, "going\naway")

    async def second(peer: Peer) -> None:
        params = await peer.let_in()
        assert params["protocol"] == PROTOCOL
        assert params["authorization_state"] == "opaque-state"
        await peer.serve()

    async with ScriptedServer(first, second) as server:
        async with Client(server.url) as client:
            with pytest.raises(Disconnected, match=r"video\.lock: .*code 4000 going away"):
                await client.request("video.lock", {})
            await client.until(lambda: client.reconnections)
            assert client.reconnections == [True]
            assert client.states == [
                ConnectionState.CONNECTING,
                ConnectionState.CONNECTED,
                ConnectionState.RECONNECTING,
                ConnectionState.CONNECTED,
            ]
            assert client.told == []
        levels = [level for level, _ in ours(caplog)]
        assert levels == [logging.WARNING, logging.INFO]


async def test_a_fresh_connection_on_demand_resumes_without_a_wait():
    async def deaf(peer: Peer) -> None:
        await peer.let_in()
        await peer.request()
        await peer.gone()

    async def next_one(peer: Peer) -> None:
        params = await peer.let_in()
        assert params["protocol"] == PROTOCOL
        await peer.serve()

    async with ScriptedServer(deaf, next_one) as server:
        async with Client(server.url) as client:
            under_way = asyncio.create_task(client.request("video.lock", {}))
            await asyncio.sleep(0)
            # Twice at once is one fresh connection.
            await asyncio.gather(client.reconnect(), client.reconnect())
            assert client.state is ConnectionState.CONNECTED
            assert client.reconnections == [True]
            assert client.attempts == []
            with pytest.raises(Disconnected):
                await under_way
            assert (await client.request("m", {}))["code"] == "200"
        assert len(server.peers) == 2


async def test_a_fresh_connection_on_demand_that_fails_is_tried_with_patience():
    async def hang_up(peer: Peer) -> None:
        await peer.receive()

    async with ScriptedServer(accept, hang_up, accept) as server:
        async with Client(server.url) as client:
            await client.reconnect()
            assert client.attempts == [0]
            assert client.reconnections == [True]


async def test_a_fresh_connection_needs_one_before_and_a_token_that_holds():
    async def refuse(peer: Peer) -> None:
        await peer.refuse(await peer.receive(), -32002, "expired")

    async with ScriptedServer(accept, refuse) as server:
        client = Client(server.url)
        with pytest.raises(Disconnected, match=r"call open\(\) first"):
            await client.reconnect()
        await client.open()
        with pytest.raises(AuthError):
            await client.reconnect()
        assert client.state is ConnectionState.CLOSED
        with pytest.raises(AuthError):
            await client.reconnect()
        await client.close()


async def test_closing_ends_the_wait_for_a_fresh_connection():
    async def silent(peer: Peer) -> None:
        await peer.receive()
        await peer.gone()

    async with ScriptedServer(accept, silent) as server:
        async with Client(server.url) as client:
            waiting = asyncio.create_task(client.reconnect())
            await client.until(lambda: client.state is ConnectionState.RECONNECTING)
        with pytest.raises(Disconnected, match="closed meanwhile"):
            await waiting


async def test_a_session_that_is_gone_is_made_anew():
    async def leave(peer: Peer) -> None:
        await peer.let_in()

    async def forgetful(peer: Peer) -> None:
        resume = await peer.receive()
        assert resume["params"]["protocol"] == PROTOCOL
        await peer.refuse(resume, -32003, "Requester validation failed")
        params = await peer.let_in(protocol="signalwire_sig_new_proj")
        assert "protocol" not in params
        await peer.serve()

    async with ScriptedServer(leave, forgetful) as server:
        async with Client(server.url) as client:
            await client.until(lambda: client.reconnections)
            assert client.reconnections == [False]
            assert client.protocol == "signalwire_sig_new_proj"


async def test_a_token_refused_later_closes_for_good(caplog: pytest.LogCaptureFixture):
    async def leave(peer: Peer) -> None:
        await peer.let_in()

    async def refuse(peer: Peer) -> None:
        await peer.refuse(await peer.receive(), -32002, "expired")
        await peer.gone()

    async with ScriptedServer(leave, refuse) as server:
        client = Client(server.url)
        await client.open()
        await client.until(lambda: client.state is ConnectionState.CLOSED)
        assert isinstance(client.error, AuthError)
        with pytest.raises(Disconnected):
            await client.request("m", {})
        assert ours(caplog)[-1][0] == logging.ERROR
        await client.close()


async def test_a_server_that_stays_away_becomes_quiet_news(caplog: pytest.LogCaptureFixture):
    async def leave(peer: Peer) -> None:
        await peer.let_in()

    async def turn_away(peer: Peer) -> None:
        await peer.receive()

    scripts = [leave, *[turn_away] * 7, accept]
    async with ScriptedServer(*scripts) as server:
        async with Client(server.url) as client:
            await client.until(lambda: client.reconnections)
            assert client.attempts == list(range(8))
    levels = [level for level, message in ours(caplog) if "next attempt" in message]
    assert levels == [logging.WARNING, *[logging.INFO] * 4, *[logging.DEBUG] * 3]
    assert all("\n" not in message for _, message in ours(caplog))


async def test_a_server_that_vanished_is_tried_until_close():
    async with ScriptedServer(Peer.let_in) as server:
        client = Client(server.url, backoff=lambda attempt: client._hurry(attempt) or 0.02)
        await client.open()
    # Gone, and its port closed: every attempt is refused.
    await client.until(lambda: len(client.attempts) > 3)
    assert client.state is ConnectionState.RECONNECTING
    assert "cannot reach" in str(client.trouble)
    await client.close()


async def test_handshakes_that_break_off_are_tried_again():
    handshakes = 0

    def break_off(connection: Any, request: Any) -> None:
        nonlocal handshakes
        handshakes += 1
        if handshakes in (2, 3, 4):
            connection.transport.abort()

    async def leave(peer: Peer) -> None:
        await peer.let_in()

    async with ScriptedServer(leave, accept, process_request=break_off) as server:
        async with Client(server.url) as client:
            assert client.trouble is None
            await client.until(lambda: client.reconnections)
            assert client.reconnections == [True]
            assert client.attempts == [0, 1, 2, 3]
            assert client.trouble is None


async def test_close_while_waiting_to_reconnect():
    async def leave(peer: Peer) -> None:
        await peer.let_in()

    async with ScriptedServer(leave) as server:
        client = Client(server.url, backoff=lambda _: 3600.0)
        await client.open()
        await client.until(lambda: client.state is ConnectionState.RECONNECTING)
        waiting = asyncio.create_task(client.request("m", {}))
        async with asyncio.timeout(PATIENCE):
            await client.close()
        with pytest.raises(Disconnected):
            await waiting


def test_the_waits_are_those_of_the_sdk_but_for_the_first():
    first = [retry_delay(0) for _ in range(200)]
    later = [retry_delay(attempt) for attempt in range(1, 201)]
    assert 0.2 <= min(first) <= max(first) <= 1.0
    assert 1.0 <= min(later) <= max(later) <= 4.0
    assert len(set(first)) > 100
