"""Controls: buttons, switches and the privacy cover; the LEDs for microphone, status and camera.

A backend is a subclass of `Controls`.  Whatever thread its library calls back on, the
handlers registered here run on the asyncio loop given to `open`: the crossing is made
once, in the backend.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import ClassVar, Self

from hal.device import Device


class Button(Enum):
    """A thing that a person in the room can press or throw."""

    MUTE = "mute"
    CAMERA = "camera"
    VOLUME_UP = "volume_up"
    VOLUME_DOWN = "volume_down"
    HANG_UP = "hang_up"
    COVER = "cover"
    """The cover over the camera: never anything but a switch (`latching`); down is covered."""


class Tally(Enum):
    """The LED that people trust.

    OFF: not in a call, nothing leaves.  LIVE (green): sound may leave.  MUTED (red):
    no sample leaves.  FAULT (red, blinking): the truth is not known; treat as live.
    """

    OFF = "off"
    LIVE = "live"
    MUTED = "muted"
    FAULT = "fault"


class Status(Enum):
    """The status LED: what the device is doing."""

    STARTING = "starting"
    IDLE = "idle"
    JOINING = "joining"
    IN_ROOM = "in_room"
    RECONNECTING = "reconnecting"
    UPDATING = "updating"
    FAULT = "fault"


class CameraLight(Enum):
    """The LED of the camera.

    OFF: not in a call, nothing leaves.  LIVE: pictures may leave.  CLOSED: no picture leaves.
    FAULT: the truth is not known; treat as live.
    """

    OFF = "off"
    LIVE = "live"
    CLOSED = "closed"
    FAULT = "fault"


ButtonHandler = Callable[[Button, bool], None]
"""Called with the button and whether it went down (True) or up (False)."""


PartHandler = Callable[["Controls", Button, bool], None]
"""The same, after the set of controls that the button belongs to."""


class Controls(ABC):
    """The controls of one device, dead until `open`."""

    device: Device
    latching: frozenset[Button]
    """Switches that stay where they are put: down means closed, up means free."""
    camera_light: bool = False
    """Whether there is an LED for the camera."""
    pluggable: ClassVar[bool] = False
    """Whether they can be pulled: only such ones may be done without.  What is soldered in and
    does not obey may show anything."""

    @classmethod
    @abstractmethod
    def devices(cls) -> list[Device]:
        """Every set of controls that this backend could open now."""

    @abstractmethod
    def open(self, loop: asyncio.AbstractEventLoop, handler: ButtonHandler) -> None:
        """Claim the pins and start to report presses, debounced, on `loop`.

        Raises DeviceNotFound, DeviceBusy or BackendUnavailable.
        """

    def open_parts(self, loop: asyncio.AbstractEventLoop, handler: PartHandler) -> None:
        """As `open`; the handler is also told whose button it is: the same button may be a
        switch on one set of controls and a key on another (`latching` tells)."""
        self.open(loop, partial(handler, self))

    @property
    def present(self) -> bool:
        """Whether the hardware is still there, as far as is known.  What has gone shows
        nothing, so nobody can be misled by its light."""
        return True

    def recover(self) -> bool:
        """Take what has come back and let go of what has gone, while the rest goes on; says
        whether there was any such thing.  Levels may differ from those that were told."""
        return False

    @abstractmethod
    def pressed(self, button: Button) -> bool:
        """The level of a button now; False for one that the device does not have."""

    @abstractmethod
    def set_tally(self, tally: Tally) -> None:
        """Show the mute truth.  Returns after the LED was driven; raises
        DeviceUnplugged when it could not be."""

    @abstractmethod
    def set_status(self, status: Status) -> None:
        """Show what the device is doing.  Raises as `set_tally`."""

    def set_camera_light(self, light: CameraLight) -> None:
        """Show the camera's truth, where there is a light for it.  Returns and raises as
        `set_tally`."""
        del light

    @abstractmethod
    def close(self) -> None:
        """Turn the LEDs off and free the pins.  Safe to call twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
