"""The tally light: red only while every microphone of the device is closed."""

from __future__ import annotations

from appliance.media.gate import SAFETY, Party
from appliance.service.gate_light import GateLight
from hal.controls import Controls, Tally


class TallyLight(GateLight[Tally]):
    """Speaks for the gate of the microphone, and for others beside it."""

    OFF, LIVE, FAULT = Tally.OFF, Tally.LIVE, Tally.FAULT
    BACK = "the controls are back"

    @property
    def _closed_without(self) -> str:
        """The camera is told of here, for its own light fails along and is not blamed."""
        if self._controls.camera_light:
            return "the microphone and the camera stay closed without their controls"
        return "the microphone stays closed without its controls"

    def _put(self, controls: Controls, shown: Tally) -> None:
        controls.set_tally(shown)

    def _closed(self, closers: frozenset[Party]) -> Tally:
        """The start holds the gate whenever the device is not in a call, and until the first
        state of a call is known."""
        if closers & SAFETY:
            return Tally.FAULT
        return Tally.OFF if Party.START in closers else Tally.MUTED
