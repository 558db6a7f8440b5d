"""The count of the audience, as the members are told it."""

from __future__ import annotations

import pytest

from appliance.hub import audience
from appliance.signaling import verto
from tests.appliance.hub.conftest import TestHub
from tests.appliance.hub.hub_client import (
    RECEIVE,
    Client,
    token,
    until,
)


async def test_the_audience_is_counted_and_not_listed(hub: TestHub) -> None:
    async with await Client.join(hub, user_name="Elm") as member:
        seen = await member.mark()
        watcher = await Client.connect(hub, token(hub, join_as="audience", permissions=[]))
        about = await watcher.invite(RECEIVE)
        assert [one["name"] for one in about["room_session"]["members"]] == ["Elm"]
        assert about["room_session"]["audience_count"] == 1
        total = await member.event("video.room.audience_count", since=seen)
        assert total["total"] == 1
        layout = await watcher.event("video.layout.changed")
        assert watcher.member_id not in [one["member_id"] for one in layout["layout"]["layers"]]
        await watcher.close()
        # Its grace runs; its own bye ends it at once.
        again = await Client.connect(
            hub,
            token(hub, join_as="audience", permissions=[]),
            protocol=watcher.connected["protocol"],
            authorization_state=watcher.authorization_state,
        )
        await again.verto(verto.bye(watcher.call_id), watcher.call_id)
        await member.event("video.room.audience_count", lambda p: p["total"] == 0, since=seen)
        assert "video.member.joined" not in member.names(seen)
        assert "video.member.left" not in member.names(seen)
        await again.close()


async def test_the_audience_is_counted_again_from_time_to_time(
    hub: TestHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audience, "PERIOD", 0.05)

    def counts(since: int) -> list[int]:
        return [
            params["total"]
            for name, params in elm.events[since:]
            if name == "video.room.audience_count"
        ]

    async with await Client.join(hub, user_name="Elm") as elm:
        watcher = await Client.connect(hub, token(hub, join_as="audience", permissions=[]))
        await watcher.invite(RECEIVE)
        await until(lambda: counts(0)[:4] == [1, 1, 1, 1])
        await watcher.verto(verto.bye(watcher.call_id), watcher.call_id)
        await until(lambda: counts(0)[-1] == 0)
        # With nobody to count there is no more counting.
        mark = len(elm.events)
        for _ in range(100):
            await elm.settled()
        assert counts(mark) == []
        await watcher.close()
