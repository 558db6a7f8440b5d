"""The sockets of the hub, from connect to close, spoken to by bare frames."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from datetime import UTC, datetime, timedelta

import pytest
import websockets

from appliance.hub import negotiation
from appliance.hub.gateway import Limits
from appliance.hub.tokens import TokenOptions, mint
from appliance.media.peer import PeerState
from appliance.signaling import verto
from tests.appliance.hub.conftest import MakeHub, TestHub
from tests.appliance.hub.hub_client import BOTH, RECEIVE, Client, token, until
from tests.appliance.signaling.golden import frames


async def test_connect_answers_who_the_client_is_and_what_it_may(hub: TestHub) -> None:
    jwt = token(hub, permissions=["room.self.audio_mute"], meta={"seat": 3})
    async with await Client.connect(hub, jwt) as client:
        result = client.connected
        authorization = result["authorization"]
        assert result["ice_servers"] == []
        kind, signature, _, project = result["protocol"].split("_")
        assert (kind, signature, project) == (
            "signalwire",
            authorization["signature"],
            hub.keys.project,
        )
        assert authorization["type"] == "video"
        assert authorization["join_as"] == "member"
        assert authorization["user_name"] == "Oak"
        assert authorization["room"] == {
            "name": "demo",
            "display_name": "demo",
            "scopes": ["room.self.audio_mute"],
            "meta": {},
        }
        assert authorization["meta"] == {"seat": 3}
        assert (authorization["audio_allowed"], authorization["video_allowed"]) == ("both", "both")
        # Clients take an authorization with a jti for another kind of session.
        assert "jti" not in authorization
        await client.event("signalwire.authorization.state")
        assert client.frames[0]["result"] == result


@pytest.mark.parametrize("path", ["/", "/ws"])
async def test_both_paths_speak_the_protocol(hub: TestHub, path: str) -> None:
    async with await Client.open(hub, path=path) as client:
        assert "result" in await client.send_connect(token(hub))


@pytest.mark.parametrize(
    ("join_as", "media_allowed", "allowed"),
    [
        ("audience", "all", ("receive", "receive")),
        ("member", "audio-only", ("both", "none")),
        ("member", "video-only", ("none", "both")),
    ],
)
async def test_the_media_that_a_token_allows(
    hub: TestHub, join_as: str, media_allowed: str, allowed: tuple[str, str]
) -> None:
    jwt = token(hub, join_as=join_as, media_allowed=media_allowed)
    async with await Client.connect(hub, jwt) as client:
        authorization = client.connected["authorization"]
        assert (authorization["audio_allowed"], authorization["video_allowed"]) == allowed


async def test_tokens_that_are_not_accepted(hub: TestHub) -> None:
    now = datetime.now(UTC)
    good = token(hub)
    bad = {
        "expired": token(hub, join_until=now - timedelta(seconds=2)),
        "not valid yet": token(hub, join_from=now + timedelta(hours=1)),
        "another key": mint(TokenOptions(room_name="demo"), b"x" * 32, project="p"),
        "no room token": "nonsense",
        "get one": "",
        "another key ": good[:-4] + ("AAAA" if not good.endswith("AAAA") else "BBBB"),
    }
    for reason, jwt in bad.items():
        client = await Client.open(hub)
        error = (await client.send_connect(jwt))["error"]
        assert error["code"] == -32002
        assert reason.strip() in error["message"]
        assert "\n" not in error["message"]
        assert await client.gone() == 3000


@pytest.mark.parametrize("authentication", [None, 7, {}, {"jwt_token": 7}, {"project": "p"}])
async def test_connect_without_a_token_is_refused(hub: TestHub, authentication: object) -> None:
    client = await Client.open(hub)
    frame = await client.request("signalwire.connect", {"authentication": authentication})
    assert frame["error"]["code"] == -32002
    await client.gone()


async def test_requests_before_connect_and_a_second_connect_are_errors(hub: TestHub) -> None:
    async with await Client.open(hub) as client:
        frame = await client.request("video.members.get", {})
        assert "connect first" in frame["error"]["message"]
        assert "result" in await client.send_connect(token(hub))
        assert "error" in await client.send_connect(token(hub))
        assert "result" in await client.request("video.member.get_meta", {})


async def test_a_silent_socket_is_closed(make_hub: MakeHub) -> None:
    hub = await make_hub(Limits(connect=0.2))
    client = await Client.open(hub)
    assert await client.gone() == 1008


async def test_pings_come_and_their_silence_ends_the_socket(make_hub: MakeHub) -> None:
    hub = await make_hub(Limits(ping=0.05))
    async with await Client.connect(hub) as alive:
        await until(lambda: alive.pings >= 5)
        deaf = await Client.connect(hub)
        deaf.acks = False
        assert await deaf.gone() == 1001
        assert deaf.pings == 2
        seen = alive.pings
        await until(lambda: alive.pings > seen)


async def test_unknown_methods_are_errors(hub: TestHub) -> None:
    async with await Client.connect(hub) as client:
        frame = await client.request("video.make_coffee", {})
        assert frame["error"]["code"] == -32601
        frame = await client.request("signalwire.make_coffee", {})
        assert frame["error"]["code"] == -32601


async def test_reauthenticate_changes_what_the_client_may(hub: TestHub) -> None:
    async with await Client.join(hub, permissions=[]) as client:
        assert (await client.rpc("video.lock"))["code"] == "403"
        jwt = token(hub, permissions=["room.lock"])
        params = {"authentication": {"project": hub.keys.project, "jwt_token": jwt}}
        frame = await client.request("signalwire.reauthenticate", params)
        assert frame["result"]["authorization"]["room"]["scopes"] == ["room.lock"]
        assert frame["result"]["protocol"] == client.connected["protocol"]
        assert (await client.rpc("video.lock"))["code"] == "200"


async def test_reauthenticate_refuses_other_tokens_and_keeps_the_old(hub: TestHub) -> None:
    async with await Client.join(hub) as client:
        for jwt in ("nonsense", token(hub, room="other"), token(hub, join_as="audience"), 7):
            params = {"authentication": {"jwt_token": jwt}}
            frame = await client.request("signalwire.reauthenticate", params)
            assert "error" in frame
        assert (await client.rpc("video.lock"))["code"] == "200"


async def test_garbage_is_answered_and_then_closed(hub: TestHub) -> None:
    async with await Client.join(hub, user_name="Elm") as other:
        client = await Client.connect(hub)
        seen = len(client.frames)
        for _ in range(10):
            await client.send("{garbage")
        assert await client.gone() == 1008
        errors = [frame["error"]["code"] for frame in client.frames[seen:] if "error" in frame]
        assert errors == [-32700] * 10
        await other.settled()


async def test_binary_frames_close_the_socket(hub: TestHub) -> None:
    client = await Client.connect(hub)
    await client.send(b"\x00\x01")
    assert await client.gone() == 1003


async def test_huge_frames_close_the_socket(hub: TestHub) -> None:
    client = await Client.connect(hub)
    await client.send(json.dumps({"id": "x", "method": "video.x", "params": {"a": "x" * 300_000}}))
    assert await client.gone() == 1009


async def test_floods_close_the_socket(make_hub: MakeHub) -> None:
    hub = await make_hub(Limits(burst=20, rate=1))
    async with await Client.join(hub, user_name="Elm") as other:
        client = await Client.connect(hub)
        frame = json.dumps({"jsonrpc": "2.0", "id": "x", "method": "video.get_meta", "params": {}})
        for _ in range(30):
            try:
                await client.send(frame)
            except websockets.ConnectionClosed:
                break
        assert await client.gone() == 1008
        await other.settled()


async def test_who_makes_the_hub_tell_much_is_read_slowly(make_hub: MakeHub) -> None:
    hub = await make_hub(Limits(events_burst=30, events_rate=20))
    async with await Client.join(hub, user_name="Elm") as other:
        client = await Client.join(hub)
        began, before = time.monotonic(), await other.mark()
        numbers = range(30)
        for number in numbers:
            answer = await client.rpc("video.set_meta", meta={"number": number})
            assert answer["code"] == "200"
        # Two are told of each change, so 30 of the 60 events were too many.
        assert time.monotonic() - began > 1.3
        # The others are read as fast as ever.
        await other.settled()
        updates = [p["room"]["meta"]["number"] for _, p in other.events[before:]]
        assert updates == list(numbers)


async def test_a_broken_socket_is_not_written_to_on_and_on(
    hub: TestHub, caplog: pytest.LogCaptureFixture
) -> None:
    client = await Client.join(hub)
    (member,) = hub.stages[0].room.members.values()
    client.socket.transport.abort()
    # All in one go, before the hub can have learnt of it.
    for number in range(200):
        member.session.send("video.room.updated", {"number": number})
    await client.gone()
    await until(lambda: member.session.link is None)
    assert not [one for one in caplog.records if one.levelname in ("WARNING", "ERROR")]


@pytest.mark.parametrize(("bad", "code"), [("x" * 300_000, 1009), (b"\xff", 1007)])
async def test_a_bad_frame_in_the_middle_of_many_events(
    hub: TestHub, caplog: pytest.LogCaptureFixture, bad: str | bytes, code: int
) -> None:
    client = await Client.join(hub)
    (member,) = hub.stages[0].room.members.values()
    await client.socket.send(bad, text=True)
    for number in range(1000):
        member.session.send("video.room.updated", {"number": number})
    assert await client.gone() == code
    await until(lambda: member.session.link is None)
    assert not [one for one in caplog.records if one.levelname in ("WARNING", "ERROR")]


async def test_acknowledgements_are_no_flood(make_hub: MakeHub) -> None:
    hub = await make_hub(Limits(burst=30, rate=0.1))
    async with await Client.join(hub, user_name="Elm") as listener:
        for _ in range(4):
            async with await Client.join(hub) as other:
                for number in range(20):
                    await other.rpc("video.set_meta", meta={"number": number, "by": other.call_id})
        await listener.settled()
        assert len(listener.events) > 80


async def test_who_does_not_acknowledge_is_closed(
    hub: TestHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.signaling.server.MAX_UNACKED", 20)
    async with await Client.join(hub, user_name="Elm") as other:
        lazy = await Client.join(hub)
        lazy.acks = False
        for number in range(30):
            await other.rpc("video.set_meta", meta={"number": number})
        assert await lazy.gone() == 1001


async def test_more_sockets_than_allowed_are_turned_away(make_hub: MakeHub) -> None:
    hub = await make_hub(Limits(sockets=2))
    async with await Client.connect(hub), await Client.connect(hub):
        with pytest.raises(websockets.InvalidStatus):
            await Client.open(hub)


async def test_a_stopping_hub_says_so(hub: TestHub) -> None:
    client = await Client.join(hub)
    await hub.stop()
    assert await client.gone() == 1012
    assert client.frames[-1]["method"] == "signalwire.disconnect"


# Coming back


async def test_a_client_comes_back_as_the_same_member(hub: TestHub) -> None:
    async with await Client.join(hub, user_name="Elm") as other:
        client = await Client.join(hub)
        await client.cut()
        resume = {
            "protocol": client.connected["protocol"],
            "authorization_state": client.authorization_state,
        }
        async with await Client.connect(hub, token(hub), **resume) as again:
            assert again.connected["protocol"] == client.connected["protocol"]
            assert again.connected["authorization"] == client.connected["authorization"]
            again.room_session_id = client.room_session_id
            members = (await again.rpc("video.members.get"))["members"]
            assert [member["name"] for member in members] == ["Elm", "Oak"]
            assert members[1]["id"] == client.member_id
            # Calls, events and the bye go on over the new socket.
            seen = await other.mark()
            await again.rpc("video.member.audio_mute", member_id=client.member_id)
            await again.event("video.member.updated")
            await again.verto(verto.bye(client.call_id), client.call_id)
            await other.event("video.member.left", since=seen)
        assert "video.member.left" not in other.names()[:seen]


async def test_what_was_missed_is_told_on_return(hub: TestHub) -> None:
    async with await Client.join(hub, user_name="Elm") as other:
        client = await Client.join(hub)
        await client.cut()
        await other.rpc("video.lock")
        await other.rpc("video.set_meta", meta={"a": 1})
        resume = {
            "protocol": client.connected["protocol"],
            "authorization_state": client.authorization_state,
        }
        async with await Client.connect(hub, token(hub), **resume) as again:
            await again.event("video.room.updated", lambda p: p["room"].get("meta") == {"a": 1})
            updates = [p["room"]["updated"] for n, p in again.events if n == "video.room.updated"]
            assert updates == [["locked"], ["meta"]]


async def test_what_went_into_a_dead_socket_is_told_again(hub: TestHub) -> None:
    """The hub does not know yet that the first socket is dead when the second comes."""
    async with await Client.join(hub, user_name="Elm") as other:
        client = await Client.join(hub)
        await client.settled()
        client.acks = False
        await other.rpc("video.lock")
        await client.event("video.room.updated")
        resume = {
            "protocol": client.connected["protocol"],
            "authorization_state": client.authorization_state,
        }
        async with await Client.connect(hub, token(hub), **resume) as again:
            await again.event("video.room.updated", lambda p: p["room"]["locked"])
            assert await client.gone() == 1001
            # The old socket's end does not count as the client's.
            await again.rpc("video.unlock", room_session_id=client.room_session_id)
            await other.event("video.room.updated", lambda p: not p["room"].get("locked", True))


async def test_an_expired_token_resumes_but_does_not_join(hub: TestHub) -> None:
    client = await Client.join(hub)
    await client.cut()
    resume = {
        "protocol": client.connected["protocol"],
        "authorization_state": client.authorization_state,
    }
    expired = token(hub, join_until=datetime.now(UTC) - timedelta(seconds=2))
    async with await Client.open(hub) as newcomer:
        assert "error" in await newcomer.send_connect(expired)
    async with await Client.connect(hub, expired, **resume) as again:
        assert again.connected["protocol"] == client.connected["protocol"]


async def test_the_time_to_join_is_asked_at_the_join(hub: TestHub) -> None:
    # A token knows whole seconds: one at least is left to come in.
    until = datetime.now(UTC) + timedelta(seconds=2)
    async with await Client.connect(hub, token(hub, join_until=until)) as client:
        while datetime.now(UTC) < until:
            await asyncio.sleep(0.05)
        answer = await client.verto(verto.invite(client.call_id, BOTH), client.call_id)
        assert answer["code"] == "403"
        assert "over" in answer["message"]


async def test_a_client_that_never_reads_cannot_hold_up_the_end(hub: TestHub) -> None:
    host, port = hub.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: " + f"{host}:{port}".encode() + b"\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        b"Sec-WebSocket-Version: 13\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    text = b'{"id":"' + b"i" * 150 + b'","method":"video.members.get"}'
    frame = b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text
    for _ in range(200):
        writer.write(frame)
    await writer.drain()
    async with asyncio.timeout(30):
        await hub.stop()
    writer.close()


@pytest.mark.parametrize("forged", ["authorization_state", "protocol"])
async def test_nobody_takes_over_a_session_without_its_proof(hub: TestHub, forged: str) -> None:
    async with await Client.join(hub) as victim:
        resume = {
            "protocol": victim.connected["protocol"],
            "authorization_state": victim.authorization_state,
        }
        resume[forged] = "signalwire_x_y_z"
        async with await Client.connect(hub, token(hub), **resume) as thief:
            assert thief.connected["protocol"] != victim.connected["protocol"]
            await victim.settled()


async def test_a_token_for_another_room_resumes_nothing(hub: TestHub) -> None:
    client = await Client.join(hub)
    await client.cut()
    resume = {
        "protocol": client.connected["protocol"],
        "authorization_state": client.authorization_state,
    }
    async with await Client.connect(hub, token(hub, room="other"), **resume) as again:
        assert again.connected["protocol"] != client.connected["protocol"]


async def test_after_the_grace_the_member_is_gone(make_hub: MakeHub) -> None:
    hub = await make_hub(Limits(grace=0.2))
    async with await Client.join(hub, user_name="Elm") as other:
        client = await Client.join(hub)
        await client.cut()
        left = await other.event("video.member.left")
        assert left["member"]["id"] == client.member_id
        resume = {
            "protocol": client.connected["protocol"],
            "authorization_state": client.authorization_state,
        }
        async with await Client.connect(hub, token(hub), **resume) as again:
            assert again.connected["protocol"] != client.connected["protocol"]


async def test_a_room_ends_with_its_last_client_s_grace(make_hub: MakeHub) -> None:
    hub = await make_hub(Limits(grace=0.1))
    client = await Client.join(hub)
    await client.cut()
    await until(lambda: hub.stages[0].closed)
    assert len(hub.rooms) == 0


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the operator reads of clients and members."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name in ("appliance.hub.gateway", "appliance.hub.calls", negotiation.__name__)
    ]


async def test_the_log_says_who_is_in_which_room_and_why_no_longer(
    make_hub: MakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    hub = await make_hub(Limits(grace=3))
    elm = await Client.join(hub, user_name="Elm")
    assert told(caplog) == [
        "Elm has connected to room demo as member (127.0.0.1, test)",
        "room demo: Elm (member) has joined",
    ]
    caplog.clear()
    await elm.cut()
    await until(lambda: len(told(caplog)) == 1)
    resume = {
        "protocol": elm.connected["protocol"],
        "authorization_state": elm.authorization_state,
    }
    back = await Client.connect(hub, token(hub, user_name="Elm"), **resume)
    assert told(caplog) == [
        "Elm has lost the connection to room demo (127.0.0.1), and may come back within 3 s",
        "Elm is back in room demo as member (127.0.0.1, test)",
    ]
    back.call_id, back.room_session_id = elm.call_id, elm.room_session_id
    caplog.clear()
    oak, ash, fir = [await Client.join(hub, user_name=name) for name in ("Oak", "Ash", "Fir")]
    yew = await Client.connect(hub, token(hub, "other", user_name="Yew", join_as="audience"))
    await yew.invite(RECEIVE)
    caplog.clear()
    await back.rpc("video.member.remove", member_id=oak.member_id)
    await oak.verto_event("verto.bye")
    await ash.verto(verto.bye(ash.call_id))
    await ash.close()
    await fir.cut()
    await until(lambda: "Fir (member) has left" in caplog.text)
    await hub.stop()
    lines = told(caplog)
    # When the hub learns of the end of a socket is its own affair.
    lost = "Fir has lost the connection to room demo (127.0.0.1), and may come back within 3 s"
    assert sorted(lines) == sorted(
        [
            "room demo: Oak (member) has left: Elm has removed it",
            "room demo: Ash (member) has left: it has hung up",
            "Ash has disconnected from room demo (127.0.0.1)",
            lost,
            "room demo: Fir (member) has left: its connection did not come back",
            "Oak has disconnected from room demo (127.0.0.1)",
            "room demo: Elm (member) has left: the hub stops",
            "room other: Yew (audience) has left: the hub stops",
        ]
    )
    for client in (back, oak, yew):
        await client.close()


async def test_the_log_says_what_else_ends_a_stay(
    make_hub: MakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    hub = await make_hub(Limits(media=1))
    async with await Client.join(hub, user_name="Elm") as elm:
        hub.peers[0].become(PeerState.CONNECTED)
        async with await Client.join(hub, user_name="Oak") as oak:
            await oak.verto_event("verto.bye")
        assert "room demo: Oak (member) has left: no media came for 1 s" in told(caplog)
        await elm.rpc("video.member.remove", member_id="all")
        await elm.verto_event("verto.bye")
        assert "room demo: Elm (member) has left: Elm has ended the room" in told(caplog)
    async with await Client.join(hub, user_name="Ash", remove_after_seconds_elapsed=1) as ash:
        hub.peers[-1].become(PeerState.CONNECTED)
        await ash.verto_event("verto.bye")
        assert told(caplog)[-1] == "room demo: Ash (member) has left: its time is over"


async def test_a_stranger_s_word_is_one_line_of_the_log(
    hub: TestHub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    forwarded = {"X-Forwarded-For": "10.0.0.7"}
    uri = hub.websocket_url + "/ws"
    socket = await websockets.connect(uri, additional_headers=forwarded, max_size=None)
    async with Client(socket) as client:
        await client.send_connect(token(hub), agent="a page\nElm has joined\x1b[31m")
        (line,) = told(caplog)
        about = "10.0.0.7, a page Elm has joined [31m"
        assert line == f"Oak has connected to room demo as member ({about})"


async def test_the_sdk_s_own_frames_are_all_understood(hub: TestHub) -> None:
    """Every request of the recording is answered as what it is, none as malformed."""
    async with await Client.join(hub) as client:
        for frame in frames():
            message = frame.message
            if message.get("method") in (None, "signalwire.connect", "signalwire.reauthenticate"):
                continue
            answer = await client.request(message["method"], message["params"])
            if "error" in answer:
                assert answer["error"]["code"] == -32601
                assert message["method"].split(".")[1] in ("recording", "playback", "stream")
