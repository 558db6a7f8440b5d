from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from appliance.signaling import connection as connection_module
from appliance.signaling.client import Resume
from appliance.signaling.connection import MAX_FRAME, Connection, ConnectionState, retry_delay
from appliance.signaling.errors import (
    AuthError,
    Disconnected,
    NotFound,
    PermissionDenied,
    ProtocolError,
    RequestTimeout,
    SignalingError,
)
from tests.appliance.signaling.scripted_server import PROTOCOL, SESSION, Peer, ScriptedServer

TOKEN = "header.very-secret-token.signature"

#: Seconds that a loaded machine may take for what needs no waiting.
PATIENCE = 30.0


class Client(Connection):
    """A connection that remembers what it told."""

    def __init__(self, url: str, token: str = TOKEN, **options: Any) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.states: list[ConnectionState] = []
        self.reconnections: list[bool] = []
        self.attempts: list[int] = []
        self.changed = asyncio.Event()
        defaults: dict[str, Any] = {
            "agent": "test/1",
            "on_event": self._remember_event,
            "on_state": self._remember_state,
            "on_reconnected": self._remember_reconnection,
            "backoff": self._hurry,
            "open_timeout": PATIENCE,
            "request_timeout": PATIENCE,
        }
        super().__init__(url, token, **{**defaults, **options})

    async def until(self, condition: Any) -> None:
        """Wait until ``condition()`` holds; looked at whenever something was told."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    def _remember_event(self, kind: str, params: dict[str, Any]) -> None:
        self.told.append((kind, params))
        self.changed.set()

    def _remember_state(self, state: ConnectionState) -> None:
        self.states.append(state)
        self.changed.set()

    def _remember_reconnection(self, resumed: bool) -> None:
        self.reconnections.append(resumed)
        self.changed.set()

    def _hurry(self, attempt: int) -> float:
        self.attempts.append(attempt)
        self.changed.set()
        return 0.0


async def accept(peer: Peer) -> None:
    await peer.let_in()
    await peer.serve()


@pytest.fixture(autouse=True)
async def _nothing_is_left() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left


@pytest.fixture(autouse=True)
def _no_secret_is_logged(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.DEBUG)
    yield
    for record in caplog.records:
        assert "very-secret-token" not in record.getMessage()
        assert "very-secret-token" not in (record.exc_text or "")


def ours(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    """What our own modules logged."""
    records = (record for record in caplog.records if record.name.startswith("appliance."))
    return [(record.levelno, record.getMessage()) for record in records]


# Opening.


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


# Requests.


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
        async with Client(server.url, request_timeout=1.0) as client:
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


# Losing the socket.


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
            await client.until(lambda: client.reconnections)
            assert client.reconnections == [True]
            assert client.attempts == [0, 1, 2, 3]


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


# Signs of life.


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
        async with Client(server.url, request_timeout=1.0) as client:
            await client.until(lambda: client.reconnections)


# Events.


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


# Renewal.


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
            assert told == []
            await client.until(lambda: told)
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


# Closing.


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


async def test_close_sends_what_is_left(monkeypatch: pytest.MonkeyPatch):
    # A loaded machine may take its time.
    monkeypatch.setattr(connection_module, "CLOSE_TIMEOUT", PATIENCE)
    closing = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.let_in()
        # More is under way now than the sockets' buffers hold.
        await closing.wait()
        for _ in range(8):
            await peer.receive()
        await peer.gone()

    async with ScriptedServer(script, max_size=None) as server:
        client = Client(server.url)
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


def test_the_waits_are_those_of_the_sdk_but_for_the_first():
    first = [retry_delay(0) for _ in range(200)]
    later = [retry_delay(attempt) for attempt in range(1, 201)]
    assert 0.2 <= min(first) <= max(first) <= 1.0
    assert 1.0 <= min(later) <= max(later) <= 4.0
    assert len(set(first)) > 100
