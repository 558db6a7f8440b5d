"""The server's side of a socket, without a socket."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.signaling import server, verto
from appliance.signaling.client import ClientProtocol
from appliance.signaling.server import (
    Closing,
    Connect,
    Reauthenticate,
    Rpc,
    ServerProtocol,
    VertoCall,
)
from tests.appliance.signaling.golden import frames

NODE = "node@test"


def sent(protocol: ServerProtocol) -> list[dict[str, Any]]:
    return [json.loads(text) for text in protocol.frames_to_send()]


def connect_frame(**params: Any) -> str:
    given_params = {"authentication": {"jwt_token": "t"}, "event_acks": True, **params}
    return json.dumps({"id": "c", "method": "signalwire.connect", "params": given_params})


def connected(**params: Any) -> ServerProtocol:
    protocol = ServerProtocol(NODE)
    connect = protocol.receive(connect_frame(**params))
    assert isinstance(connect, Connect)
    protocol.accept(connect, {"protocol": "p"})
    sent(protocol)
    return protocol


def test_connect_and_its_answer() -> None:
    protocol = ServerProtocol(NODE)
    frame = connect_frame(protocol="p", authorization_state="s", agent="a" * 300)
    connect = protocol.receive(frame)
    assert connect == Connect("c", "t", "p", "s", "a" * 200, True)
    assert not protocol.connected
    protocol.accept(connect, {"protocol": "q"})
    assert protocol.connected
    assert sent(protocol) == [{"jsonrpc": "2.0", "id": "c", "result": {"protocol": "q"}}]


def test_a_refusal_is_sent_before_the_close() -> None:
    protocol = ServerProtocol(NODE)
    connect = protocol.receive(connect_frame())
    assert isinstance(connect, Connect)
    protocol.refuse(connect, server.AUTH_FAILED, "no")
    assert protocol.closing is Closing.AUTH
    assert sent(protocol)[0]["error"] == {"code": -32002, "message": "no"}
    # Nothing counts any more.
    assert protocol.receive(connect_frame()) is None
    assert sent(protocol) == []


def test_the_recorded_requests_are_what_they_are() -> None:
    protocol = connected()
    kinds = {"signalwire.connect": None, "signalwire.reauthenticate": Reauthenticate}
    for frame in frames():
        message = frame.message
        incoming = protocol.receive(json.dumps(message))
        method = message.get("method")
        if method is None or frame.kind == "verto.reply":
            assert incoming is None
        elif method == "video.message":
            assert isinstance(incoming, VertoCall)
            inner = message["params"]["message"]
            assert (incoming.id, incoming.message_id) == (message["id"], inner["id"])
            assert incoming.method == inner["method"]
            assert incoming.params == inner["params"]
            dialog = inner["params"].get("dialogParams", inner["params"])
            assert incoming.call_id == dialog["callID"]
        elif method == "signalwire.connect":
            # A second one on the same socket.
            assert incoming is None
        else:
            assert isinstance(incoming, kinds.get(method, Rpc))
    assert protocol.closing is None


def test_an_acknowledgement_of_verto_is_answered_by_itself() -> None:
    protocol = connected()
    params = verto.envelope(verto.reply(1, "verto.answer"), node_id=NODE)
    frame = {"id": "a", "method": "video.message", "params": params}
    assert protocol.receive(json.dumps(frame)) is None
    result = {"code": "200", "node_id": NODE, "result": {}}
    assert sent(protocol) == [{"jsonrpc": "2.0", "id": "a", "result": result}]


def test_verto_answers_are_in_two_envelopes() -> None:
    protocol = connected()
    params = verto.envelope(verto.bye("call"), call_id="call")
    frame = {"id": "a", "method": "video.message", "params": params}
    call = protocol.receive(json.dumps(frame))
    assert isinstance(call, VertoCall)
    protocol.verto_reply(call, {"message": "CALL ENDED"})
    protocol.verto_error(call, -1, "no")
    good, bad = (answer["result"] for answer in sent(protocol))
    assert good["code"] == bad["code"] == "200"
    assert good["node_id"] == NODE
    assert good["result"] == {
        "jsonrpc": "2.0",
        "id": params["message"]["id"],
        "result": {"message": "CALL ENDED"},
    }
    assert bad["result"]["error"] == {"code": -1, "message": "no"}


def test_events_are_remembered_until_acknowledged() -> None:
    protocol = connected()
    protocol.event({"event_type": "a"})
    protocol.event({"event_type": "b"})
    first, second = sent(protocol)
    assert first["method"] == "signalwire.event"
    assert protocol.unacked_events() == [{"event_type": "a"}, {"event_type": "b"}]
    protocol.receive(json.dumps({"id": first["id"], "result": {}}))
    assert protocol.unacked_events() == [{"event_type": "b"}]
    protocol.receive(json.dumps({"id": second["id"], "error": {"code": 1}}))
    assert protocol.unacked_events() == []


def test_a_client_that_promised_acknowledgements_has_to_keep_up() -> None:
    protocol = connected()
    for _ in range(server.MAX_UNACKED):
        protocol.event({})
    assert protocol.closing is None
    protocol.event({})
    assert protocol.closing is Closing.STALLED


def test_a_client_that_promised_none_need_not() -> None:
    protocol = connected(event_acks=False)
    for _ in range(server.MAX_UNACKED * 2):
        protocol.event({})
    assert protocol.closing is None
    assert protocol.unacked_events() == []


def test_pings() -> None:
    protocol = connected()
    protocol.ping(17.5)
    (ping,) = sent(protocol)
    assert (ping["method"], ping["params"]) == ("signalwire.ping", {"timestamp": 17.5})
    protocol.receive(json.dumps({"id": ping["id"], "result": {"timestamp": 17.5}}))
    for _ in range(server.MAX_PINGS):
        protocol.ping(1)
    assert protocol.closing is None
    # One answer is life enough, also a late one.
    protocol.receive(json.dumps({"id": sent(protocol)[0]["id"], "result": {}}))
    for _ in range(server.MAX_PINGS):
        protocol.ping(1)
    assert protocol.closing is None
    protocol.ping(1)
    assert protocol.closing is Closing.STALLED


def test_bad_frames_in_a_row_close_and_good_ones_forgive() -> None:
    protocol = connected()
    good = json.dumps({"id": "x", "method": "video.get_meta", "params": {}})
    for _ in range(3):
        for _ in range(server.MAX_BAD_FRAMES - 1):
            protocol.receive("{")
        assert isinstance(protocol.receive(good), Rpc)
    assert protocol.closing is None
    for _ in range(server.MAX_BAD_FRAMES):
        protocol.receive("{")
    assert protocol.closing is Closing.POLICY


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("", -32700),
        ("[]", -32700),
        ('{"id":true,"method":"x"}', -32700),
        ('{"id":"x","method":7}', -32700),
        ('{"id":"x","method":"y","params":[]}', -32700),
        ("[" * 100_000, -32700),
        ('{"method":"x"}', -32600),
        ("{}", -32600),
        ('{"id":"x","method":"video.message"}', -32602),
        ('{"id":"x","method":"video.message","params":{"message":{"method":7}}}', -32602),
        ('{"id":"x","method":"video.message","params":{"message":{"method":"v"}}}', -32602),
        ('{"id":"x","method":"video.message","params":{"message":{"method":"v","id":1}}}', -32602),
        ('{"id":"x","method":"signalwire.reauthenticate","params":{}}', -32602),
        ('{"id":"x","method":"signalwire.connect"}', -32600),
    ],
)
def test_what_is_wrong_is_answered(frame: str, code: int) -> None:
    protocol = connected()
    assert protocol.receive(frame) is None
    (answer,) = sent(protocol)
    assert answer["error"]["code"] == code
    assert "\n" not in answer["error"]["message"]
    assert protocol.closing is None


def test_before_connect_only_connect_counts() -> None:
    protocol = ServerProtocol(NODE)
    assert protocol.receive('{"id":"x","method":"video.get_meta"}') is None
    assert sent(protocol)[0]["error"]["code"] == server.NOT_CONNECTED


@given(st.lists(st.text(max_size=40) | st.binary(max_size=40).map(lambda b: b.decode("latin-1"))))
def test_no_text_raises(texts: list[str]) -> None:
    protocol = connected()
    for text in texts:
        protocol.receive(text)
        for frame in protocol.frames_to_send():
            assert frame.isascii()


def test_our_own_client_understands_our_server() -> None:
    """Both state machines, back to back."""
    client, protocol = ClientProtocol("token", agent="test"), ServerProtocol(NODE)
    client.connected()
    for frame in client.frames_to_send():
        connect = protocol.receive(frame.text)
        assert isinstance(connect, Connect)
        assert connect.token == "token"
        assert connect.event_acks
        protocol.accept(connect, {"protocol": "signalwire_x_y_z", "authorization": {}})
    protocol.event({"event_type": "video.room.updated", "params": {"a": 1}})
    protocol.ping(5)
    for text in protocol.frames_to_send():
        client.receive(text)
    for frame in client.frames_to_send():
        assert protocol.receive(frame.text) is None
    assert protocol.unacked_events() == []


def test_who_does_not_read_gets_no_more_memory() -> None:
    protocol = connected(event_acks=False)
    event = {"event_type": "video.room.updated", "params": {"meta": "m" * 100_000}}
    sent_at_most = server.MAX_WAITING // 100_000 + 2
    for _ in range(sent_at_most):
        protocol.event(event)
    assert protocol.closing is Closing.STALLED
    assert protocol.next_frame() is None


def test_reading_makes_room_again() -> None:
    protocol = connected(event_acks=False)
    event = {"event_type": "video.room.updated", "params": {"meta": "m" * 100_000}}
    for _ in range(2 * server.MAX_WAITING // 100_000):
        protocol.event(event)
        assert protocol.next_frame() is not None
    assert protocol.closing is None


def test_a_long_id_is_not_sent_back() -> None:
    protocol = ServerProtocol(NODE)
    protocol.receive(json.dumps({"id": "i" * 10_000, "method": "video.members.get"}))
    (answer,) = sent(protocol)
    assert answer["id"] is None
    assert len(json.dumps(answer)) < 500
