"""The room policy on a whole device, by what its room sees."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from appliance.hub.server import HubServer
from appliance.hub.tokens import TokenOptions, mint
from appliance.media.gate import Party
from appliance.panel import PanelState, Refused
from appliance.room import RoomSession
from appliance.service import attendance
from appliance.service.demo import PERMISSIONS
from appliance.service.device import Device
from hal.controls import Button, Status
from tests.appliance.service.conftest import MakeDevice, token_for, until


@pytest.fixture
async def dumb_server() -> AsyncIterator[str]:
    """One that takes calls and answers nothing."""
    gone = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    yield "http://{}:{}".format(*server.sockets[0].getsockname())
    gone.set()
    server.close()
    await server.wait_closed()


def tap(device: Device, button: str = "mute") -> None:
    device.press(button)
    device.release(button)


async def test_a_device_that_waits_is_called_by_its_button(make_device: MakeDevice) -> None:
    device = await make_device(joined=False, policy={"auto_join": False})
    await until(device, lambda state: state.status == "idle")
    assert device.state().status_reason == "press the button to join"
    assert device.state().press_joins
    assert device.microphone.suspended
    assert device.camera.suspended
    tap(device, "camera")
    tap(device)
    await until(device, lambda state: state.status == "in_room" and state.mic_open)
    assert not device.state().press_joins
    # The press that called it in was no press of mute; that of the camera counts as ever.
    assert Party.ROOM not in device.microphone_gate.closers
    assert Party.ROOM in device.camera_gate.closers
    tap(device)
    await until(device, lambda state: state.tally == "muted")


async def test_it_leaves_when_the_last_other_has_been_gone_for_long(
    make_device: MakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = await make_device(policy={"leave_empty_minutes": 1})
    await until(device, lambda state: state.status == "in_room")
    policy = device.presence._duty.policy
    decide = policy.decide
    # A minute is a second here.
    monkeypatch.setattr(policy, "decide", lambda wall, now, others: decide(wall, 60 * now, others))
    await until(device, lambda state: state.status == "idle")
    assert "the room was empty" in device.state().status_reason
    assert not device.state().members
    assert not device.microphone_gate.is_open


async def test_company_keeps_it_there(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1)
    await make_device("Elm", 2)
    await until(oak, lambda state: len(state.members) == 2)
    assert oak.presence.others() == 1
    assert not oak.presence.claim(Button.MUTE), "inside, the button is the mute button"


async def test_a_visit_is_seen_in_the_other_room_and_ends_at_home(
    hub: HubServer, make_device: MakeDevice
) -> None:
    oak = await make_device("Oak", 1)
    elm = await make_device(
        "Elm",
        2,
        room={
            "host": hub.url,
            "token": token_for(hub, "Elm", room_name="attic"),
            "user_name": "Elm",
        },
    )
    ash = await make_device("Ash", 3)
    tap(oak)
    await oak.visit(token_for(hub, "Oak", room_name="attic"))
    assert oak.state().visiting
    assert oak.state().room == "attic"
    await until(elm, lambda state: [one["name"] for one in state.members] == ["Elm", "Oak"])
    await until(ash, lambda state: [one["name"] for one in state.members] == ["Ash"])
    # A person's mute goes along.
    assert oak.state().tally == "muted"
    oak.presence.go_back()
    await until(oak, lambda state: state.status == "in_room" and state.room == "demo")
    assert not oak.state().visiting
    assert oak.state().tally == "muted"
    await until(ash, lambda state: {one["name"] for one in state.members} == {"Ash", "Oak"})
    await until(elm, lambda state: [one["name"] for one in state.members] == ["Elm"])


async def test_a_code_leads_into_a_room_that_is_open_to_guests(
    hub: HubServer, make_device: MakeDevice
) -> None:
    elm = await make_device(
        "Elm",
        2,
        room={
            "host": hub.url,
            "token": token_for(hub, "Elm", room_name="attic"),
            "user_name": "Elm",
        },
    )
    await elm.visit(f"{hub.url.replace('ws', 'http', 1)}/?room=demo")
    assert (elm.state().room, elm.state().status) == ("demo", "in_room")
    # Who hangs up on a visit wants to be heard nowhere.
    tap(elm, "hang_up")
    await until(elm, lambda state: state.status == "idle")
    assert "hung up" in elm.state().status_reason
    assert elm.state().room == "attic"
    assert not elm.microphone_gate.is_open
    elm.go_home()
    await until(elm, lambda state: state.status == "in_room" and state.room == "attic")


def muted(state: PanelState) -> list[str]:
    return [one["name"] for one in state.members if one["audio_muted"]]


def session_of(device: Device) -> RoomSession:
    session = device.presence.session
    assert session is not None
    return session


async def elm_locks(hub: HubServer, make_device: MakeDevice) -> None:
    """Elm is in the attic, and locks it."""
    options = {"room_name": "attic", "permissions": [*PERMISSIONS, "room.lock"]}
    room = {"host": hub.url, "token": token_for(hub, "Elm", **options), "user_name": "Elm"}
    await session_of(await make_device("Elm", 3, room=room)).lock()


async def test_who_is_not_let_in_elsewhere_stays_in_the_call(
    hub: HubServer, make_device: MakeDevice, unused_tcp_port: int
) -> None:
    token = token_for(hub, "Oak", permissions=[*PERMISSIONS, "room.lock"])
    oak = await make_device("Oak", 1, room={"host": hub.url, "token": token, "user_name": "Oak"})
    ash = await make_device("Ash", 2)
    await until(oak, lambda state: len(state.members) == 2)
    await session_of(oak).lock()
    tap(oak)
    await until(ash, lambda state: "Oak" in muted(state))
    # Another room that is locked, by somebody in it.
    await elm_locks(hub, make_device)
    nowhere = token_for(hub, "Oak", room_name="nowhere", auto_create_room=False)
    before, moves = oak.state(), list[str]()
    session_of(ash).on("member.joined", lambda _: moves.append("joined"))
    session_of(ash).on("member.left", lambda _: moves.append("left"))
    options = TokenOptions(room_name="attic", user_name="Oak")
    forged = mint(options, b"another key" * 4, project="p")
    for invitation, why in (
        ("no such place", "neither"),
        ("cellar", "cellar.*not open to guests"),
        (f"http://127.0.0.1:{unused_tcp_port}/?room=attic", "cannot reach"),
        (forged, "refused the token.*another key"),
        ("attic", "^the room is locked; ask its host to unlock it$"),
        (nowhere, "^there is no room nowhere; "),
    ):
        with pytest.raises(Refused, match=why):
            await oak.visit(invitation)
        after = oak.state()
        assert (after.member_id, after.status) == (before.member_id, "in_room"), invitation
        assert (after.room, after.tally, after.visiting) == ("demo", "muted", False), invitation
        assert oak.presence.at == ""
    # An answer comes after all events before it.
    members = (await session_of(ash).get_members()).to_dict()["members"]
    assert before.member_id in [one["id"] for one in members if one["audio_muted"]]
    assert moves == []


async def test_who_is_not_let_in_elsewhere_stays_on_its_visit(
    hub: HubServer, make_device: MakeDevice
) -> None:
    oak = await make_device("Oak", 1)
    await oak.visit("attic")
    before = oak.state()
    with pytest.raises(Refused, match="cellar"):
        await oak.visit("cellar")
    after = oak.state()
    assert (after.member_id, after.room, after.visiting) == (before.member_id, "attic", True)
    assert oak.presence.at == "attic"
    await oak.visit("loft")
    assert (oak.state().room, oak.presence.at) == ("loft", "loft")


async def test_a_locked_room_is_no_fault_and_is_waited_for(
    hub: HubServer, make_device: MakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def jittered(seconds: float) -> float:
        waits.append(seconds)
        return 0.2

    monkeypatch.setattr(attendance, "_jittered", jittered)
    token = token_for(hub, "Oak", permissions=[*PERMISSIONS, "room.lock", "room.unlock"])
    oak = await make_device("Oak", 1, room={"host": hub.url, "token": token, "user_name": "Oak"})
    await session_of(oak).lock()
    ash = await make_device("Ash", 2, joined=False)
    locked = "the room is locked; ask its host to unlock it"
    await until(ash, lambda state: state.status_reason == locked)
    assert ash.state().status == "joining"
    assert ash.state().errors == []
    assert ash._view.banner().text == f"Joining demo: {locked}"
    assert waits[0] == attendance.REFUSED_RETRY
    await session_of(oak).unlock()
    await until(ash, lambda state: state.status == "in_room")


async def test_a_wish_for_another_room_is_given_up_while_that_does_not_answer(
    make_device: MakeDevice, dumb_server: str
) -> None:
    oak = await make_device("Oak", 1)
    before = oak.state().member_id
    asking = "asking attic to let the device in"
    going = asyncio.create_task(oak.visit(f"{dumb_server}/?room=attic"))
    await until(oak, lambda state: state.status_reason == asking)
    assert oak.presence.at == "attic"
    assert (oak.state().status, oak.state().visiting) == ("in_room", False)
    oak.presence.go_back()
    with pytest.raises(Refused, match="somebody here ended it"):
        await going
    assert oak.presence.at == ""
    await until(oak, lambda state: state.status_reason == "")
    assert oak.state().member_id == before
    # Who hangs up means the call as well.
    going = asyncio.create_task(oak.visit(f"{dumb_server}/?room=attic"))
    await asyncio.sleep(0)
    tap(oak, "hang_up")
    with pytest.raises(Refused, match="hung up"):
        await going
    await until(oak, lambda state: state.status == "idle")


async def test_the_code_of_the_room_it_is_in_disturbs_nobody(
    hub: HubServer, make_device: MakeDevice
) -> None:
    oak = await make_device("Oak", 1)
    await until(oak, lambda state: state.status == "in_room")
    before, link = oak.state().member_id, hub.url.replace("ws", "http", 1)
    for code in ("demo", f"{link}/?room=demo"):
        with pytest.raises(Refused, match="in that room already"):
            await oak.visit(code)
        assert (oak.state().member_id, oak.state().visiting) == (before, False)
    # One that opens it for somebody else is a wish to be that.
    await oak.visit(token_for(hub, "Ash"))
    assert oak.state().visiting
    assert oak.state().member_id != before


async def test_the_code_of_the_own_room_leads_home(hub: HubServer, make_device: MakeDevice) -> None:
    own = {"host": hub.url, "name": "demo", "token": token_for(hub, "Oak"), "user_name": "Oak"}
    oak = await make_device("Oak", 1, room=own)
    tap(oak, "hang_up")
    await until(oak, lambda state: state.status == "idle")
    await oak.visit("demo")
    await until(oak, lambda state: state.status == "in_room")
    assert (oak.state().room, oak.state().visiting, oak.presence.at) == ("demo", False, "")
    # From a visit, too, by a link.
    await oak.visit("attic")
    assert oak.state().visiting
    await oak.visit(f"{hub.url.replace('ws', 'http', 1)}/?room=demo")
    await until(oak, lambda state: state.status == "in_room" and state.room == "demo")
    assert not oak.state().visiting


@pytest.mark.parametrize("act", ["go_home", "go_back", "hang_up"])
async def test_who_leaves_a_room_that_is_lost_does_not_read_of_it_any_more(
    make_device: MakeDevice, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    oak = await make_device("Oak", 1)
    await oak.visit("attic")
    goodbye, leave = asyncio.Event(), RoomSession.leave

    async def slow(session: RoomSession) -> None:
        await goodbye.wait()
        await leave(session)

    monkeypatch.setattr(RoomSession, "leave", slow)
    oak.situation.move(Status.RECONNECTING, "nothing comes from the room server")
    getattr(oak.presence, act)()
    try:
        expected = "idle" if act == "hang_up" else "joining"
        await until(oak, lambda state: state.status == expected)
        assert (oak.state().room, oak.state().visiting) == ("demo", False)
        assert oak.presence.session is not None, "it is out of it already: this shows nothing"
    finally:
        goodbye.set()
    await until(oak, lambda state: state.status == ("idle" if act == "hang_up" else "in_room"))


async def test_the_last_wish_counts(
    hub: HubServer, make_device: MakeDevice, dumb_server: str
) -> None:
    oak = await make_device("Oak", 1)
    first = asyncio.create_task(oak.visit(f"{dumb_server}/?room=attic"))
    await until(oak, lambda state: "attic" in state.status_reason)
    told: list[str] = []
    oak.situation.subscribe(lambda now: told.append(f"{now.status.value}: {now.reason}"))
    second = asyncio.create_task(oak.visit(token_for(hub, "Oak", room_name="loft")))
    with pytest.raises(Refused, match="another room"):
        await first
    await second
    assert oak.state().room == "loft"
    # The first wish, given up, takes nothing back that was said of the second.
    assert told[:3] == ["in_room: ", "in_room: asking loft to let the device in", "in_room: "]
    assert told[3].startswith("joining: ")


async def test_what_is_given_up_is_not_told_any_more(
    make_device: MakeDevice, dumb_server: str
) -> None:
    oak = await make_device("Oak", 1)
    first = asyncio.create_task(oak.visit(f"{dumb_server}/?room=attic"))
    await until(oak, lambda state: "attic" in state.status_reason)
    # The second one asks nobody yet when it is given up, and so takes nothing back itself.
    second = asyncio.create_task(oak.visit(f"{dumb_server}/?room=loft"))
    await asyncio.sleep(0)
    oak.presence.go_back()
    assert (oak.presence.at, oak.state().status_reason) == ("", "")
    for wish in (first, second):
        with pytest.raises(Refused, match="does not go there"):
            await wish
    assert (oak.presence.at, oak.state().status_reason) == ("", "")


async def test_what_was_given_up_ends_with_the_device_at_the_latest(
    hub: HubServer, make_device: MakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks, server_closes = asyncio.Event(), asyncio.Event()
    closed: list[str] = []

    async def knock(host: str | None, token: str) -> None:
        asks.set()
        try:
            await asyncio.Event().wait()
        finally:
            # The first one's server takes its time.
            if token == tokens[0]:
                await server_closes.wait()
            closed.append(token)

    monkeypatch.setattr("appliance.service.presence.knock", knock)
    oak = await make_device("Oak", 1)
    tokens = [token_for(hub, "Oak", room_name=name) for name in ("attic", "loft")]
    wishes = []
    for token in tokens:
        wishes.append(asyncio.create_task(oak.visit(token)))
        await asks.wait()
        asks.clear()
    stopping = asyncio.create_task(oak.presence.stop())
    done, _ = await asyncio.wait({stopping}, timeout=1)
    assert not done
    server_closes.set()
    await stopping
    assert closed == tokens[::-1]
    for wish in wishes:
        with pytest.raises(Refused, match="does not go there"):
            await wish
