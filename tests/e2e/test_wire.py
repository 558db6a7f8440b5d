"""The tape between a client and the hub, and the names under which frames are compared."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from room import eventually
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from wire_names import OWN, WireNames, described
from wire_tape import Frame, WireTape

OWN_ID, OTHER_ID, TAKE_ID = (str(uuid.uuid4()) for _ in range(3))


def request(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": str(uuid.uuid4()), "method": method, "params": params}


def event(kind: str, **params: Any) -> dict[str, Any]:
    return request("signalwire.event", event_type=kind, params=params)


def verto(method: str, number: int, call_id: str) -> dict[str, Any]:
    inner = {"jsonrpc": "2.0", "id": number, "method": method, "params": {"callID": call_id}}
    return event("webrtc.message", **inner)


def invite(call_id: str) -> dict[str, Any]:
    inner = request("verto.invite", dialogParams={"callID": call_id}, sdp="v=0\r\n")
    return request("video.message", message=inner, callID=call_id)


# Names.


@pytest.fixture
def names() -> WireNames:
    """What a client knows that has joined and begun to record."""
    names = WireNames("Maple")
    members = [{"id": OTHER_ID, "name": "Oak", "type": "member"}]
    told = (
        event("video.room.subscribed", call_id="c", member_id=OWN_ID, members=members),
        event("video.recording.started", recording={"id": TAKE_ID}),
    )
    for message in told:
        names.learn(Frame("hub", message, 0))
    return names


def plain(names: WireNames, message: dict[str, Any]) -> dict[str, Any]:
    return names.plain(Frame("client", message, 0))


@pytest.mark.parametrize(
    ("identifier", "name"),
    [(OWN_ID, OWN), (OTHER_ID, "<Oak>"), (TAKE_ID, "<recording 1>"), ("nobody", "nobody")],
    # The ids of another process are others.
    ids=["own", "other", "recording", "nobody"],
)
def test_an_id_is_named_after_what_it_is(names: WireNames, identifier: str, name: str) -> None:
    stop = request("video.recording.stop", recording_id=identifier, positions={identifier: "auto"})
    params = plain(names, stop)["params"]
    assert params == {"recording_id": name, "positions": {name: "auto"}}


def test_ids_of_the_client_are_numbered(names: WireNames) -> None:
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    seen = [plain(names, invite(one))["params"]["callID"] for one in (first, second, first)]
    assert seen == ["<id 1>", "<id 2>", "<id 1>"]


def test_a_message_id_that_is_used_again_shows(names: WireNames) -> None:
    ping = request("video.members.get")
    assert [plain(names, ping)["id"] for _ in range(2)] == ["<fresh>", "<used before>"]
    assert plain(names, {**ping, "id": "1"})["id"] == "<no UUID: 1>"


def test_an_answer_is_named_after_what_it_answers(names: WireNames) -> None:
    names.learn(Frame("hub", verto("verto.answer", 7, "c"), 0))

    def answer(number: int) -> str:
        inner = {"jsonrpc": "2.0", "id": number, "result": {"method": "verto.answer"}}
        message = plain(names, request("video.message", message=inner))
        return str(message["params"]["message"]["id"])

    assert answer(7) == "<answers verto.answer>"
    assert answer(8) == "<answers nothing>"


def test_the_outline_of_an_offer() -> None:
    lines = (
        "v=0",
        "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
        "a=rtpmap:96 VP8/90000",
        "a=rtpmap:97 rtx/90000",
        "a=candidate:1 1 udp 1 127.0.0.1 9 typ host",
        "a=sendonly",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "a=rtpmap:111 opus/48000/2",
        "a=recvonly",
    )
    assert described("\r\n".join(lines)) == {
        "ends": False,
        "video": {"directions": ["sendonly"], "codecs": ["VP8"], "candidates": True},
        "audio": {"directions": ["recvonly"], "codecs": ["opus"], "candidates": False},
    }


# The tape.


class Far:
    """The far end of a tape: it answers nothing by itself."""

    def __init__(self) -> None:
        self.sockets: list[ServerConnection] = []
        self.got: list[dict[str, Any]] = []
        self.gone: list[int | None] = []

    async def serve(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        with contextlib.suppress(ConnectionClosed):
            async for text in socket:
                self.got.append(json.loads(text))
        self.gone.append(socket.close_code)

    async def say(self, message: dict[str, Any]) -> None:
        await self.sockets[-1].send(json.dumps(message))


@pytest.fixture
async def far() -> Far:
    return Far()


@pytest.fixture
async def tape(far: Far) -> AsyncIterator[WireTape]:
    async with serve(far.serve, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with WireTape.before(f"ws://127.0.0.1:{port}") as tape:
            yield tape


async def test_a_tape_passes_on_and_keeps_every_frame(tape: WireTape, far: Far) -> None:
    ask = request("video.members.get")
    answer = {"jsonrpc": "2.0", "id": ask["id"], "result": {"code": "200"}}
    async with connect(tape.url) as client:
        await client.send(json.dumps(ask))
        await eventually("the far end has it", lambda: far.got == [ask])
        assert tape.due == ["hub: answer to video.members.get"]
        tape.call = 1
        await far.say(answer)
        assert json.loads(await client.recv()) == answer
        assert tape.due == []
        await client.close(4001, "enough")
    await eventually("the far end has gone", lambda: far.gone == [4001])
    assert tape.frames == [Frame("client", ask, 0), Frame("hub", answer, 1)]
    assert tape.sent(0) == tape.frames[:1]
    assert tape.sent(1) == []


async def test_a_call_is_due_until_it_is_answered_and_acknowledged(
    tape: WireTape, far: Far
) -> None:
    call = invite("c")
    said = verto("verto.answer", 3, "c")
    reply = {"jsonrpc": "2.0", "id": 3, "result": {"method": "verto.answer"}}
    acknowledgement = request("video.message", message=reply)
    async with connect(tape.url) as client:
        await client.send(json.dumps(call))
        await eventually("the far end has it", lambda: far.got == [call])
        await far.say({"jsonrpc": "2.0", "id": call["id"], "result": {"code": "200"}})
        await client.recv()
        assert tape.due == ["hub: verto.answer"]
        await far.say(said)
        await client.recv()
        assert tape.due == ["client: answer to signalwire.event", "client: answer to verto.answer"]
        await client.send(json.dumps({"jsonrpc": "2.0", "id": said["id"], "result": {}}))
        await client.send(json.dumps(acknowledgement))
        await eventually("the far end has both", lambda: len(far.got) == 3)
        assert tape.due == ["hub: answer to video.message"]


@pytest.mark.parametrize("no", [{"result": {"code": "403"}}, {"error": {"code": -32002}}])
async def test_nothing_is_due_of_a_call_that_was_refused(
    tape: WireTape, far: Far, no: dict[str, Any]
) -> None:
    call = invite("c")
    async with connect(tape.url) as client:
        await client.send(json.dumps(call))
        await eventually("the far end has it", lambda: far.got == [call])
        await far.say({"jsonrpc": "2.0", "id": call["id"], **no})
        await client.recv()
        assert tape.due == []


async def test_a_cut_is_one_at_both_ends_and_takes_a_new_socket(tape: WireTape, far: Far) -> None:
    async with connect(tape.url) as client:
        await client.send(json.dumps(request("video.members.get")))
        await eventually("the far end has it", lambda: far.got)
        await tape.cut()
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(30):
                await client.recv()
        assert client.close_code == 1006
    await eventually("the far end is cut off", lambda: far.gone == [1006])
    await eventually("the tape has no socket", lambda: not tape.open)
    assert tape.due == []
    async with connect(tape.url):
        await eventually("there is a new one", lambda: len(far.sockets) == 2)
        assert tape.sockets == 2
