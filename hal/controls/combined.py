"""Several sets of controls as one: any button acts, and all lights show the same."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from hal.controls import (
    Button,
    ButtonHandler,
    CameraLight,
    Controls,
    PartHandler,
    Status,
    Tally,
)
from hal.device import Device
from hal.errors import DeviceBusy, DeviceUnplugged, HalError

log = logging.getLogger(__name__)


class CombinedControls(Controls):
    """The controls of one device that has, say, pins and a USB speakerphone.

    A pluggable part that is not there is done without, as long as another one is, and taken
    when it comes back (`recover`).  A part that is there and whose light does not obey spoils
    the whole: somebody may be looking at that light.
    """

    def __init__(self, parts: Iterable[Controls]) -> None:
        """Needs at least one part; the first gives the device's id."""
        self.parts: Final = tuple(parts)
        ids = "+".join(part.device.id for part in self.parts)
        labels = " and ".join(part.device.label for part in self.parts)
        self.device = Device(ids, labels, "controls", "combined")
        self.latching = frozenset[Button]().union(*(part.latching for part in self.parts))
        self.camera_light = any(part.camera_light for part in self.parts)
        self._lock = threading.RLock()
        self._working: tuple[Controls, ...] = ()
        self._tally = Tally.OFF
        self._status: Status | None = None
        self._camera = CameraLight.OFF
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handler: PartHandler | None = None

    @classmethod
    def devices(cls) -> list[Device]:
        """None of its own."""
        return []

    @property
    def present(self) -> bool:
        """Whether a part is open whose hardware is there."""
        return any(part.present for part in self._working)

    @property
    def missing(self) -> list[Controls]:
        """The parts that are done without now."""
        return [part for part in self.parts if part not in self._working]

    def open(self, loop: asyncio.AbstractEventLoop, handler: ButtonHandler) -> None:
        """See `Controls.open`; raises the error of a part that cannot be done without, or the
        first one's when none can be opened."""
        self.open_parts(loop, lambda _, button, down: handler(button, down))

    def open_parts(self, loop: asyncio.AbstractEventLoop, handler: PartHandler) -> None:
        """See `Controls.open_parts`."""
        with self._lock:
            if self._loop is not None:
                raise DeviceBusy("the controls are open; close them first")
            self._loop, self._handler = loop, handler
            self._tally, self._status, self._camera = Tally.OFF, None, CameraLight.OFF
            errors: list[HalError] = []
            try:
                for part in self.parts:
                    try:
                        part.open(loop, partial(handler, part))
                    except HalError as error:
                        if not part.pluggable:
                            raise
                        errors.append(error)
                    else:
                        self._working += (part,)
                if not self._working:
                    raise errors[0]
            except BaseException:
                self.close()
                raise
            for absence in errors:
                log.warning("the other controls go on without it: %s", absence)

    def pressed(self, button: Button) -> bool:
        """See `Controls.pressed`.  Of a button that is a switch somewhere, the switches count:
        one that is closed is enough."""
        working = self._working
        switches = [part for part in working if button in part.latching]
        return any(part.pressed(button) for part in switches or working)

    def set_tally(self, tally: Tally) -> None:
        """See `Controls.set_tally`.  Tries every light before it raises."""
        with self._lock:
            self._tally = tally
            self._drive(self._working, lambda part: part.set_tally(tally))
            self._check()

    def set_status(self, status: Status) -> None:
        """See `Controls.set_status`."""
        with self._lock:
            self._status = status
            for part in self._working:
                try:
                    part.set_status(status)
                except HalError as error:
                    if part.present:
                        raise
                    self._drop(part, error)
            self._check()

    def set_camera_light(self, light: CameraLight) -> None:
        """See `Controls.set_camera_light`.  Tries every such light before it raises; unlike the
        tally, which any part can show, none may be left."""
        with self._lock:
            self._camera = light
            if not self.camera_light:
                return
            self._drive(self._with_camera_light, lambda part: part.set_camera_light(light))
            if not self._with_camera_light:
                raise DeviceUnplugged("the camera light is not there; plug its controls in again")

    def recover(self) -> bool:
        """See `Controls.recover`.  On the loop's thread."""
        with self._lock:
            loop, handler = self._loop, self._handler
            if loop is None or handler is None:
                return False
            before = self._working
            for part in before:
                if not part.present:
                    self._drop(part, DeviceUnplugged(f"{part.device.label} has gone"))
            for part in self.missing:
                part.close()
                try:
                    part.open(loop, partial(handler, part))
                    part.set_tally(self._tally)
                    if self._status is not None:
                        part.set_status(self._status)
                    part.set_camera_light(self._camera)
                except HalError as error:
                    log.debug("%s is not back: %s", part.device.label, error)
                    part.close()
                else:
                    log.warning("%s is back", part.device.label)
                    self._working += (part,)
            return self._working != before

    def close(self) -> None:
        """See `Controls.close`."""
        with self._lock:
            self._working = ()
            self._loop = self._handler = None
        for part in self.parts:
            part.close()

    @property
    def _with_camera_light(self) -> list[Controls]:
        return [part for part in self._working if part.camera_light]

    def _drive(self, parts: Iterable[Controls], show: Callable[[Controls], None]) -> None:
        """Try each, do without those that have gone, and raise the first other failure."""
        failure: HalError | None = None
        for part in parts:
            try:
                show(part)
            except HalError as error:
                if part.present:
                    failure = failure or error
                else:
                    self._drop(part, error)
        if failure is not None:
            raise failure

    def _drop(self, part: Controls, error: HalError) -> None:
        log.warning("the other controls go on without it: %s", error)
        # Closed by the next `recover`: this may be any thread.
        self._working = tuple(one for one in self._working if one is not part)

    def _check(self) -> None:
        if not self._working:
            raise DeviceUnplugged("none of the controls is there; plug them in again")
