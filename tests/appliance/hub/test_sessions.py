"""A client is one whichever socket carries it, comes back to what it missed, and ends once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from appliance.hub.legs import Leg
from appliance.hub.members import Member
from appliance.hub.roles import Role
from appliance.hub.sessions import OUTBOX, Session, Sessions
from appliance.hub.tokens import TokenOptions
from tests.appliance.hub.hub_client import until
from tests.appliance.hub.quiet_room import open_room

DEMO = TokenOptions(room_name="demo", user_name="Oak")


class Socket:
    """A link that keeps what is sent into it, and takes none of it as received."""

    def __init__(self) -> None:
        self.events: list[Mapping[str, Any]] = []
        self.acked = 0
        self.closed: list[str] = []

    def event(self, params: Mapping[str, Any]) -> None:
        self.events.append(params)

    def unacked_events(self) -> list[Mapping[str, Any]]:
        return self.events[self.acked :]

    def close(self, reason: str) -> None:
        self.closed.append(reason)

    @property
    def numbers(self) -> list[Any]:
        return [one["params"].get("number") for one in self.events]


class Clients:
    """Sessions that note whose time has ended."""

    def __init__(self, grace: float = 1000.0, *, drops_legs: bool = True) -> None:
        self.ended: list[Session] = []
        self.sessions = Sessions(project="project", node_id="node", grace=grace, on_end=self._end)
        self._drops_legs = drops_legs

    def connect(self, options: TokenOptions = DEMO) -> tuple[Session, Socket]:
        session, socket = self.sessions.create(options), Socket()
        self.sessions.attach(session, socket)
        return session, socket

    def _end(self, session: Session) -> None:
        self.ended.append(session)
        if self._drops_legs:
            # As the hub's calls do it: each that goes is told in its turn.
            for leg in list(session.legs.values()):
                leg.end()
                self.sessions.settle(session)


@pytest.fixture
def clients() -> Clients:
    return Clients()


def call(session: Session, call_id: str = "call") -> Leg:
    return Leg.invited(call_id, "main", session, open_room(), "member", {})


def tell(session: Session, *numbers: int) -> None:
    for number in numbers:
        session.send("video.room.updated", {"number": number})


# What is sent


def test_an_event_goes_out_at_once_with_its_time_and_channel(clients: Clients) -> None:
    session, socket = clients.connect()
    before = time.time()
    session.send("video.room.updated", {"a": 1}, "room.x")
    session.send("video.room.updated", {"a": 2})
    first, second = socket.events
    assert before - 0.001 <= first["timestamp"] <= time.time() + 0.001
    assert {key: first[key] for key in first if key != "timestamp"} == {
        "event_type": "video.room.updated",
        "params": {"a": 1},
        "event_channel": "room.x",
    }
    assert "event_channel" not in second


def test_verto_requests_are_counted_and_go_to_the_session_s_own_channel(clients: Clients) -> None:
    (session, socket), (other, elsewhere) = clients.connect(), clients.connect()
    params = {"callID": "c"}
    session.send_verto("verto.bye", params)
    session.send_verto("verto.answer", {})
    other.send_verto("verto.bye", {})
    params["callID"] = "changed later"
    assert [one["params"] for one in socket.events] == [
        {"jsonrpc": "2.0", "id": 1, "method": "verto.bye", "params": {"callID": "c"}},
        {"jsonrpc": "2.0", "id": 2, "method": "verto.answer", "params": {}},
    ]
    assert elsewhere.events[0]["params"]["id"] == 1
    about = socket.events[0]
    assert (about["event_type"], about["event_channel"]) == ("webrtc.message", session.protocol)
    assert (about["project_id"], about["node_id"]) == ("project", "node")


def test_who_is_away_gets_it_on_return_in_order_and_once(clients: Clients) -> None:
    session, socket = clients.connect()
    session.link = None
    tell(session, 1, 2)
    session.send_verto("verto.bye", {})
    assert socket.events == []
    # Nobody is there yet: it is kept.
    session.flush()
    back = Socket()
    clients.sessions.attach(session, back)
    session.flush()
    tell(session, 3)
    assert back.numbers == [1, 2, None, 3]
    session.flush()
    assert len(back.events) == 4


def test_of_too_much_the_oldest_is_lost(clients: Clients) -> None:
    session = clients.sessions.create(DEMO)
    # Each way that there is to keep them: at first, after a return, and of a lost socket.
    for _ in range(2):
        session.link = None
        tell(session, *range(OUTBOX + 7))
        clients.sessions.attach(session, socket := Socket())
        session.flush()
        assert socket.numbers == list(range(7, OUTBOX + 7))
    socket.acked = len(socket.events)
    tell(session, 1, 2)
    session.link = None
    tell(session, *range(3, OUTBOX + 2))
    # What went into the lost socket came before all that was said since.
    session.recall(socket.unacked_events())
    clients.sessions.attach(session, back := Socket())
    session.flush()
    assert back.numbers == list(range(2, OUTBOX + 2))


async def test_what_a_lost_socket_took_is_told_again_but_no_answer(clients: Clients) -> None:
    session, socket = clients.connect()
    tell(session, 1)
    session.send_verto("verto.answer", {"sdp": "old"})
    session.send_verto("verto.bye", {})
    tell(session, 2)
    socket.acked = 1
    call(session)
    clients.sessions.detach(session, socket)
    # One that was made while it was away was never taken.
    session.send_verto("verto.answer", {"sdp": "new"})
    tell(session, 3)
    clients.sessions.attach(session, back := Socket())
    session.flush()
    assert [one["params"].get("method", one["params"].get("number")) for one in back.events] == [
        "verto.bye",
        2,
        "verto.answer",
        3,
    ]
    assert back.events[2]["params"]["params"] == {"sdp": "new"}


# Sockets


def test_a_new_socket_takes_over_and_the_old_one_says_no_more(clients: Clients) -> None:
    session, old = clients.connect()
    tell(session, 1, 2)
    old.acked = 1
    clients.sessions.attach(session, new := Socket())
    session.flush()
    assert (new.numbers, session.link) == ([2], new)
    assert old.closed == ["the client has connected anew"]
    # Its end comes late, and is not the client's.
    clients.sessions.detach(session, old)
    assert (session.link, clients.ended, len(clients.sessions)) == (new, [], 1)
    assert new.closed == []
    tell(session, 3)
    assert new.numbers == [2, 3]


async def test_who_has_nothing_to_come_back_to_ends_with_its_socket(clients: Clients) -> None:
    session, socket = clients.connect()
    proof = (session.protocol, session.authorization_state)
    clients.sessions.detach(session, socket)
    assert (clients.ended, len(clients.sessions)) == ([session], 0)
    assert clients.sessions.find(*proof) is None
    # And only once.
    clients.sessions.detach(session, socket)
    clients.sessions.settle(session)
    clients.sessions.end(session)
    assert clients.ended == [session]


async def test_who_does_not_come_back_in_time_ends_with_its_legs() -> None:
    clients = Clients(grace=0.01)
    session, socket = clients.connect()
    call(session, "one")
    call(session, "two")
    clients.sessions.detach(session, socket)
    assert (clients.ended, len(clients.sessions)) == ([], 1)
    await until(lambda: clients.ended)
    # Once, though each leg that goes looks whether it was the last.
    assert (clients.ended, session.legs, len(clients.sessions)) == ([session], {}, 0)
    assert clients.sessions._leaving == {}


async def test_who_comes_back_stays_however_long_it_was_to_wait() -> None:
    clients = Clients(grace=0.01)
    (session, socket), (witness, gone) = clients.connect(), clients.connect()
    call(session)
    call(witness)
    clients.sessions.detach(session, socket)
    assert clients.sessions.find(session.protocol, session.authorization_state) is session
    clients.sessions.attach(session, Socket())
    # One that goes after it ends: so the first one's time is over as well.
    clients.sessions.detach(witness, gone)
    await until(lambda: clients.ended)
    assert (clients.ended, len(clients.sessions)) == ([witness], 1)


async def test_the_grace_begins_anew_with_every_loss() -> None:
    clients = Clients()
    loop = asyncio.get_running_loop()
    session, socket = clients.connect()
    call(session)
    clients.sessions.detach(session, socket)
    first = clients.sessions._leaving[session.protocol]
    clients.sessions.attach(session, back := Socket())
    assert first.cancelled()
    before = loop.time()
    clients.sessions.detach(session, back)
    second = clients.sessions._leaving[session.protocol]
    assert before + 1000 <= second.when() <= loop.time() + 1000
    clients.sessions.close()
    assert second.cancelled()


async def test_the_last_leg_that_ends_while_it_is_away_ends_it(clients: Clients) -> None:
    session, socket = clients.connect()
    legs = [call(session, name) for name in ("one", "two")]
    clients.sessions.settle(session)
    clients.sessions.detach(session, socket)
    timer = clients.sessions._leaving[session.protocol]
    for leg in legs:
        clients.sessions.settle(session)
        assert clients.ended == []
        leg.end()
    clients.sessions.settle(session)
    assert clients.ended == [session]
    # Its timer went with it.
    assert timer.cancelled()


async def test_one_that_is_there_without_a_leg_stays(clients: Clients) -> None:
    session, _ = clients.connect()
    call(session).end()
    clients.sessions.settle(session)
    assert (clients.ended, len(clients.sessions)) == ([], 1)


@pytest.mark.parametrize("drops_legs", [True, False])
async def test_at_the_end_all_end_whether_they_are_there_or_away(drops_legs: bool) -> None:
    clients = Clients(drops_legs=drops_legs)
    assert not clients.sessions.closed
    (there, _), (away, socket) = clients.connect(), clients.connect()
    call(away)
    clients.sessions.detach(away, socket)
    timer = clients.sessions._leaving[away.protocol]
    clients.sessions.close()
    clients.sessions.close()
    assert (clients.ended, len(clients.sessions)) == ([there, away], 0)
    assert clients.sessions.closed
    assert timer.cancelled()


# Whose it is


Forge = Callable[[Session], tuple[str | None, str | None]]


@pytest.mark.parametrize(
    "forge",
    [
        lambda one: (None, one.authorization_state),
        lambda one: ("", one.authorization_state),
        lambda one: (one.protocol, None),
        lambda one: (one.protocol, ""),
        lambda one: (one.protocol, one.authorization_state[:-1]),
        lambda one: (one.protocol, one.authorization_state + "x"),
        lambda one: (one.protocol.upper(), one.authorization_state),
        lambda one: (one.protocol, one.signature),
        lambda one: (one.protocol, "\ud800"),
        lambda one: (one.protocol, "ö" * 43),
        lambda one: (None, None),
    ],
)
def test_nobody_finds_a_session_without_its_proof(clients: Clients, forge: Forge) -> None:
    session, _ = clients.connect()
    assert clients.sessions.find(*forge(session)) is None
    assert clients.sessions.find(session.protocol, session.authorization_state) is session


def test_the_proof_of_one_opens_no_other(clients: Clients) -> None:
    (one, _), (other, _) = clients.connect(), clients.connect()
    assert clients.sessions.find(one.protocol, other.authorization_state) is None
    # What others may see of it, in events and answers, is no proof.
    shown = f"{one.connect_result()}{one.protocol}{one.identity}"
    assert one.authorization_state not in shown


def test_clients_get_the_proof_as_an_event(clients: Clients) -> None:
    session, socket = clients.connect()
    session.send_authorization_state()
    (event,) = socket.events
    assert event["event_type"] == "signalwire.authorization.state"
    assert event["params"] == {"authorization_state": session.authorization_state}


def test_each_session_has_ids_of_its_own_in_the_shape_that_clients_take_apart(
    clients: Clients,
) -> None:
    sessions = [clients.connect()[0] for _ in range(20)]
    for name in ("protocol", "signature", "authorization_state", "identity", "scope_id"):
        assert len({getattr(one, name) for one in sessions}) == 20
    for one in sessions:
        kind, signature, _, project = one.protocol.split("_")
        assert (kind, signature, project) == ("signalwire", one.signature, "project")
        assert one.identity.endswith("@node")


# What it may


def test_what_a_client_may_is_told_in_the_words_of_the_wire(clients: Clients) -> None:
    end = datetime(2031, 1, 1, tzinfo=UTC)
    token = TokenOptions(
        room_name="demo",
        room_display_name="Oak room",
        room_meta={"a": 1},
        permissions=["room.lock"],
        media_allowed="audio-only",
        meta={"seat": 3},
        remove_at=end,
    )
    session, _ = clients.connect(token)
    about = session.authorization()
    assert about["room"] == {
        "name": "demo",
        "display_name": "Oak room",
        "scopes": ["room.lock"],
        "meta": {"a": 1},
    }
    assert (about["user_name"], about["meta"], about["join_as"]) == ("", {"seat": 3}, "member")
    assert (about["audio_allowed"], about["video_allowed"]) == ("both", "none")
    assert about["expires_at"] == int(end.timestamp())
    assert "jti" not in about
    assert "expires_at" not in clients.connect()[0].authorization()
    assert session.scopes == {"room.lock"}
    assert session.connect_result() == {
        "identity": session.identity,
        "protocol": session.protocol,
        "authorization": about,
        "ice_servers": [],
    }


def test_what_a_client_became_counts_until_it_is_taken_away(clients: Clients) -> None:
    session, _ = clients.connect(TokenOptions(room_name="demo", join_as="audience"))
    assert (session.options, session.media) == (session.token, ("receive", "receive"))
    session.role = Role("member", {"permissions": ["room.lock"], "media_allowed": "audio-only"})
    assert (session.options.join_as, session.scopes) == ("member", {"room.lock"})
    assert session.media == ("both", "receive")
    assert session.authorization()["join_as"] == "member"
    # The token is as it was, and a new one takes its place below the role.
    assert session.token.join_as == "audience"
    session.token = TokenOptions(room_name="demo", join_as="audience", user_name="Elm")
    assert (session.options.join_as, session.options.user_name) == ("member", "Elm")
    session.role = None
    assert (session.options.join_as, session.scopes) == ("audience", frozenset())


def test_the_log_calls_a_client_by_its_member_s_name_on_one_line() -> None:
    def who(token_name: str | None, member_name: str | None = None) -> str:
        options = TokenOptions.model_construct(room_name="demo", user_name=token_name)
        session = Session(options, project="p", node_id="n")
        if member_name is not None:
            session.member = Member("m", member_name, "member", session)
        return session.who

    assert who("Oak") == "Oak"
    assert who(None) == who("") == who("\n") == "somebody"
    assert who("Oak", "Elm") == "Elm"
    # A token says no such name; the line does not rely on it.
    assert who("Oak\nroom\x07 demo") == who("x", "Oak\nroom\x07 demo") == "Oak room demo"
