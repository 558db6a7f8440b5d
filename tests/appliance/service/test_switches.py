"""Where the switches are, and what they make of the gates."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from appliance.media.gate import CameraGate, Gate, MicGate, Party
from appliance.service.switches import Switches
from hal.controls import Button
from hal.controls.virtual import VirtualControls

ALL = ("mute", "camera", "cover")


class Rig:
    def __init__(self, *, cover_microphone: bool = False) -> None:
        self.microphone, self.camera = MicGate(), CameraGate()
        for gate in (self.microphone, self.camera):
            gate.unmute(Party.START)
        self.switches = Switches(self.microphone, self.camera, cover_microphone=cover_microphone)
        self.controls = controls(ALL)

    def move(self, button: Button, *, down: bool) -> None:
        (self.controls.press if down else self.controls.release)(button)
        self.switches.moved(self.controls, self.controls, button, down=down)

    def put(self, *down: Button) -> None:
        """Other controls are in their place, with these switches closed."""
        self.controls = controls(ALL, down)
        self.switches.exchanged(self.controls)
        self.switches.read(self.controls)


def controls(latching: Iterable[str], down: Iterable[Button] = ()) -> VirtualControls:
    made = VirtualControls(latching=latching)
    for button in down:
        made.press(button)
    return made


@pytest.mark.parametrize("cover_microphone", [False, True])
@pytest.mark.parametrize("button", [Button.MUTE, Button.CAMERA, Button.COVER])
def test_each_holds_what_it_is_for(button: Button, cover_microphone: bool) -> None:
    rig = Rig(cover_microphone=cover_microphone)
    held: dict[Button, list[Gate]] = {
        Button.MUTE: [rig.microphone],
        Button.CAMERA: [rig.camera],
        Button.COVER: [rig.camera, *([rig.microphone] if cover_microphone else [])],
    }
    rig.move(button, down=True)
    for gate in (rig.microphone, rig.camera):
        assert gate.is_open == (gate not in held[button])
        gate.unmute(Party.ROOM)
        assert gate.is_open == (gate not in held[button]), "only a hand on it withdraws it"
    rig.move(button, down=False)
    assert rig.microphone.is_open
    assert rig.camera.is_open


def test_a_hand_that_opens_withdraws_a_moderators_mute_but_no_persons() -> None:
    rig = Rig()
    rig.microphone.mute(Party.REMOTE)
    rig.camera.mute(Party.ROOM)
    for button in (Button.MUTE, Button.CAMERA):
        rig.move(button, down=True)
        rig.move(button, down=False)
    assert rig.microphone.is_open
    assert rig.camera.closers == {Party.ROOM}


def test_taking_the_cover_away_is_no_wish_to_be_seen() -> None:
    rig = Rig()
    rig.camera.mute(Party.REMOTE)
    rig.move(Button.COVER, down=True)
    rig.move(Button.COVER, down=False)
    assert rig.camera.closers == {Party.REMOTE}


def test_an_open_one_in_the_place_of_a_closed_one_opens_nothing_until_it_is_moved() -> None:
    rig = Rig()
    rig.move(Button.COVER, down=True)
    rig.put()
    assert rig.camera.closers == {Party.ROOM}
    rig.move(Button.COVER, down=True)
    rig.move(Button.COVER, down=False)
    assert rig.camera.is_open


def test_what_was_decided_anew_is_not_opened_by_a_switch() -> None:
    rig = Rig()
    rig.move(Button.MUTE, down=True)
    rig.put()
    # Opened by the button and closed by it again: that is no switch's matter any more.
    rig.switches.forget(rig.microphone)
    rig.move(Button.MUTE, down=True)
    rig.move(Button.MUTE, down=False)
    assert rig.microphone.closers == {Party.ROOM}


def test_one_that_is_there_no_more_leaves_its_gate_to_the_button() -> None:
    rig = Rig()
    rig.move(Button.MUTE, down=True)
    rig.switches.read(controls(["cover"]))
    assert rig.microphone.closers == {Party.ROOM}


def test_one_that_cannot_be_read_counts_as_closed() -> None:
    rig = Rig()
    rig.switches.unreadable(controls(["cover", "volume_up"]))
    assert rig.camera.closers == {Party.COVER}
    assert rig.microphone.is_open
    rig.switches.read(controls(["cover"]))
    assert rig.camera.is_open


def test_a_cover_that_closes_the_microphone_from_now_on() -> None:
    rig = Rig()
    rig.move(Button.COVER, down=True)
    rig.switches.cover_microphone = True
    rig.switches.read(rig.controls)
    assert rig.microphone.closers == {Party.COVER}
    rig.switches.cover_microphone = False
    rig.switches.read(rig.controls)
    assert rig.microphone.closers == {Party.ROOM}, "a hand has moved it"
