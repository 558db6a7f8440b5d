"""The end of the authorization is told in time."""

from __future__ import annotations

import time

import pytest

from tests.appliance.signaling.connecting import Client, ours
from tests.appliance.signaling.scripted_server import SESSION, Peer, ScriptedServer

pytestmark = pytest.mark.usefixtures("nothing_is_left", "no_secret_is_logged")


async def test_the_end_of_the_authorization_is_told_before_and_once():
    told: list[float] = []

    async def script(peer: Peer) -> None:
        soon = {**SESSION["authorization"], "expires_at": time.time() + 120.5}
        await peer.let_in(authorization=soon)
        later = {**SESSION["authorization"], "expires_at": time.time() + 3600}
        await peer.answer(await peer.request(), {**SESSION, "authorization": later})
        await peer.serve()

    async with ScriptedServer(script) as server:
        client = Client(server.url)

        def expiring() -> None:
            told.append(client.authorization["expires_at"] - time.time())
            client.changed.set()

        client.on_expiring = expiring
        async with client:
            await client.until(lambda: told)
            # Not at once, though it is soon enough.
            assert told[0] <= 120
            await client.reauthenticate("second-token")
            assert (await client.request("m", {}))["code"] == "200"
            assert len(told) == 1


async def test_a_reconnection_does_not_tell_the_same_end_again():
    told: list[float] = []
    soon = {**SESSION["authorization"], "expires_at": time.time() + 100}

    async def leave(peer: Peer) -> None:
        await peer.let_in(authorization=soon)

    async def stay(peer: Peer) -> None:
        await peer.let_in(authorization=soon)
        await peer.serve()

    async with ScriptedServer(leave, stay) as server:
        async with Client(server.url, on_expiring=lambda: told.append(1)) as client:
            await client.until(lambda: client.reconnections)
            assert (await client.request("m", {}))["code"] == "200"
            assert len(told) == 1


async def test_an_end_nobody_cares_for_is_logged(caplog: pytest.LogCaptureFixture):
    async def script(peer: Peer) -> None:
        await peer.let_in(authorization={"expires_at": time.time() + 60})
        await peer.serve()

    async with ScriptedServer(script) as server:
        async with Client(server.url) as client:
            assert (await client.request("m", {}))["code"] == "200"
    assert any("nothing renews it" in message for _, message in ours(caplog))
