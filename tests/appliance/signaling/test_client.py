"""The client's protocol: connecting, requests, and what the server asks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from appliance.signaling import jsonrpc
from appliance.signaling.client import Phase
from appliance.signaling.client_events import (
    Answered,
    Draining,
    Ignored,
    Pinged,
    Ready,
    Received,
    Refused,
)
from appliance.signaling.client_session import Resume
from appliance.signaling.errors import (
    AuthError,
    Disconnected,
    NotFound,
    PermissionDenied,
    ProtocolError,
    RpcError,
)
from tests.appliance.signaling.protocol import (
    PROTOCOL,
    SESSION,
    TOKEN,
    answer,
    client,
    connect,
    event,
    feed,
    ready,
    sent,
)

# Connecting.


def test_the_first_frame_asks_to_be_let_in():
    protocol = client()
    protocol.connected()
    assert protocol.phase is Phase.AUTHENTICATING
    (frame,) = protocol.frames_to_send()
    message = json.loads(frame.text)
    assert frame.request_id == message["id"]
    assert message["method"] == "signalwire.connect"
    assert message["params"] == {
        "version": {"major": 3, "minor": 0, "revision": 0},
        "event_acks": True,
        "agent": "test/1",
        "authentication": {"jwt_token": TOKEN},
    }


def test_the_session_is_known_afterwards():
    protocol = ready()
    assert protocol.phase is Phase.READY
    assert protocol.session.result == SESSION
    assert protocol.session.authorization["signature"] == "sig"
    assert protocol.session.ice_servers == [{"urls": "stun:h:1"}]
    assert protocol.session.protocol == PROTOCOL
    assert protocol.session.resume == Resume(PROTOCOL)


def test_a_connect_result_is_not_unwrapped():
    protocol = client()
    strange = {"code": "500", "result": {"jsonrpc": "2.0", "error": {"code": 1}}}
    connect(protocol, strange)
    assert protocol.events() == [Ready(strange, resumed=False)]


@pytest.mark.parametrize(
    "session", [{}, {"authorization": [], "ice_servers": {}, "protocol": 4}, {"protocol": ""}]
)
def test_a_sparing_server_is_enough(session: dict[str, Any]):
    protocol = client()
    connect(protocol, session)
    assert protocol.phase is Phase.READY
    assert (protocol.session.authorization, protocol.session.ice_servers) == ({}, [])
    assert protocol.session.protocol is None
    assert protocol.session.resume is None
    assert protocol.session.expires_at is None


def test_a_refused_token_ends_it():
    protocol = client()
    protocol.connected()
    (frame,) = sent(protocol)
    feed(protocol, jsonrpc.error(frame["id"], -32002, f"401 Unauthorized: {TOKEN}"))
    (refused,) = protocol.events()
    assert isinstance(refused, Refused)
    assert isinstance(refused.error, AuthError)
    assert refused.error.code == -32002
    assert refused.error.message == "401 Unauthorized: [token]"
    assert protocol.phase is Phase.OFFLINE
    assert sent(protocol) == []


def test_a_connect_answer_of_a_wrong_type_ends_it():
    protocol = client()
    protocol.connected()
    (frame,) = sent(protocol)
    answer(protocol, frame["id"], 5)
    (refused,) = protocol.events()
    assert isinstance(refused, Refused)
    assert isinstance(refused.error, ProtocolError)


def test_a_session_that_is_gone_is_asked_for_anew_once():
    protocol = ready()
    protocol.disconnected()
    protocol.connected()
    (resume,) = sent(protocol)
    assert resume["params"]["protocol"] == PROTOCOL
    feed(protocol, jsonrpc.error(resume["id"], -32003, "Requester validation failed"))
    (fresh,) = sent(protocol)
    assert fresh["id"] != resume["id"]
    assert "protocol" not in fresh["params"]
    assert "authorization_state" not in fresh["params"]
    assert protocol.events() == []
    feed(protocol, jsonrpc.error(fresh["id"], -32003, "Requester validation failed"))
    (refused,) = protocol.events()
    assert isinstance(refused, Refused)
    assert sent(protocol) == []


def test_the_second_try_can_succeed_as_a_new_session():
    protocol = ready()
    protocol.disconnected()
    protocol.connected()
    (resume,) = sent(protocol)
    feed(protocol, jsonrpc.error(resume["id"], 1, "Requester validation failed"))
    (fresh,) = sent(protocol)
    answer(protocol, fresh["id"], SESSION)
    assert protocol.events() == [Ready(SESSION, resumed=False)]


# Requests.


def test_a_request_and_its_answer():
    protocol = ready()
    identifier = protocol.call("video.members.get", {"room_session_id": "rs"})
    (frame,) = protocol.frames_to_send()
    assert frame.request_id == identifier
    assert json.loads(frame.text) == {
        "jsonrpc": "2.0",
        "id": identifier,
        "method": "video.members.get",
        "params": {"room_session_id": "rs"},
    }
    assert protocol.pending == {identifier}
    answer(protocol, identifier, {"code": "200", "members": []})
    assert protocol.events() == [Answered(identifier, {"code": "200", "members": []})]
    assert protocol.pending == frozenset()


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ({"result": {"code": "403", "message": "Unauthorized"}}, PermissionDenied),
        ({"result": {"code": "404", "message": "x"}}, NotFound),
        ({"error": {"code": -32601, "message": "x"}}, RpcError),
        ({"error": "text"}, RpcError),
        ({"result": [1]}, ProtocolError),
        ({"result": False}, ProtocolError),
        ({"result": {"result": {"jsonrpc": "2.0", "error": {"code": 3}}}}, RpcError),
    ],
)
def test_failed_answers(reply: dict[str, Any], kind: type):
    protocol = ready()
    identifier = protocol.call("video.set_layout", {})
    feed(protocol, {"jsonrpc": "2.0", "id": identifier, **reply})
    (answered,) = protocol.events()
    assert isinstance(answered, Answered)
    assert type(answered.error) is kind
    assert "video.set_layout" in str(answered.error)
    assert protocol.pending == frozenset()


def test_an_answer_without_a_result_is_an_empty_one():
    protocol = ready()
    identifier = protocol.call("video.lock", {})
    feed(protocol, {"id": identifier})
    assert protocol.events() == [Answered(identifier, {})]


def test_requests_wait_for_the_session_in_order():
    protocol = client()
    first, second = protocol.call("a", {}), protocol.call("b", {})
    assert protocol.waiting == {first, second}
    connect(protocol)
    frames = protocol.frames_to_send()
    assert [frame.request_id for frame in frames] == [first, second]
    assert protocol.pending == {first, second}
    assert protocol.waiting == frozenset()


def test_a_lost_socket_fails_what_was_sent_and_keeps_what_was_not():
    protocol = ready()
    sent_one = protocol.call("video.lock", {})
    protocol.frames_to_send()
    protocol.disconnected("the cable was pulled")
    waiting = protocol.call("video.unlock", {})
    (answered,) = protocol.events()
    assert isinstance(answered, Answered)
    assert answered.id == sent_one
    assert isinstance(answered.error, Disconnected)
    assert "video.lock: the cable was pulled" in str(answered.error)
    connect(protocol)
    assert [frame["id"] for frame in sent(protocol)] == [waiting]


def test_the_end_fails_all():
    protocol = ready()
    pending = protocol.call("a", {})
    feed(protocol, {"id": "d", "method": "signalwire.disconnect"})
    protocol.events()
    waiting = protocol.call("b", {})
    protocol.close()
    ends = {e.id: e.error for e in protocol.events() if isinstance(e, Answered)}
    assert ends.keys() == {pending, waiting}
    assert all(isinstance(error, Disconnected) for error in ends.values())


def test_a_forgotten_request_is_not_sent():
    protocol = client()
    identifier = protocol.call("a", {})
    protocol.forget(identifier)
    connect(protocol)
    assert sent(protocol) == []
    identifier = protocol.call("a", {})
    protocol.forget(identifier)
    assert sent(protocol) == []


def test_an_answer_to_a_forgotten_request_is_ignored():
    protocol = ready()
    identifier = protocol.call("a", {})
    protocol.frames_to_send()
    protocol.forget(identifier)
    answer(protocol, identifier, {})
    (ignored,) = protocol.events()
    assert isinstance(ignored, Ignored)


def test_a_second_answer_is_ignored():
    protocol = ready()
    identifier, other = protocol.call("a", {}), protocol.call("b", {})
    answer(protocol, identifier, {"n": 1})
    answer(protocol, identifier, {"n": 2})
    first, second = protocol.events()
    assert first == Answered(identifier, {"n": 1})
    assert isinstance(second, Ignored)
    assert protocol.pending == {other}


@pytest.mark.parametrize("identifier", [None, 1, "unknown", ""])
def test_an_answer_to_nothing_is_ignored(identifier: Any):
    protocol = ready()
    call = protocol.call("a", {})
    answer(protocol, identifier, {})
    (ignored,) = protocol.events()
    assert isinstance(ignored, Ignored)
    assert protocol.pending == {call}


def test_params_that_json_cannot_say_change_nothing():
    protocol = ready()
    with pytest.raises(TypeError):
        protocol.call("a", {"x": object()})
    with pytest.raises(ValueError):
        protocol.call("a", {"x": float("inf")})
    assert protocol.pending == protocol.waiting == frozenset()
    assert sent(protocol) == []


# What the server asks.


def test_an_event_is_acknowledged_and_told():
    protocol = ready()
    event(protocol, "video.member.updated", {"member": {"id": "m"}}, timestamp=1, event_channel=[])
    assert sent(protocol) == [{"jsonrpc": "2.0", "id": "e", "result": {}}]
    assert protocol.events() == [Received("video.member.updated", {"member": {"id": "m"}})]


def test_a_verto_message_keeps_its_node():
    protocol = ready()
    message = {"id": 1, "method": "verto.answer", "params": {"callID": "c"}}
    event(protocol, "webrtc.message", message, node_id="n@1", project_id="p")
    assert protocol.events() == [Received("webrtc.message", {**message, "node_id": "n@1"})]


def test_an_event_twice_is_acknowledged_twice():
    protocol = ready()
    event(protocol, "video.room.ended", {})
    event(protocol, "video.room.ended", {})
    assert len(sent(protocol)) == len(protocol.events()) == 2


@pytest.mark.parametrize(
    ("kind", "params"), [(None, {}), (5, {}), ("video.x", []), ("video.x", "")]
)
def test_an_odd_event_is_acknowledged_and_ignored(kind: Any, params: Any):
    protocol = ready()
    event(protocol, kind, params)
    assert len(sent(protocol)) == 1
    (ignored,) = protocol.events()
    assert isinstance(ignored, Ignored)


def test_an_event_without_params_is_an_empty_one():
    protocol = ready()
    event(protocol, "video.room.ended", None)
    assert protocol.events() == [Received("video.room.ended", {})]


@pytest.mark.parametrize("stamp", [1795376413.7010148, 3, "soon"])
def test_a_ping_is_answered_with_its_timestamp(stamp: Any):
    protocol = ready()
    feed(protocol, jsonrpc.request("signalwire.ping", {"timestamp": stamp}, "p"))
    assert sent(protocol) == [{"jsonrpc": "2.0", "id": "p", "result": {"timestamp": stamp}}]
    assert protocol.events() == [Pinged()]


@pytest.mark.parametrize("params", [{}, {"timestamp": None}, {"timestamp": [[]]}])
def test_a_ping_without_a_timestamp_is_answered_too(params: dict[str, Any]):
    protocol = ready()
    feed(protocol, jsonrpc.request("signalwire.ping", params, "p"))
    assert sent(protocol) == [{"jsonrpc": "2.0", "id": "p", "result": {}}]


def test_after_a_disconnect_new_requests_wait():
    protocol = ready()
    old = protocol.call("a", {})
    protocol.frames_to_send()
    feed(protocol, {"id": "d", "method": "signalwire.disconnect"})
    assert sent(protocol) == [{"jsonrpc": "2.0", "id": "d", "result": {}}]
    assert protocol.events() == [Draining()]
    assert protocol.phase is Phase.DRAINING
    new = protocol.call("b", {})
    assert sent(protocol) == []
    answer(protocol, old, {})
    assert protocol.events() == [Answered(old, {})]
    protocol.disconnected()
    frame = connect(protocol)
    assert frame["params"]["protocol"] == PROTOCOL
    assert [f["id"] for f in sent(protocol)] == [new]


def test_a_disconnect_before_the_session_does_not_undo_it():
    protocol = client()
    protocol.connected()
    (frame,) = sent(protocol)
    feed(protocol, {"id": "d", "method": "signalwire.disconnect"})
    answer(protocol, frame["id"], SESSION)
    assert protocol.phase is Phase.READY


def test_other_methods_are_ignored_unanswered():
    protocol = ready()
    feed(protocol, jsonrpc.request("signalwire.surprise", {}, "s"))
    assert sent(protocol) == []
    assert protocol.events() == [Ignored("a request for 'signalwire.surprise'")]


def test_a_notification_gets_no_answer():
    protocol = ready()
    feed(protocol, {"method": "signalwire.ping", "params": {"timestamp": 1}})
    assert sent(protocol) == []
    assert protocol.events() == [Pinged()]
