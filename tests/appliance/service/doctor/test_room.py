from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from appliance.hub.server import HubServer
from appliance.room import AuthError, Disconnected, JoinRefused, RpcError
from appliance.service.doctor import room as module
from appliance.service.doctor.check import Verdict
from appliance.service.doctor.room import look_at_hub, look_at_media
from appliance.service.errors import EntranceClosed
from tests.appliance.service.doctor.conftest import config, for_hub

DEADLINE = 30.0


async def test_a_hub_that_takes_the_token(hub: HubServer) -> None:
    finding = await look_at_hub(for_hub(hub))
    assert finding.verdict is Verdict.OK
    assert f"{hub.websocket_url} took the token for demo in " in finding.text


async def test_a_token_that_ends_soon(hub: HubServer) -> None:
    finding = await look_at_hub(for_hub(hub, join_until=int(time.time()) + 3600))
    assert finding.verdict is Verdict.WARN
    assert "it ends on " in finding.text
    late = await look_at_hub(for_hub(hub, join_until=int(time.time()) + 90 * 86_400))
    assert late.verdict is Verdict.OK


async def test_a_token_that_is_refused(hub: HubServer) -> None:
    with pytest.raises(AuthError, match="expired"):
        await look_at_hub(for_hub(hub, join_until=1_600_000_000))
    # Whoever is not let in cannot try the media either: one line is enough.
    media = await look_at_media(for_hub(hub, join_until=1_600_000_000), {})
    assert media.verdict is Verdict.SKIPPED


async def test_the_guest_entrance(hub: HubServer) -> None:
    guest: dict[str, Any] = {"host": hub.websocket_url, "name": "demo", "guest": True}
    assert (await look_at_hub(config(room=guest))).verdict is Verdict.OK
    closed = config(room=guest | {"name": "board"})
    with pytest.raises(EntranceClosed):
        await look_at_hub(closed)
    assert (await look_at_media(closed, {})).verdict is Verdict.SKIPPED


async def test_no_hub_there(unused_tcp_port: int) -> None:
    lost = config(room={"host": f"ws://127.0.0.1:{unused_tcp_port}", "token": "x.y.z"})
    with pytest.raises(Disconnected, match="refused"):
        await look_at_hub(lost)
    assert (await look_at_media(lost, {})).verdict is Verdict.SKIPPED


async def test_packets_come_and_the_member_goes(hub: HubServer) -> None:
    finding = await look_at_media(for_hub(hub), {})
    assert finding.text.startswith("UDP passes (open in "), finding
    assert int(finding.text.split("; ")[1].split()[0]) > 0
    async with asyncio.timeout(DEADLINE):
        while any(room.members for room in hub.rooms):
            await asyncio.sleep(0.02)


async def test_a_room_that_lets_nobody_in(hub: HubServer) -> None:
    with pytest.raises((RpcError, JoinRefused)):
        await look_at_media(for_hub(hub, room_name="board", auto_create_room=False), {})


async def test_what_must_not_be_tried(hub: HubServer) -> None:
    ends = await look_at_media(for_hub(hub, end_room_session_on_leave=True), {})
    assert ends.verdict is Verdict.SKIPPED
    assert "ends the room" in ends.text
    here = await look_at_media(for_hub(hub), {"status": "in_room"})
    assert here.verdict is Verdict.OK
    # In neither case did anybody come.
    assert not list(hub.rooms)


async def test_media_that_do_not_pass(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a firewall: the call is answered, and no packet comes through."""

    monkeypatch.setattr(module, "PATH_TIMEOUT", 1.0)
    monkeypatch.setattr("aioice.ice.StunProtocol.send_stun", lambda *_: None)
    finding = await look_at_media(for_hub(hub), {})
    assert finding.verdict is Verdict.FAIL
    assert "no path for media" in finding.text
    assert "UDP" in finding.remedy
