"""What a device hears, sees, plays and shows with: four workers, each at its piece of hardware.

Another configuration changes them while the call goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final

from av import VideoFrame

from appliance.media.capture import CameraCapture, MicCapture
from appliance.media.gate import CameraGate, MicGate
from appliance.media.lease import Lease
from appliance.media.playout import DisplayPlayout, SpeakerPlayout
from appliance.provisioning import Config
from appliance.provisioning.config import DeviceConfig
from appliance.service import hardware as made
from appliance.service.hardware import Hardware
from appliance.service.hotplug import HotPlug
from appliance.service.probe import Probe
from appliance.service.watch import WatchedDisplay, WatchedSpeaker
from hal.audio import Speaker
from hal.camera import VideoFormat
from hal.device import Device, Kind
from hal.display import Display
from hal.display.memory import MemoryDisplay
from hal.errors import HalError
from hal.hotplug import Finder

log = logging.getLogger(__name__)

Part = MicCapture | CameraCapture | SpeakerPlayout | DisplayPlayout


class Parts:
    """The workers of one device, and what follows their hardware as it is pulled and plugged in.

    `on_picture` is called on the screen's thread with each picture of the room, and the moment.
    """

    def __init__(
        self,
        config: Config,
        hardware: Hardware,
        microphone: MicGate,
        camera: CameraGate,
        lease: Lease,
        *,
        probe: Probe | None,
        on_picture: Callable[[VideoFrame, float], None],
        on_change: Callable[[], None],
        on_controls: Callable[[], None],
        find: Finder | None = None,
    ) -> None:
        """The rest is that of `HotPlug`."""
        self._probe = probe
        self._on_picture = on_picture
        speaker, display = self._heard(hardware.speaker), self._seen(hardware.display)
        self.microphone: Final = MicCapture(
            hardware.microphone,
            microphone,
            bitrate=config.microphone.bitrate,
            loss_percent=config.microphone.expected_loss,
        )
        self.camera: Final = CameraCapture(
            hardware.camera, camera, _format(config), config.camera.bitrate
        )
        self.microphone.lease = self.camera.lease = lease
        self.speaker: Final = SpeakerPlayout(speaker)
        self.display: Final = DisplayPlayout(display)
        self.workers: Final[dict[str, Part]] = {
            "microphone": self.microphone,
            "camera": self.camera,
            "speaker": self.speaker,
            "display": self.display,
        }
        self.notes = list(hardware.notes)
        """What the user should see; see `Hardware.notes`."""
        self._config = config
        # What the configuration leads to, whatever takes its place while it is pulled.
        self._home: dict[Kind, Any] = {
            "microphone": hardware.microphone,
            "camera": hardware.camera,
            "speaker": speaker,
            "display": display,
        }
        self._make: Final[dict[Kind, Callable[[Config], Any]]] = {
            "microphone": made.microphone,
            "camera": made.camera,
            "speaker": lambda config: self._heard(made.speaker(config)),
            "display": lambda config: self._seen(made.display(config)),
            "controls": made.controls,
        }
        self._other: Final[dict[Kind, Callable[[Config, Device], Any]]] = {
            "microphone": made.other_microphone,
            "camera": made.other_camera,
            "speaker": lambda *wanted: self._heard(made.other_speaker(*wanted)),
        }
        self.hotplug: Final = HotPlug(
            config, find=find, on_change=on_change, on_controls=on_controls
        )
        for kind, other in self._other.items():
            self.hotplug.follow(self.workers[kind], self._home[kind], other)

    async def adopt(self, config: Config, undo: AsyncExitStack) -> None:
        """Go by another configuration while the call goes on.

        Raises ConfigError and HalError; what of it was done until then, `undo` takes back.
        """
        before = self._config
        undo.callback(self._go_by, before)
        self._go_by(config)
        for kind in self._home:
            if getattr(config, kind) == getattr(before, kind):
                continue
            home = self._home[kind]
            if _named(config, kind) != _named(before, kind):
                home = await self.make(kind, config, undo)
            undo.push_async_callback(self._back, kind, before, self._home[kind])
            await self._change(kind, config, home)

    async def make(self, kind: Kind, config: Config, undo: AsyncExitStack) -> Any:
        """The device of a class that a configuration leads to, not open yet, and the notes on it.
        Raises as `hardware.build`."""
        with made.noting() as notes:
            # Looking for devices reads files and asks libraries: not on the loop.
            device = await asyncio.to_thread(self._make[kind], config)
        undo.callback(setattr, self, "notes", self.notes)
        self.notes = [*(one for one in self.notes if not one.startswith(f"{kind}:")), *notes]
        return device

    def _go_by(self, config: Config) -> None:
        self._config = config
        self.hotplug.adopt(config)

    async def _change(self, kind: Kind, config: Config, home: Any) -> None:
        """Put `home` in its place, and keep the worker there as `config` has it."""
        put = partial(self._put, kind, config, home)
        if kind in self._other:
            worker, other = self.workers[kind], self._other[kind]
            await self.hotplug.change(config, worker, home, other, put)
        else:
            await put()
        self._home[kind] = home
        self.microphone.bitrate = config.microphone.bitrate
        self.microphone.loss_percent = config.microphone.expected_loss
        self.camera.limit(config.camera.bitrate)

    async def _put(self, kind: Kind, config: Config, home: Any) -> None:
        new = home is not self._home[kind]
        if kind == "camera":
            wanted = _format(config)
            if new or wanted != self.camera.wanted:
                await self.camera.swap(home if new else None, wanted)
        elif new:
            worker: Any = self.workers[kind]
            await worker.swap(home)

    async def _back(self, kind: Kind, config: Config, home: Any) -> None:
        try:
            await self._change(kind, config, home)
        except HalError as error:
            # Then the one that has just come is what there is.
            log.warning("%s does not come back: %s", kind, error)

    def home(self, kind: Kind) -> Device:
        """The device that the configuration leads to, whatever takes its place while it is
        pulled."""
        found: Device = self._home[kind].device
        return found

    def picture(self) -> VideoFrame | None:
        """What the screen shows; None while it is dark."""
        screen = self._home["display"].inner
        return screen.picture() if isinstance(screen, MemoryDisplay) else self.display.shown

    def _heard(self, speaker: Speaker) -> WatchedSpeaker:
        watched = WatchedSpeaker(speaker)
        if self._probe is not None:
            watched.on_sound = self._probe.sound
        return watched

    def _seen(self, display: Display) -> WatchedDisplay:
        watched = WatchedDisplay(display)
        watched.on_picture = self._on_picture
        return watched


def _named(config: Config, kind: Kind) -> tuple[str, dict[str, Any]]:
    """Which piece of hardware a configuration names."""
    section: DeviceConfig = getattr(config, kind)
    return section.backend, section.arguments


def _format(config: Config) -> VideoFormat:
    return VideoFormat(config.camera.width, config.camera.height, config.camera.rate)
