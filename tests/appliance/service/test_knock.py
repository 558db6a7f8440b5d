"""Asking at another room's server, by what scripted servers see and answer."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.service.knock import knock
from appliance.signaling.errors import AuthError, NotAdmitted, NotFound
from tests.appliance.signaling.scripted_server import Peer, ScriptedServer

OK = {"code": "200", "message": "OK"}


def answering(result: dict[str, Any], seen: list[str]) -> Any:
    async def script(peer: Peer) -> None:
        await peer.let_in()
        question = await peer.request()
        seen.append(question["method"])
        await peer.answer(question, result)
        await peer.gone()
        seen.append("gone")

    return script


async def test_who_would_be_let_in_asks_and_goes_again() -> None:
    seen: list[str] = []
    async with ScriptedServer(answering(OK, seen)) as server:
        await knock(server.url, "token")
    assert seen == ["roomlet.admission", "gone"]


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        ("403", NotAdmitted, "^the room is closed; ask the room's host$"),
        ("404", NotFound, "^the room is closed"),
    ],
)
async def test_a_refusal_is_that_of_the_call(code: str, kind: type[Exception], says: str) -> None:
    refusal = {"code": code, "message": "The room is closed"}
    async with ScriptedServer(answering({**OK, "refusal": refusal}, [])) as server:
        with pytest.raises(kind, match=says):
            await knock(server.url, "token")


async def test_a_server_that_does_not_know_the_question_refuses_nobody() -> None:
    async def unknown(peer: Peer) -> None:
        await peer.let_in()
        await peer.refuse(await peer.request(), -32601, "there is no such method")
        await peer.gone()

    async def deaf(peer: Peer) -> None:
        await peer.let_in()
        await peer.request()
        await peer.socket.close()

    # A result of another shape, and a code that means the method.
    other = answering({"code": "404", "message": "no such method"}, [])
    for script in (unknown, deaf, other, answering({**OK, "refusal": 7}, [])):
        async with ScriptedServer(script) as server:
            await knock(server.url, "token")


async def test_a_token_that_is_refused() -> None:
    async def refusing(peer: Peer) -> None:
        await peer.refuse(await peer.receive(), -32002, "the token has expired")

    async with ScriptedServer(refusing) as server:
        with pytest.raises(AuthError, match="has expired"):
            await knock(server.url, "token")
