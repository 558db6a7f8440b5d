"""The same tests on two levels.

In the lab's guest (ROOMLET_LAB=guest) they run on the kernel's own virtual devices, which must
be there; on any other machine on what the libraries offer in place of a device: gpiozero's mock
pins, a sound server's null sinks.  Tests marked `kernel` have no such place.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gpiozero
import pytest
from gpiozero.pins.mock import MockFactory

from hal.camera import v4l2_nodes
from tests.hal.audio.conftest import sound_server  # noqa: F401
from tests.lab.kernel_devices import PlatformDevice
from tests.lab.pins import KernelPins, MockPins, Pins
from tests.lab.speakerphone import Speakerphone

GUEST = os.environ.get("ROOMLET_LAB") == "guest"

LED_LINES = (5, 6, 13, 19, 20)

_chosen: list[gpiozero.Factory] = []


@pytest.fixture
def pins() -> Iterator[Pins]:
    """Pins to which open contacts are connected, and the LEDs of LED_LINES."""
    before = gpiozero.Device.pin_factory
    if GUEST:
        # The library is chosen by gpiozero itself, as on a board, and once for the process: its
        # thread does not outlive a second choice.
        gpiozero.Device.pin_factory = None if not _chosen else _chosen[0]
        kernel = KernelPins.find()
        for line in range(28):
            # The resistors of inputs pull up; what an LED hangs on is low when nobody drives it.
            kernel.drive(line, line not in LED_LINES)
        yield kernel
        if gpiozero.Device.pin_factory is not None:
            _chosen[:] = [gpiozero.Device.pin_factory]
    else:
        factory = gpiozero.Device.pin_factory = MockFactory()
        yield MockPins(factory)
        factory.reset()
    gpiozero.Device.pin_factory = before


@dataclass(frozen=True)
class Cards:
    """Sound devices and their far ends, by ALSA's names.

    What is played into `voice` is captured from `microphone`, and what is played into
    `speaker` from `ear`.
    """

    voice: str
    microphone: str
    speaker: str
    ear: str
    mixer: str
    """A playback device with a mixer."""


@pytest.fixture
def cards(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Cards:
    if GUEST:
        return Cards(
            voice="plughw:CARD=Desk,DEV=0",
            microphone="plughw:CARD=Desk,DEV=1",
            speaker="plughw:CARD=Wall,DEV=0",
            ear="plughw:CARD=Wall,DEV=1",
            mixer="plughw:CARD=Panel,DEV=0",
        )
    # A call takes longer than a test of the driver.
    monkeypatch.setattr("tests.hal.audio.conftest.LIMIT_S", "600")
    request.getfixturevalue("sound_server")
    return Cards(voice="spk", microphone="mic", speaker="spk", ear="mic", mixer="spk")


@pytest.fixture
def desk() -> Iterator[PlatformDevice]:
    """The card of `Cards.microphone`, to be pulled; it is back after the test."""
    with PlatformDevice("snd_aloop", "snd_aloop.0") as card:
        yield card


@pytest.fixture
def wall() -> Iterator[PlatformDevice]:
    """The card of `Cards.speaker`, likewise."""
    with PlatformDevice("snd_aloop", "snd_aloop.1") as card:
        yield card


@pytest.fixture
def webcam() -> Iterator[PlatformDevice]:
    """The machine's only camera, likewise."""
    with PlatformDevice("vivid", "vivid.0") as camera:
        yield camera


@pytest.fixture
def speakerphone() -> Iterator[Speakerphone]:
    """A speakerphone that is plugged in."""
    made = Speakerphone()
    made.plug()
    yield made
    made.pull()


@pytest.fixture
def camera_id() -> str:
    """The id of the machine's only camera."""
    found = v4l2_nodes.find()
    assert len(found) == 1, "modprobe vivid"
    return found[0].id


@pytest.fixture
def chip(pins: Pins) -> Path:
    """The device node of the kernel's pins."""
    assert isinstance(pins, KernelPins)
    return pins.chip
