from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
)

from appliance.signaling import jsonrpc
from appliance.signaling.client import (
    Answered,
    ClientProtocol,
    Draining,
    Ignored,
    Phase,
    Pinged,
    Ready,
    Received,
    Refused,
    Resume,
)
from appliance.signaling.errors import (
    AuthError,
    Disconnected,
    NotFound,
    PermissionDenied,
    ProtocolError,
    RpcError,
)

TOKEN = "secret-token"
PROTOCOL = "signalwire_sig_4c1b_proj"
SESSION: dict[str, Any] = {
    "identity": "i@n",
    "protocol": PROTOCOL,
    "authorization": {"type": "video", "signature": "sig", "project_id": "proj"},
    "ice_servers": [{"urls": "stun:h:1"}],
}


def client(**options: Any) -> ClientProtocol:
    return ClientProtocol(TOKEN, agent="test/1", **options)


def sent(protocol: ClientProtocol) -> list[dict[str, Any]]:
    return [json.loads(frame.text) for frame in protocol.frames_to_send()]


def feed(protocol: ClientProtocol, frame: dict[str, Any]) -> None:
    protocol.receive(jsonrpc.dumps(frame))


def answer(protocol: ClientProtocol, identifier: Any, result: Any) -> None:
    feed(protocol, jsonrpc.result(identifier, result))


def event(protocol: ClientProtocol, kind: Any, params: Any, **extra: Any) -> None:
    body = {"event_type": kind, "params": params, **extra}
    feed(protocol, jsonrpc.request("signalwire.event", body, "e"))


def connect(protocol: ClientProtocol, session: dict[str, Any] = SESSION) -> dict[str, Any]:
    """Connect and be let in; returns the connect frame."""
    protocol.connected()
    (frame,) = sent(protocol)
    answer(protocol, frame["id"], session)
    return frame


def ready(**options: Any) -> ClientProtocol:
    protocol = client(**options)
    connect(protocol)
    assert protocol.events() == [Ready(SESSION, resumed=False)]
    return protocol


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
    assert protocol.session == SESSION
    assert protocol.authorization["signature"] == "sig"
    assert protocol.ice_servers == [{"urls": "stun:h:1"}]
    assert protocol.protocol == PROTOCOL
    assert protocol.resume == Resume(PROTOCOL)


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
    assert (protocol.authorization, protocol.ice_servers) == ({}, [])
    assert protocol.protocol is None
    assert protocol.resume is None
    assert protocol.expires_at is None


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


# Resuming.


def test_the_session_is_resumed_by_protocol_and_state():
    protocol = ready()
    event(protocol, "signalwire.authorization.state", {"authorization_state": "st:1"})
    event(protocol, "signalwire.authorization.state", {"authorization_state": "st:2"})
    assert protocol.events() == []
    assert [frame["result"] for frame in sent(protocol)] == [{}, {}]
    assert protocol.resume == Resume(PROTOCOL, "st:2")
    protocol.disconnected()
    frame = connect(protocol)
    assert frame["params"]["protocol"] == PROTOCOL
    assert frame["params"]["authorization_state"] == "st:2"
    assert protocol.events() == [Ready(SESSION, resumed=True)]


def test_another_protocol_in_the_answer_is_a_new_session():
    protocol = ready()
    event(protocol, "signalwire.authorization.state", {"authorization_state": "old"})
    protocol.frames_to_send()
    protocol.disconnected()
    other = {**SESSION, "protocol": "signalwire_sig_other_proj"}
    connect(protocol, other)
    assert protocol.events() == [Ready(other, resumed=False)]
    assert protocol.resume == Resume("signalwire_sig_other_proj", None)


@pytest.mark.parametrize("protocol_name", ["signalwire_other_4c1b_proj", "odd"])
def test_a_protocol_of_another_signature_is_not_offered(protocol_name: str):
    protocol = client()
    connect(protocol, {**SESSION, "protocol": protocol_name})
    assert protocol.resume is None
    protocol.disconnected()
    protocol.connected()
    (frame,) = sent(protocol)
    assert "protocol" not in frame["params"]


def test_a_session_of_an_earlier_process_is_continued():
    protocol = client(resume=Resume(PROTOCOL, "st"))
    frame = connect(protocol)
    assert frame["params"]["protocol"] == PROTOCOL
    assert frame["params"]["authorization_state"] == "st"
    assert protocol.events() == [Ready(SESSION, resumed=True)]


def test_nothing_remains_after_the_end():
    protocol = ready()
    protocol.close()
    assert protocol.resume is None
    protocol.connected()
    (frame,) = sent(protocol)
    assert "protocol" not in frame["params"]


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


# Renewal.


def test_a_new_token_replaces_the_session():
    protocol = ready()
    identifier = protocol.reauthenticate("new")
    assert identifier is not None
    (frame,) = sent(protocol)
    assert frame["method"] == "signalwire.reauthenticate"
    assert frame["params"] == {"authentication": {"project": "proj", "jwt_token": "new"}}
    assert protocol.token == TOKEN
    renewed = {"authorization": {**SESSION["authorization"], "expires_at": 77}}
    answer(protocol, identifier, renewed)
    assert protocol.events() == [Answered(identifier, renewed)]
    assert protocol.token == "new"
    assert protocol.expires_at == 77
    assert protocol.protocol == PROTOCOL
    protocol.disconnected()
    assert connect(protocol)["params"]["authentication"] == {"jwt_token": "new"}


@pytest.mark.parametrize(
    "reply",
    [
        {"error": {"code": -32002, "message": "bad new"}},
        {"result": {"code": "-32002", "message": "bad new"}},
    ],
)
def test_a_refused_new_token_changes_nothing(reply: dict[str, Any]):
    protocol = ready()
    identifier = protocol.reauthenticate("new")
    feed(protocol, {"id": identifier, **reply})
    (answered,) = protocol.events()
    assert isinstance(answered, Answered)
    assert isinstance(answered.error, AuthError)
    assert str(answered.error.code) == "-32002"
    assert answered.error.message == "bad [token]"
    assert protocol.token == TOKEN
    assert protocol.session == SESSION


def test_a_new_token_without_a_session_is_for_the_next_one():
    protocol = client()
    assert protocol.reauthenticate("new") is None
    assert connect(protocol)["params"]["authentication"] == {"jwt_token": "new"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1795376413, 1795376413.0),
        (1795376413.5, 1795376413.5),
        ("2026-11-23T07:00:13Z", 1795417213.0),
        ("2026-11-23T07:00:13", 1795417213.0),
        ("2026-11-23T08:00:13+01:00", 1795417213.0),
        ("tomorrow", None),
        (True, None),
        (None, None),
        ([], None),
        (10**400, None),
    ],
)
def test_when_the_authorization_ends(value: Any, expected: float | None):
    protocol = client()
    connect(protocol, {"authorization": {"expires_at": value}})
    assert protocol.expires_at == expected


# Anything at all.

KEYS = ["jsonrpc", "id", "method", "params", "result", "error"]
WORDS = [
    *KEYS,
    *("code", "message", "event_type", "timestamp", "authorization_state", "node_id"),
    *("signalwire.event", "signalwire.ping", "signalwire.disconnect", "webrtc.message"),
    *("signalwire.authorization.state", "video.member.updated", "verto.answer"),
    *("200", "403", "call-0", "call-1", "call-2", "call-3", "2.0"),
    "Requester validation failed",
]
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 3)
    | st.floats(allow_nan=False)
    | st.sampled_from(WORDS)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=15,
)
frames = st.dictionaries(st.sampled_from(KEYS), values, max_size=6)
texts = st.text() | values.map(json.dumps) | frames.map(json.dumps)


@given(st.lists(texts, max_size=6), st.booleans())
@example(["[" * 100_000, '{"method":"signalwire.ping","params":{"timestamp":1e999}}'], True)
@example(['{"id":"call-1","error":' + '{"code":' * 500 + "1" + "}" * 501], True)
@example(['{"id":"call-0","result":5}', '{"id":"call-1","result":{}}'], False)
def test_no_text_corrupts_the_requests(inputs: list[str], let_in: bool):
    numbers = iter(range(1000))
    protocol = client(new_id=lambda: f"call-{next(numbers)}")
    protocol.connected()  # call-0
    if let_in:
        answer(protocol, "call-0", SESSION)
        protocol.events()
    open_calls = {protocol.call("a", {}), protocol.call("b", {})}
    for text in inputs:
        before = protocol.pending
        try:
            protocol.receive(text)
        except ProtocolError:
            assert protocol.pending == before
        ended = [e.id for e in protocol.events() if isinstance(e, Answered)]
        # A request ends once, at its own answer and at nothing else.
        assert len(ended) == len(set(ended)) <= 1
        for identifier in ended:
            assert identifier in before
            assert jsonrpc.parse(text).id == identifier
            open_calls.remove(identifier)
        assert protocol.pending | protocol.waiting == open_calls
        for frame in protocol.frames_to_send():
            jsonrpc.parse(frame.text)


class Session(RuleBasedStateMachine):
    """Any order of calls, answers and losses: each call ends exactly once."""

    calls: Bundle[str] = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.protocol = client()
        self.online = False
        self.let_in = False
        self.connect_id = ""
        self.open: set[str] = set()
        self.on_wire: set[str] = set()
        self.never_sent: set[str] = set()

    @rule(target=calls)
    def call(self) -> str:
        identifier = self.protocol.call("m", {})
        self.open.add(identifier)
        self.never_sent.add(identifier)
        return identifier

    @rule(identifier=consumes(calls))
    def forget(self, identifier: str) -> None:
        self.protocol.forget(identifier)
        self.open.discard(identifier)

    @precondition(lambda self: not self.online)
    @rule()
    def connect(self) -> None:
        self.online = True
        self.protocol.connected()

    @precondition(lambda self: self.connect_id)
    @rule()
    def be_let_in(self) -> None:
        answer(self.protocol, self.connect_id, SESSION)
        self.connect_id, self.let_in = "", True

    @precondition(lambda self: self.let_in)
    @rule()
    def be_told_to_leave(self) -> None:
        feed(self.protocol, {"id": "d", "method": "signalwire.disconnect"})
        self.let_in = False

    @precondition(lambda self: self.online)
    @rule()
    def lose(self) -> None:
        self.protocol.disconnected()
        self.online = self.let_in = False
        self.connect_id = ""
        self.on_wire.clear()

    @rule(identifier=calls, good=st.booleans())
    def answer(self, identifier: str, good: bool) -> None:
        # An answer may also come to what was never sent, or is over.
        if good:
            answer(self.protocol, identifier, {"code": "200"})
        else:
            feed(self.protocol, jsonrpc.error(identifier, 1, "no"))

    @invariant()
    def nothing_is_lost(self) -> None:
        for event in self.protocol.events():
            if isinstance(event, Answered):
                self.open.remove(event.id)  # KeyError: it ended twice, or was forgotten
                assert (event.result is None) != (event.error is None)
        for frame in self.protocol.frames_to_send():
            if frame.request_id is None:
                continue
            if json.loads(frame.text)["method"] == "signalwire.connect":
                self.connect_id = frame.request_id
                continue
            assert self.let_in, "a request left without a session"
            self.never_sent.remove(frame.request_id)  # KeyError: it was sent twice
            self.on_wire.add(frame.request_id)
        assert self.protocol.pending | self.protocol.waiting == self.open
        assert not self.protocol.pending & self.protocol.waiting
        if self.let_in:
            assert not self.protocol.waiting, "a request waits although there is a session"
            assert self.protocol.pending <= self.on_wire

    def teardown(self) -> None:
        self.protocol.close()
        self.nothing_is_lost()
        assert not self.open


TestSession = Session.TestCase
