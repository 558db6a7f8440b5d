"""A whole device on this level's hardware, in a real room, in a live call."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.hub.config import HubConfig
from appliance.service.device import Device
from hal.audio import PERIOD, RATE
from hal.audio.pcm import library
from hal.device import Device as HalDevice
from hal.device import Kind
from hal.registry import list_devices
from tests.appliance.service.conftest import MakeDevice, hub, make_device  # noqa: F401
from tests.lab.conftest import GUEST, LED_LINES, Cards
from tests.lab.kernel_devices import PlatformDevice
from tests.lab.pins import Pins
from tests.lab.sounds import tone
from tests.lab.speakerphone import Speakerphone

log = logging.getLogger(__name__)

pytestmark = pytest.mark.lab

DEADLINE = 60
MUTE = 17
RED, GREEN, _, STATUS, _ = LED_LINES
UP, DOWN = True, False


@pytest.fixture
def sections(cards: Cards, request: pytest.FixtureRequest) -> dict[str, Any]:
    """What a device's configuration says of its hardware."""
    camera: dict[str, Any] = {"backend": "synthetic", "options": {"device_id": 1}}
    if GUEST:
        camera = {"backend": "v4l2", "options": {"device": request.getfixturevalue("camera_id")}}
    return {
        "camera": {**camera, "width": 320, "height": 180, "rate": 5},
        "microphone": {
            "backend": "alsa",
            "options": {"device": cards.microphone, "buffer_ms": 500},
        },
        "speaker": {"backend": "alsa", "options": {"device": cards.speaker, "buffer_ms": 500}},
        "probe": {"enabled": True, "tones": [1500.0]},
    }


ON_PINS = {
    "controls": {
        "backend": "gpio",
        "options": {
            "mute_pin": MUTE,
            "tally_red": RED,
            "tally_green": GREEN,
            "tally_muted": "steady",
            "status_pin": STATUS,
        },
    }
}
FAR = {
    "camera": {"backend": "synthetic", "width": 320, "height": 180, "rate": 5},
    "probe": {"enabled": True, "tones": [1000.0]},
}
"""A far end that leaves the machine its time: it listens for Oak's voice alone."""


@pytest.fixture
def hub_config(tmp_path: Path) -> HubConfig:
    """A room server whose canvas is of the members' size and rate.  Its own measure, 720p at 30
    pictures a second, is more than an emulated machine encodes."""
    return HubConfig(
        listen="127.0.0.1:0",
        data=tmp_path / "hub",
        open_rooms=("demo",),
        width=320,
        height=180,
        rate=5,
    )


@pytest.fixture
def voice(cards: Cards) -> Iterator[None]:
    """Somebody speaks 1 kHz in the room, through every removal of the card."""
    over = threading.Event()
    thread = threading.Thread(target=_speak, args=(cards.voice, over), name="somebody")
    thread.start()
    yield
    over.set()
    thread.join(30)


def _speak(device: str, over: threading.Event) -> None:
    """Not through our driver, whose periods are of 10 ms: this is no part of the device, and
    leaves the machine its time."""
    alsa = library()
    periods = RATE // PERIOD // 10
    sound = np.concatenate([tone(number * PERIOD) for number in range(periods)]).tobytes()
    while not over.is_set():
        with contextlib.suppress(alsa.ALSAAudioError):
            card = alsa.PCM(
                device=device,
                rate=RATE,
                channels=1,
                format=alsa.PCM_FORMAT_S16_LE,
                periodsize=periods * PERIOD,
                periods=5,
            )
            with contextlib.closing(card):
                # An xrun, and all that a card says of its removal, is a negative count.
                while not over.is_set() and card.write(sound) >= 0:
                    pass
        over.wait(0.2)


async def until(what: str, holds: Callable[[], bool]) -> None:
    """Wait for what has no event of its own: a pin's level, a sound's."""
    end = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < end, f"not within {DEADLINE} s: {what}"
        due = asyncio.Event()
        asyncio.get_running_loop().call_later(0.02, due.set)
        await due.wait()


def level(device: Device, tone: float) -> float:
    """How loud a device hears a tone, in dBFS."""
    return float(device.report()["tones"][f"{tone:g}"]["level_dbfs"])


def member(device: Device, name: str) -> dict[str, Any]:
    """What a device knows of a member."""
    return next((one for one in device.state().members if one["name"] == name), {})


class Call:
    """Two devices in a room: Oak on this level's hardware, Elm at the far end."""

    def __init__(self, oak: Device, elm: Device) -> None:
        self.oak, self.elm = oak, elm

    async def begin(self) -> None:
        await until("both to meet", lambda: len(self.elm.state().members) == 2)
        await until("Oak to be live", lambda: self.oak.state().tally == "live")
        await self.heard()
        self.member_id = self.oak.state().member_id

    async def heard(self) -> None:
        await until("Elm to hear Oak", lambda: level(self.elm, 1000) > -30)

    async def silent(self) -> None:
        await until("Elm to hear Oak no more", lambda: level(self.elm, 1000) < -60)

    def goes_on(self) -> bool:
        """Whether Oak is in the room as the member who joined."""
        state = self.oak.state()
        return state.status == "in_room" and state.member_id == self.member_id


MakeCall = Callable[..., Any]


@pytest.fixture
def make_call(
    make_device: MakeDevice,  # noqa: F811
    sections: dict[str, Any],
    voice: None,
) -> Iterator[MakeCall]:
    made: list[Device] = []

    async def make(controls: dict[str, Any]) -> Call:
        named = {
            part["options"]["device"]
            for part in sections.values()
            if "device" in part.get("options", {})
        }

        def find(kind: Kind) -> list[HalDevice]:
            """The devices of this room: the far ends of its cards belong to the test."""
            return [one for one in list_devices(kind) if kind == "controls" or one.id in named]

        oak = await make_device("Oak", 1, joined=False, find=find, **sections, **controls)
        elm = await make_device("Elm", 2, joined=False, **FAR)
        made.extend((oak, elm))
        call = Call(oak, elm)
        await call.begin()
        return call

    yield make
    # Shown beside what failed.
    for device in made:
        state = device.state()
        log.warning("%s: %s %s %s", state.name, state.status, state.stats, device.report())


async def press(pins: Pins) -> None:
    """Press and let go, as a finger does."""
    pins.drive(MUTE, DOWN)
    held = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, held.set)
    await held.wait()
    pins.drive(MUTE, UP)
    held = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, held.set)
    await held.wait()


async def test_a_pressed_line_mutes_a_live_call(pins: Pins, make_call: MakeCall) -> None:
    # The microphone goes on, so that what leaves can be listened to.
    call = await make_call({**ON_PINS, "mute": {"stop_microphone_while_muted": False}})
    probe = call.oak.probe
    assert probe is not None
    sent = probe.sent
    for _ in range(3):
        assert (pins.level(RED), pins.level(GREEN)) == (False, True)
        await until("sound to leave", lambda before=sent.audible: sent.audible > before + 5)
        await press(pins)
        await until("the light to be red", lambda: pins.level(RED) and not pins.level(GREEN))
        # What the tap sees from here on was encoded after the light turned red; a decoder's
        # overlap may ring in the first packet.
        audible, packets = sent.audible, sent.packets
        await until("the room to know", lambda: member(call.elm, "Oak").get("audio_muted") is True)
        await call.silent()
        await until("silence to be sent", lambda before=packets: sent.packets > before + 50)
        assert sent.audible <= audible + 1
        assert (pins.level(RED), pins.level(GREEN)) == (True, False)
        await press(pins)
        await until("the light to be green", lambda: pins.level(GREEN) and not pins.level(RED))
        await until("the room to know", lambda: member(call.elm, "Oak").get("audio_muted") is False)
        await call.heard()
    assert call.goes_on()


async def test_the_lights_go_out_with_the_call(pins: Pins, make_call: MakeCall) -> None:
    call = await make_call(ON_PINS)
    assert pins.level(STATUS), "steady in a room"
    await call.oak.stop()
    assert [pins.level(line) for line in (RED, GREEN, STATUS)] == [False, False, False]
    assert not call.oak.microphone_gate.is_open


@pytest.mark.kernel
async def test_the_microphone_is_pulled_and_comes_back(
    pins: Pins, make_call: MakeCall, desk: PlatformDevice
) -> None:
    call = await make_call(ON_PINS)
    for _ in range(2):
        desk.pull()
        await call.silent()
        assert call.goes_on()
        await until("the panel to tell", lambda: _tells(call.oak, "microphone"))
        await asyncio.to_thread(desk.put_back)
        await call.heard()
        await until("the panel to forget", lambda: not _tells(call.oak, "microphone"))
        assert call.goes_on()
    assert pins.level(GREEN)


@pytest.mark.kernel
async def test_the_speaker_is_pulled_and_comes_back(
    pins: Pins, make_call: MakeCall, wall: PlatformDevice
) -> None:
    call = await make_call(ON_PINS)
    await until("Oak to hear Elm", lambda: level(call.oak, 1500) > -30)
    for _ in range(2):
        wall.pull()
        await until("the panel to tell", lambda: _tells(call.oak, "speaker"))
        assert call.goes_on()
        assert level(call.elm, 1000) > -40, "the other direction goes on"
        await asyncio.to_thread(wall.put_back)
        await until("the panel to forget", lambda: not _tells(call.oak, "speaker"))
        await until("Oak to hear Elm", lambda: level(call.oak, 1500) > -30)
        assert call.goes_on()


@pytest.mark.kernel
async def test_the_camera_is_pulled_and_comes_back(
    pins: Pins, make_call: MakeCall, webcam: PlatformDevice
) -> None:
    call = await make_call(ON_PINS)
    await until("a picture", lambda: call.oak.self_view() is not None)
    for _ in range(2):
        webcam.pull()
        await until("the panel to tell", lambda: _tells(call.oak, "camera"))
        assert call.goes_on()
        await asyncio.to_thread(webcam.put_back)
        await until("the panel to forget", lambda: not _tells(call.oak, "camera"))
        before = call.oak.self_view()
        await until(
            "a new picture",
            lambda old=before: call.oak.self_view() not in (None, old),
        )
        assert call.goes_on()
    await call.heard()


@pytest.mark.kernel
async def test_the_button_is_pulled_and_comes_back(
    speakerphone: Speakerphone, make_call: MakeCall
) -> None:
    call = await make_call({"controls": {"backend": "hid"}})
    for _ in range(2):
        await asyncio.to_thread(speakerphone.pull)
        # Without a light nobody can know, so nothing leaves.
        await call.silent()
        assert not call.oak.microphone_gate.is_open
        assert call.goes_on()
        await asyncio.to_thread(speakerphone.plug)
        await call.heard()
        assert call.goes_on()


@pytest.mark.kernel
async def test_nothing_leaks_over_many_removals(
    pins: Pins, make_call: MakeCall, desk: PlatformDevice
) -> None:
    call = await make_call(ON_PINS)
    counts = []
    for cycle in range(CYCLES + 1):
        desk.pull()
        await until("the panel to tell", lambda: _tells(call.oak, "microphone"))
        await asyncio.to_thread(desk.put_back)
        await until("the panel to forget", lambda: not _tells(call.oak, "microphone"))
        await call.heard()
        if cycle in (2, CYCLES):
            gc.collect()
            counts.append(await _settled())
    assert call.goes_on()
    before, after = counts
    assert after <= before, f"left over: {after - before}"


CYCLES = int(os.environ.get("ROOMLET_LAB_CYCLES", "6"))


async def _settled() -> Counter[str]:
    """Threads by name, open files and tasks: the fewest of some looks, for some come and go.
    The loop's own pool is left out: it grows up to its size whatever happens."""
    least: Counter[str] | None = None
    for _ in range(20):
        due = asyncio.Event()
        asyncio.get_running_loop().call_later(0.1, due.set)
        await due.wait()
        names = [thread.name for thread in threading.enumerate()]
        look = Counter(name for name in names if not name.startswith("asyncio_"))
        look["files"] = len(list(Path("/proc/self/fd").iterdir()))
        look["tasks"] = len(asyncio.all_tasks())
        least = look if least is None else least & look
    assert least is not None
    return least


def _tells(device: Device, name: str) -> bool:
    """Whether the panel shows an error of a part of the device."""
    return any(name in error for error in device.state().errors)
