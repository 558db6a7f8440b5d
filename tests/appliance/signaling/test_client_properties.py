"""Whatever comes in whatever order, each request of the client ends once."""

from __future__ import annotations

import json

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
from appliance.signaling.client_events import (
    Answered,
)
from appliance.signaling.errors import (
    ProtocolError,
)
from tests.appliance.signaling.protocol import (
    SESSION,
    answer,
    client,
    feed,
)

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
