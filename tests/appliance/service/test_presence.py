"""The room policy on a whole device, by what its room sees."""

from __future__ import annotations

import pytest

from appliance.media.gate import Party
from appliance.service.device import Device
from hal.controls import Button
from tests.appliance.service.conftest import MakeDevice, until


def tap(device: Device, button: str = "mute") -> None:
    device.press(button)
    device.release(button)


async def test_a_device_that_waits_is_called_by_its_button(make_device: MakeDevice) -> None:
    device = await make_device(joined=False, policy={"auto_join": False})
    await until(device, lambda state: state.status == "idle")
    assert device.state().status_reason == "press the button to join"
    assert device.microphone.suspended
    assert device.camera.suspended
    tap(device, "camera")
    tap(device)
    await until(device, lambda state: state.status == "in_room" and state.mic_open)
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
