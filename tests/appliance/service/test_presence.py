"""The room policy on a whole device, by what its room sees."""

from __future__ import annotations

import asyncio

import pytest

from appliance.hub.server import HubServer
from appliance.media.gate import Party
from appliance.panel import Refused
from appliance.service.device import Device
from hal.controls import Button
from tests.appliance.service.conftest import MakeDevice, token_for, until


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


async def test_a_refused_visit_tells_why_and_ends_at_home(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1)
    before = oak.state().member_id
    with pytest.raises(Refused, match="neither"):
        await oak.visit("no such place")
    assert oak.state().member_id == before, "what is no invitation disturbs nobody"
    with pytest.raises(Refused, match="cellar"):
        await oak.visit("cellar")
    await until(oak, lambda state: state.status == "in_room" and state.room == "demo")
    assert not oak.state().visiting


async def test_the_last_wish_counts(hub: HubServer, make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1)
    first = asyncio.create_task(oak.visit(token_for(hub, "Oak", room_name="attic")))
    await asyncio.sleep(0)
    second = asyncio.create_task(oak.visit(token_for(hub, "Oak", room_name="loft")))
    with pytest.raises(Refused, match="another room"):
        await first
    await second
    assert oak.state().room == "loft"
