"""From an offer to media that work, seen from the clients' side of the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from appliance.hub import legs, negotiation
from appliance.hub.gateway import Limits
from appliance.media.peer import PeerState
from appliance.signaling import verto
from tests.appliance.hub.conftest import MakeHub, TestHub
from tests.appliance.hub.hub_client import (
    ENDLESS,
    PICTURES,
    TRIPPING,
    UNUSABLE,
    Client,
    token,
    until,
)


@pytest.mark.parametrize(
    ("sdp", "cause"), [(UNUSABLE, legs.INCOMPATIBLE), (TRIPPING, legs.OUT_OF_ORDER)]
)
async def test_an_offer_that_cannot_be_used_ends_that_call(
    hub: TestHub, sdp: str, cause: tuple[str, str]
) -> None:
    async with await Client.join(hub, user_name="Elm") as other:
        client = await Client.connect(hub)
        seen = await other.mark()
        assert (await client.verto(verto.invite(client.call_id, sdp)))["code"] == "200"
        bye = await client.verto_event("verto.bye")
        assert (bye["cause"], bye["causeCode"]) == cause
        await other.settled()
        assert other.names(seen) == []
        await client.invite()
        await client.close()


async def test_an_answer_that_takes_too_long_ends_that_call(
    hub: TestHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(negotiation, "ANSWER_TIMEOUT", 0.05)
    async with await Client.connect(hub) as client:
        await client.verto(verto.invite(client.call_id, ENDLESS))
        bye = await client.verto_event("verto.bye")
        assert bye["causeCode"] == "88"
        await until(lambda: hub.stages[0].closed)


async def test_a_second_invite_overtakes_one_that_is_still_being_answered(hub: TestHub) -> None:
    async with await Client.connect(hub) as client:
        await client.verto(verto.invite(client.call_id, ENDLESS))
        await client.invite()
        await until(lambda: hub.peers[0].state is PeerState.CLOSED)


async def test_extra_legs_join_in_the_order_of_their_invites(
    hub: TestHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await Client.join(hub) as client:
        for number in range(4):
            message = verto.invite(
                f"leg-{number}",
                PICTURES,
                additional_device=True,
                user_variables={"memberId": client.member_id},
            )
            await client.verto(message, f"leg-{number}")
        await until(lambda: client.names().count("video.member.joined") == 4)
        order = [
            params["params"]["callID"] if name == "webrtc.message" else "joined"
            for name, params in client.events
            if name == "video.member.joined"
            or (name == "webrtc.message" and params["params"]["callID"] != client.call_id)
        ]
        assert order == [x for n in range(4) for x in (f"leg-{n}", "joined")]


async def test_media_that_never_work_end_the_call(make_hub: MakeHub) -> None:
    hub = await make_hub(Limits(media=0.1))
    async with await Client.join(hub) as client:
        bye = await client.verto_event("verto.bye")
        assert (bye["cause"], bye["causeCode"]) == legs.RECOVERY


async def test_media_that_fail_may_come_back(make_hub: MakeHub) -> None:
    hub = await make_hub(Limits(media=2.0))
    async with await Client.join(hub, user_name="Elm") as other:
        hub.peers[0].become(PeerState.CONNECTED)
        client = await Client.join(hub)
        hub.peers[1].become(PeerState.CONNECTED)
        hub.peers[1].become(PeerState.FAILED)
        await client.invite()
        hub.peers[2].become(PeerState.CONNECTED)
        hub.peers[2].become(PeerState.FAILED)
        # Not renewed this time.
        await other.event("video.member.left")
        assert client.names().count("verto.bye") == 1
        await client.close()


async def test_the_time_of_a_member_runs_out(hub: TestHub) -> None:
    async with await Client.join(hub, user_name="Elm") as other:
        soon = datetime.now(UTC) + timedelta(seconds=0.3)
        client = await Client.connect(hub, token(hub, remove_at=soon))
        assert client.connected["authorization"]["expires_at"] == int(soon.timestamp())
        await client.invite()
        await client.verto_event("verto.bye")
        await other.event("video.member.left")
        await client.close()
        brief = await Client.join(hub, remove_after_seconds_elapsed=1)
        await brief.verto_event("verto.bye")
        await brief.close()
