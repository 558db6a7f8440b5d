"""The sections of the device's hardware: which backend and which device of it, and what is wanted.

The text under each field is its description in the JSON Schema and in the commented example.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from appliance.provisioning.section import Section
from appliance.provisioning.values import even


class DeviceConfig(Section):
    """What every device class has: a backend, one device of it, the backend's own options."""

    backend: str = "auto"
    """One of those that `roomlet devices` lists; `auto` takes the first that has a device."""
    device: str | None = None
    """An id that `roomlet devices` lists; the first one if left out."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The backend's own options."""

    @property
    def arguments(self) -> dict[str, Any]:
        """What the backend's constructor gets."""
        return self.options | ({} if self.device is None else {"device": self.device})


class SourceConfig(DeviceConfig):
    """A device of a class of which there may be several."""

    fallback: list[str] = Field(default_factory=list)
    """Ids of devices to go on with, best first, while this one is pulled; without any, one like
    it."""


class CameraConfig(SourceConfig):
    """The camera, and the picture that is sent."""

    width: Annotated[int, Field(ge=64, le=3840), AfterValidator(even)] = 1280
    """Pixels, even."""
    height: Annotated[int, Field(ge=36, le=2160), AfterValidator(even)] = 720
    """Pixels, even."""
    rate: Annotated[float, Field(ge=1, le=60)] = 30.0
    """Pictures a second."""
    bitrate: Annotated[int, Field(ge=150_000, le=20_000_000)] = 2_000_000
    """Bit/s at most."""


class MicrophoneConfig(SourceConfig):
    """The microphone, and the sound that is sent."""

    bitrate: Annotated[int, Field(ge=8_000, le=128_000)] = 32_000
    """Bit/s of Opus."""
    expected_loss: Annotated[int, Field(ge=0, le=50)] = 5
    """Percent of the packets that may be lost: each carries the words of the one before, the better
    the more are lost.  With 0 none does, and the sound has all its highs."""


class SpeakerConfig(SourceConfig):
    """The loudspeaker."""

    volume: Annotated[int, Field(ge=0, le=100)] = 100
    """Percent, from 0 to 100."""


class ControlsConfig(DeviceConfig):
    """Buttons and lights; pins stand in the backend's `options`."""

    also: list[str] = Field(default_factory=list)
    """Further backends, whose buttons act and whose lights follow too; each takes of `options`
    what it knows."""
    hang_up_after: Annotated[float, Field(ge=0.5, le=10)] | None = None
    """Seconds for which the mute button is held down to hang up; nothing of the kind if left
    out."""


class DisplayConfig(DeviceConfig):
    """The screen."""

    cec: bool = True
    """Whether to switch it on and off by HDMI-CEC, where the machine has that and `cec-ctl`."""
    idle_minutes: Annotated[int, Field(ge=0, le=1440)] = 15
    """Minutes without people after which it goes off; 0 for never."""


class ScreenShareConfig(DeviceConfig):
    """What comes in by HDMI, shown to the room for as long as something does."""

    backend: str = "v4l2"
    """A camera backend: a capture dongle is a camera to the system."""
    device: str | None = None
    """The input, an id that `roomlet devices` lists; nothing is shared if left out."""
    layout: str | None = None
    """The layout that the room changes to; left out, it stays."""
