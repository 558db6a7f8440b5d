"""The light of the camera, where the controls have one: steadily lit while a picture may leave."""

from __future__ import annotations

import logging

from appliance.media.gate import SAFETY, CameraGate, Party
from appliance.service.gate_light import GateLight
from hal.controls import CameraLight, Controls

log = logging.getLogger(__name__)


class CameraLamp(GateLight[CameraLight]):
    """Speaks for the gate of the camera.  Controls without such a light promise nothing, and so
    nothing of it can fail."""

    OFF, LIVE, FAULT = CameraLight.OFF, CameraLight.LIVE, CameraLight.FAULT
    BACK = "the camera light is back"

    def __init__(self, controls: Controls, gate: CameraGate) -> None:
        super().__init__(controls, gate)
        self.works = not controls.camera_light

    def fail_along(self) -> None:
        """The controls fail for something else, which is told there; this one is not to blame, and
        does not work before `mended`.  To be called after `hold`."""
        if not self._controls.camera_light:
            self.mended()
            return
        with self._lock:
            self.error = None
            self._give_up()

    def refresh(self) -> None:
        """Drive it anew: the controls have other parts than before."""
        with self._lock:
            self._driven = None
        if self.works:
            self._show_truth()

    def retry(self) -> None:
        """Try a light that has failed, of controls that are open; if it obeys, it is `mended`.

        Unlike the tally it is not worth closing the controls for: the microphone goes on.
        """
        if self.works:
            return
        # Before it shows what may not be so.
        self.hold("the camera light is tried again")
        try:
            with self._lock:
                # It must be able to go out and to be lit.
                self._put(self._controls, CameraLight.OFF)
                self._put(self._controls, CameraLight.FAULT)
        except Exception as error:
            log.debug("the camera light still fails: %s", error)
        else:
            self.mended()

    def close(self) -> None:
        """See `GateLight.close`."""
        if self._controls.camera_light:
            super().close()
        else:
            self._end()

    @property
    def _closed_without(self) -> str:
        return "the camera stays closed without its light"

    def _put(self, controls: Controls, shown: CameraLight) -> None:
        if controls.camera_light:
            controls.set_camera_light(shown)

    def _closed(self, closers: frozenset[Party]) -> CameraLight:
        """Dark outside a call, as the tally is."""
        if closers & SAFETY:
            return CameraLight.FAULT
        return CameraLight.OFF if Party.START in closers else CameraLight.CLOSED
