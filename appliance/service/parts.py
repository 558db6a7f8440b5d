"""What a device hears, sees, plays and shows with: four workers, each at its piece of hardware."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from av import VideoFrame

from appliance.media.capture import CameraCapture, MicCapture
from appliance.media.gate import CameraGate, MicGate
from appliance.media.lease import Lease
from appliance.media.playout import DisplayPlayout, SpeakerPlayout
from appliance.provisioning import Config
from appliance.service.hardware import Hardware, other_camera, other_microphone, other_speaker
from appliance.service.hotplug import HotPlug
from appliance.service.probe import Probe
from appliance.service.watch import WatchedDisplay, WatchedSpeaker
from hal.audio import Speaker
from hal.camera import VideoFormat
from hal.display import Display
from hal.display.memory import MemoryDisplay
from hal.hotplug import Finder

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
            hardware.microphone, microphone, bitrate=config.microphone.bitrate
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
        self._screen = hardware.display
        self.hotplug: Final = HotPlug(
            config, find=find, on_change=on_change, on_controls=on_controls
        )
        self.hotplug.follow(self.microphone, hardware.microphone, other_microphone)
        self.hotplug.follow(self.camera, hardware.camera, other_camera)
        self.hotplug.follow(
            self.speaker, speaker, lambda *wanted: self._heard(other_speaker(*wanted))
        )

    def picture(self) -> VideoFrame | None:
        """What the screen shows; None while it is dark."""
        if isinstance(self._screen, MemoryDisplay):
            return self._screen.picture()
        return self.display.shown

    def _heard(self, speaker: Speaker) -> WatchedSpeaker:
        watched = WatchedSpeaker(speaker)
        if self._probe is not None:
            watched.on_sound = self._probe.sound
        return watched

    def _seen(self, display: Display) -> WatchedDisplay:
        watched = WatchedDisplay(display)
        watched.on_picture = self._on_picture
        return watched


def _format(config: Config) -> VideoFormat:
    return VideoFormat(config.camera.width, config.camera.height, config.camera.rate)
