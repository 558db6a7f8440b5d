"""Connect, invite, bye, calls, cuts and returns in any order: each time the hub says what the order
so far calls for, and witnesses in the same room notice nothing."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from appliance.hub.rpc import METHODS
from appliance.signaling import verto
from tests.appliance.hub.fuzzing import MEETINGS, Fuzzing, examples
from tests.appliance.hub.hub_client import Client
from tests.appliance.hub.wild import OFFERS

# Hypothesis draws on a thread of its own, while the loop's uses chance for what it is for.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")


@dataclass(eq=False)
class Actor:
    """A client of the state machine, and what the hub must know of it."""

    client: Client
    accepted: bool = False
    #: Call ids and the kinds of their legs, as long as they stand.
    calls: dict[str, str] = field(default_factory=dict)

    @property
    def joined(self) -> bool:
        return "main" in self.calls.values()

    def bye(self, call_id: str) -> None:
        """A leg is gone, and with the last main one all others."""
        del self.calls[call_id]
        if not self.joined:
            self.calls.clear()


class Meeting(RuleBasedStateMachine):
    """Connect, invite, bye, calls, cuts and returns in any order; the hub says each time what
    the order so far calls for."""

    fuzzing: Fuzzing

    def __init__(self) -> None:
        super().__init__()
        self.actors: list[Actor] = []
        self.away: list[Actor] = []

    @initialize()
    def begin(self) -> None:
        self.open()

    def pick(self, number: int) -> Actor:
        return self.actors[number % len(self.actors)]

    def ask(self, actor: Actor, method: str, params: Any) -> dict[str, Any]:
        frame: dict[str, Any] = self.fuzzing.do(actor.client.request(method, params))
        return frame

    def call(self, actor: Actor, message: dict[str, Any], call_id: str) -> dict[str, Any] | None:
        """Send a Verto message. The inner answer; None where the client is not accepted."""
        frame = self.ask(actor, "video.message", verto.envelope(message, call_id=call_id))
        assert ("error" in frame) == (not actor.accepted)
        return frame["result"] if actor.accepted else None

    @precondition(lambda self: len(self.actors) < 4)
    @rule()
    def open(self) -> None:
        self.actors.append(Actor(self.fuzzing.do(Client.open(self.fuzzing.hub))))  # type: ignore[arg-type]

    @precondition(lambda self: self.actors)
    @rule(number=st.integers(0, 3), good=st.sampled_from([True, True, True, False]))
    def connect(self, number: int, good: bool) -> None:
        actor = self.pick(number)
        jwt = self.fuzzing.token("guest") if good else "nonsense"
        frame = self.fuzzing.do(actor.client.send_connect(jwt))
        if actor.accepted:
            assert frame["error"]["code"] == -32600
        elif good:
            actor.accepted, actor.client.connected = True, frame["result"]
        else:
            assert frame["error"]["code"] == -32002
            assert self.fuzzing.do(actor.client.gone()) == 3000
            self.actors.remove(actor)

    @precondition(lambda self: self.actors)
    @rule(
        number=st.integers(0, 3),
        call=st.sampled_from("ab"),
        kind=st.sampled_from(["main", "main", "screen", "device"]),
    )
    def invite(self, number: int, call: str, kind: str) -> None:
        actor = self.pick(number)
        client = actor.client
        call_id = f"{call}-{id(actor)}"
        message = verto.invite(
            call_id,
            OFFERS[0],
            screen_share=kind == "screen",
            additional_device=kind == "device",
            user_variables={"memberId": client.member_id},
        )
        seen = len(client.events)
        result = self.call(actor, message, call_id)
        if result is None:
            return
        if (
            call_id not in actor.calls
            and kind != "main"
            and not (actor.joined and kind == "device")
        ):
            # Nobody here may share a screen, and a device needs its owner.
            assert result["code"] in ("403", "404"), result
            return
        assert result["result"]["result"]["message"] == "CALL CREATED"
        actor.calls.setdefault(call_id, kind)

        def answer(params: dict[str, Any]) -> bool:
            return params["method"] == "verto.answer" and params["params"]["callID"] == call_id

        self.fuzzing.do(client.event("webrtc.message", answer, since=seen))
        if actor.calls[call_id] == "main" and not client.member_id:
            about = self.fuzzing.do(client.event("video.room.subscribed", since=seen))
            client.member_id = about["member_id"]
            client.room_session_id = about["room_session"]["id"]

    @precondition(lambda self: self.actors)
    @rule(number=st.integers(0, 3), call=st.sampled_from("abx"))
    def bye(self, number: int, call: str) -> None:
        actor = self.pick(number)
        call_id = f"{call}-{id(actor)}"
        result = self.call(actor, verto.bye(call_id), call_id)
        if result is None:
            return
        inner = result["result"]
        if call_id in actor.calls:
            assert inner["result"]["message"] == "CALL ENDED"
            actor.bye(call_id)
            if not actor.joined:
                actor.client.member_id = ""
        else:
            assert inner["error"]["message"] == "CALL DOES NOT EXIST"

    @precondition(lambda self: self.actors)
    @rule(
        number=st.integers(0, 3),
        call=st.sampled_from("ab"),
        message=st.sampled_from(
            [
                verto.modify("@", "hold"),
                verto.modify("@", "unhold"),
                verto.modify("@", sdp=OFFERS[0]),
                verto.info("@", "1"),
                {"id": 7, "method": "verto.pong", "params": {}},
                {"id": 7, "method": "verto.answer", "params": {"sdp": OFFERS[0]}},
            ]
        ),
    )
    def other_verto(self, number: int, call: str, message: dict[str, Any]) -> None:
        actor = self.pick(number)
        call_id = f"{call}-{id(actor)}"
        message = json.loads(json.dumps(message).replace('"@"', json.dumps(call_id)))
        result = self.call(actor, message, call_id)
        if result is None:
            return
        good = message["method"] == "verto.pong" or (
            call_id in actor.calls
            and (
                message["method"] == "verto.info"
                or message["params"].get("action") in ("hold", "unhold")
            )
        )
        assert ("result" in result["result"]) == good, result

    @precondition(lambda self: self.actors)
    @rule(
        number=st.integers(0, 3),
        method=st.sampled_from(sorted(METHODS)),
        whom=st.sampled_from(["self", "none", "witness", "gone"]),
    )
    def rpc(self, number: int, method: str, whom: str) -> None:
        actor = self.pick(number)
        ids = {
            "self": actor.client.member_id,
            "witness": self.fuzzing.witnesses.pair[0].member_id,
            "gone": str(uuid.uuid4()),
        }
        params: dict[str, Any] = {"volume": 3, "value": 60, "meta": {}, "keys": []}
        if ids.get(whom):
            params["member_id"] = ids[whom]
        frame = self.ask(actor, method, params)
        if not actor.accepted:
            assert frame["error"]["code"] == -32000
            return
        code = frame["result"]["code"]
        if not actor.joined:
            assert code in ("403", "404"), frame
        elif whom in ("witness", "gone") and method.startswith("video.member."):
            # A guest may ask for nobody else, and learns not even who is there.
            assert code in ("403", "404") or method == "video.member.get_meta", frame
        else:
            assert code in ("200", "403", "404", "422"), frame

    @precondition(lambda self: any(one.accepted for one in self.actors))
    @rule(number=st.integers(0, 3))
    def cut(self, number: int) -> None:
        actor = self.pick(number)
        if actor.accepted:
            # What proves, on its return, that it is the same.
            self.fuzzing.do(actor.client.event("signalwire.authorization.state"))
            self.fuzzing.do(actor.client.cut())
            self.actors.remove(actor)
            self.away.append(actor)

    @precondition(lambda self: self.away and len(self.actors) < 4)
    @rule(proof=st.sampled_from(["right", "right", "forged", "none"]))
    def come_back(self, proof: str) -> None:
        old = self.away.pop()
        client = self.fuzzing.do(Client.open(self.fuzzing.hub))  # type: ignore[arg-type]
        resume = {"protocol": old.client.connected["protocol"]}
        if proof != "none":
            state = old.client.authorization_state or ""
            resume["authorization_state"] = state if proof == "right" else state[::-1]
        frame = self.fuzzing.do(client.send_connect(self.fuzzing.token("guest"), **resume))
        client.connected = frame["result"]
        actor = Actor(client, accepted=True)
        self.actors.append(actor)
        same = client.connected["protocol"] == resume["protocol"]
        if proof != "right":
            assert not same
        elif same:
            # In time: with all that it had; its calls keep the names that they were given.
            client.member_id = old.client.member_id
            client.room_session_id = old.client.room_session_id
            answer = self.ask(actor, "video.members.get", {})["result"]
            assert (answer["code"] == "200") == old.joined, answer
            if old.joined:
                assert client.member_id in {one["id"] for one in answer["members"]}
            for call_id in old.calls:
                self.call(actor, verto.bye(call_id), call_id)
            client.member_id = ""

    @precondition(lambda self: self.actors)
    @rule(number=st.integers(0, 3))
    def close(self, number: int) -> None:
        actor = self.pick(number)
        self.fuzzing.do(actor.client.close())
        self.actors.remove(actor)

    def teardown(self) -> None:
        for actor in self.actors:
            self.fuzzing.do(actor.client.close())
        self.fuzzing.count(MEETINGS // 10)


async def test_any_order(tmp_path: Path) -> None:
    async with Fuzzing.running(tmp_path) as fuzzing:
        machine = type("Bound", (Meeting,), {"fuzzing": fuzzing})
        steps = settings(examples(MEETINGS), stateful_step_count=30)
        await asyncio.to_thread(run_state_machine_as_test, machine, settings=steps)
