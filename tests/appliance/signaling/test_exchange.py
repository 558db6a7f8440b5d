"""Frames and events between the protocol and the socket."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tests.appliance.signaling.connecting import Client, accept, ours
from tests.appliance.signaling.scripted_server import PROTOCOL, Peer, ScriptedServer

pytestmark = pytest.mark.usefixtures("nothing_is_left", "no_secret_is_logged")


async def test_nonsense_is_survived_and_told_once(caplog: pytest.LogCaptureFixture):
    async def script(peer: Peer) -> None:
        await peer.let_in()
        request = await peer.request()
        for frame in ("{", "[]", "null", '{"method":5}', '{"id":1.5}', b"binary", "\u2028"):
            await peer.send(frame)
        await peer.send({"id": 1, "result": {}})
        await peer.send({"id": request["id"] + "x", "result": {}})
        await peer.ask("signalwire.unheard_of")
        await peer.event("video.first", {})
        await peer.answer(request, {"code": "200", "n": 1})
        await peer.answer(request, {"code": "200", "n": 2})
        await peer.serve()

    async with ScriptedServer(script) as server:
        async with Client(server.url) as client:
            assert (await client.request("m", {}))["n"] == 1
            assert (await client.request("m", {"n": 3}))["echo"] == {"n": 3}
            assert client.told == [("video.first", {})]
        assert len(server.peers) == 1
    warnings = [message for level, message in ours(caplog) if level >= logging.WARNING]
    assert len(warnings) == 1
    assert "ignored a frame" in warnings[0]


async def test_an_announced_close_holds_new_requests_back():
    async def leaving(peer: Peer) -> None:
        await peer.let_in()
        await peer.ask("signalwire.disconnect", id="d")
        assert await peer.receive() == {"jsonrpc": "2.0", "id": "d", "result": {}}
        await peer.event("video.announced", {})
        assert "result" in await peer.receive()
        # Time for a request to come that must not.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(peer.receive(), 0.3)

    async with ScriptedServer(leaving, accept) as server:
        async with Client(server.url) as client:
            await client.until(lambda: client.told)
            assert (await client.request("m", {"n": 1}))["echo"] == {"n": 1}
            assert client.reconnections == [True]
        assert server.peers[1].frames[0]["params"]["protocol"] == PROTOCOL


async def test_an_announced_close_that_never_comes_is_done_by_us():
    async def lingering(peer: Peer) -> None:
        await peer.let_in()
        await peer.ask("signalwire.disconnect")
        await peer.gone()

    async with ScriptedServer(lingering, accept) as server:
        async with Client(server.url, request_timeout=3.0) as client:
            await client.until(lambda: client.reconnections)


async def test_an_event_is_acknowledged_before_what_it_leads_to():
    async def script(peer: Peer) -> None:
        await peer.let_in()
        await peer.event("video.room.subscribed", {"call_id": "c"}, id="e1")
        await peer.serve()

    calls: list[asyncio.Task[dict[str, Any]]] = []

    async with ScriptedServer(script) as server:
        client = Client(server.url)

        def react(kind: str, params: dict[str, Any]) -> None:
            calls.append(asyncio.create_task(client.request("m", params)))
            client.changed.set()

        client.on_event = react
        async with client:
            await client.until(lambda: calls)
            await calls[0]
        frames = server.peers[0].frames
        assert frames[1] == {"jsonrpc": "2.0", "id": "e1", "result": {}}
        assert frames[2]["method"] == "m"


async def test_a_failing_callback_stops_nothing(caplog: pytest.LogCaptureFixture):
    async def script(peer: Peer) -> None:
        await peer.let_in()
        await peer.event("video.a", {})
        await peer.serve()

    def fail(*_: object) -> None:
        raise LookupError("a mistake in the application")

    async with ScriptedServer(script) as server:
        async with Client(server.url, on_event=fail, on_state=fail) as client:
            assert (await client.request("m", {}))["code"] == "200"
    assert any("a callback" in message for _, message in ours(caplog))
