"""The client's session: how it is resumed and renewed."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.signaling.client_events import (
    Answered,
    Ready,
)
from appliance.signaling.client_session import Resume
from appliance.signaling.errors import (
    AuthError,
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

# Resuming.


def test_the_session_is_resumed_by_protocol_and_state():
    protocol = ready()
    event(protocol, "signalwire.authorization.state", {"authorization_state": "st:1"})
    event(protocol, "signalwire.authorization.state", {"authorization_state": "st:2"})
    assert protocol.events() == []
    assert [frame["result"] for frame in sent(protocol)] == [{}, {}]
    assert protocol.session.resume == Resume(PROTOCOL, "st:2")
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
    assert protocol.session.resume == Resume("signalwire_sig_other_proj", None)


@pytest.mark.parametrize("protocol_name", ["signalwire_other_4c1b_proj", "odd"])
def test_a_protocol_of_another_signature_is_not_offered(protocol_name: str):
    protocol = client()
    connect(protocol, {**SESSION, "protocol": protocol_name})
    assert protocol.session.resume is None
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
    assert protocol.session.resume is None
    protocol.connected()
    (frame,) = sent(protocol)
    assert "protocol" not in frame["params"]


# Renewal.


def test_a_new_token_replaces_the_session():
    protocol = ready()
    identifier = protocol.reauthenticate("new")
    assert identifier is not None
    (frame,) = sent(protocol)
    assert frame["method"] == "signalwire.reauthenticate"
    assert frame["params"] == {"authentication": {"project": "proj", "jwt_token": "new"}}
    assert protocol.session.token == TOKEN
    renewed = {"authorization": {**SESSION["authorization"], "expires_at": 77}}
    answer(protocol, identifier, renewed)
    assert protocol.events() == [Answered(identifier, renewed)]
    assert protocol.session.token == "new"
    assert protocol.session.expires_at == 77
    assert protocol.session.protocol == PROTOCOL
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
    assert protocol.session.token == TOKEN
    assert protocol.session.result == SESSION


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
    assert protocol.session.expires_at == expected
