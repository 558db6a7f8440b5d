"""The switches of a device: what stays where a hand has put it, and what it holds closed."""

from __future__ import annotations

from typing import Final

from appliance.media.gate import Gate, Party
from hal.controls import Button, Controls
from hal.controls.combined import CombinedControls

SWITCHES: Final = frozenset({Button.MUTE, Button.CAMERA, Button.COVER})
"""What can be a switch that holds a gate."""

PARTIES: Final = frozenset({Party.LATCH, Party.COVER})
"""Parties that only a hand on the switch itself withdraws."""

_START: Final = frozenset({Party.START})


class Switches:
    """Moves the gates by the switches of whatever controls there are; on the loop.

    A button is a switch where the controls say so (`latching`).
    """

    def __init__(self, microphone: Gate, camera: Gate, *, cover_microphone: bool) -> None:
        """`cover_microphone` says that the privacy cover closes the microphone too; it may be
        changed, and counts from the next `read` on."""
        self.cover_microphone = cover_microphone
        self._microphone: Final = microphone
        self._camera: Final = camera
        self._in_place: set[Gate] = set()
        """Gates that ROOM holds in the place of a switch that was exchanged, or pulled out."""

    def moved(self, controls: Controls, part: Controls, button: Button, *, down: bool) -> None:
        """A hand has moved the switch of `part`, one of `controls`.  Of several, one that is
        closed is enough."""
        if down or not controls.pressed(button):
            if not down:
                self._wish_to_open(button, part)
            self._throw(button, down, part)

    def read(self, controls: Controls) -> None:
        """Go by where the switches are, moved by a hand or not."""
        there = _there(controls)
        for button in there:
            self._throw(button, controls.pressed(button), controls)
        for gate in (self._microphone, self._camera):
            known = {_party(button) for button in there if gate in self._gates(button)}
            for party in (gate.closers & PARTIES) - known:
                # It was moved by a person, and must not be undone by a change of the hardware.
                gate.mute(Party.ROOM, "the switch that held it is there no more")
                self._in_place.add(gate)
                gate.unmute(party, "the switch is there no more")

    def exchanged(self, controls: Controls) -> None:
        """Others are in their place: no hand has moved those that read open now, so they open
        nothing.  To be called before `read`."""
        for button in _there(controls):
            if controls.pressed(button):
                continue
            for gate in self._gates(button):
                if _party(button) in gate.closers:
                    gate.mute(Party.ROOM, "the switch that held it was exchanged")
                    self._in_place.add(gate)

    def unreadable(self, controls: Controls) -> None:
        """The controls do not open: each of their switches may be closed."""
        for button in SWITCHES & controls.latching:
            self._throw(button, True, controls)

    def forget(self, gate: Gate) -> None:
        """Somebody has decided anew about this gate: nothing is held in a switch's place."""
        self._in_place.discard(gate)

    def _gates(self, button: Button) -> tuple[Gate, ...]:
        if button is Button.MUTE:
            return (self._microphone,)
        if button is Button.COVER and self.cover_microphone:
            return self._camera, self._microphone
        return (self._camera,)

    def _throw(self, button: Button, down: bool, part: Controls) -> None:
        """A switch is where it is: its party holds its gates, or lets go of them."""
        what = "cover" if button is Button.COVER else "switch"
        why = f"the {what} of {part.device.label}"
        for gate in self._gates(button):
            if down:
                gate.mute(_party(button), why)
            else:
                gate.unmute(_party(button), why)

    def _wish_to_open(self, button: Button, part: Controls) -> None:
        """A hand moves the switch back: where there is no button, that is how people speak again
        whom a moderator, a script or the configuration has muted.  The cover only covers."""
        for gate in self._gates(button):
            kept = gate in self._in_place
            self._in_place.discard(gate)
            if kept or _party(button) is Party.LATCH:
                but = _START if kept else _START | {Party.ROOM}
                gate.unmute(Party.ROOM, f"the switch of {part.device.label}", but=but)


def _party(button: Button) -> Party:
    return Party.COVER if button is Button.COVER else Party.LATCH


def _there(controls: Controls) -> frozenset[Button]:
    """The switches that can be read: of several controls, those that work."""
    parts: tuple[Controls, ...] = (controls,)
    if isinstance(controls, CombinedControls):
        missing = controls.missing
        parts = tuple(part for part in controls.parts if part not in missing)
    return SWITCHES & {button for part in parts for button in part.latching}
