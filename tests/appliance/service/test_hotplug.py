"""Devices pulled out of a call and put back: what the other members see, and what is left over.

With the environment variable ROOMLET_CYCLES the last test pulls each device so many times.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from appliance.service.device import Device
from appliance.service.mute_log import read
from hal.audio.synthetic import SyntheticMicrophone, SyntheticSpeaker
from hal.camera.synthetic import SyntheticCamera
from hal.device import Device as HalDevice
from hal.device import Kind
from tests.appliance.service.conftest import MakeDevice, until

CYCLES = int(os.environ.get("ROOMLET_CYCLES", "2"))


class Plugs:
    """What is plugged in beside a device's own: `find` lists it."""

    def __init__(self) -> None:
        self.there: list[HalDevice] = []

    def find(self, kind: Kind) -> list[HalDevice]:
        return [device for device in self.there if device.kind == kind]


def camera_of(device: Device) -> SyntheticCamera:
    return cast("SyntheticCamera", device.camera._camera)


def microphone_of(device: Device) -> SyntheticMicrophone:
    return cast("SyntheticMicrophone", device.microphone._microphone)


def speaker_of(device: Device) -> SyntheticSpeaker:
    return cast("SyntheticSpeaker", cast("Any", device.speaker._speaker).inner)


def seen(device: Device, name: str) -> dict[str, Any]:
    members = device.state().members
    return next((one for one in members if one["name"] == name), {})


def events_of(device: Device, *names: str) -> list[tuple[str, Any]]:
    heard: list[tuple[str, Any]] = []
    session = device.presence.session
    assert session is not None
    for name in names:
        session.on(name, lambda event, name=name: heard.append((name, event.to_dict())))
    return heard


def level(device: Device, tone: float) -> float:
    return float(device.report()["tones"][f"{tone:g}"]["level_dbfs"])


async def test_another_camera_takes_over_and_the_first_comes_back(make_device: MakeDevice) -> None:
    plugs = Plugs()
    spare = {"backend": "synthetic", "width": 320, "height": 180, "rate": 15}
    oak = await make_device(
        "Oak", 1, find=plugs.find, camera={**spare, "fallback": ["synthetic:7"]}
    )
    elm = await make_device("Elm", 2)
    member = oak.state().member_id
    heard = events_of(oak, "camera.disconnected", "camera.updated")
    first = camera_of(oak)
    await until(elm, lambda _: elm.report()["cameras"].get("1", {}).get("advances", 0) > 3)
    first.unplug()
    await until(oak, lambda _: oak.camera.device.id == "synthetic:7")
    await until(elm, lambda _: elm.report()["cameras"].get("7", {}).get("advances", 0) > 3)
    assert any("the camera is now" in error for error in oak.state().errors)
    assert [name for name, _ in heard] == ["camera.disconnected", "camera.updated"]
    assert heard[0][1]["deviceId"] == "synthetic:1"
    assert heard[1][1]["previous"]["deviceId"] == "synthetic:1"
    assert heard[1][1]["current"]["deviceId"] == "synthetic:7"
    first.replug()
    plugs.there = [first.device]
    await until(oak, lambda state: oak.camera.device.id == "synthetic:1" and not state.errors)
    advances = elm.report()["cameras"]["1"]["advances"]
    await until(elm, lambda _: elm.report()["cameras"]["1"]["advances"] > advances + 3)
    assert heard[-1][1]["current"]["deviceId"] == "synthetic:1"
    assert oak.state().member_id == member
    assert not seen(elm, "Oak")["video_muted"]


async def test_a_room_without_a_microphone_says_so_everywhere(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1)
    elm = await make_device("Elm", 2)
    member = oak.state().member_id
    heard = events_of(oak, "microphone.disconnected", "microphone.updated")
    await until(elm, lambda _: level(elm, 1000.0) > -30)
    microphone = microphone_of(oak)
    microphone.unplug()
    await until(elm, lambda _: seen(elm, "Oak").get("audio_muted") is True)
    await until(oak, lambda state: state.tally == "muted")
    assert oak.state().closers == ["unplugged"]
    assert any("there is no other one" in error for error in oak.state().errors)
    banner = cast("Any", oak.display.display).inner._banner
    assert banner.text == "Nobody hears this room. No microphone: plug it in."
    assert [name for name, _ in heard] == ["microphone.disconnected"]
    microphone.replug()
    await until(elm, lambda _: seen(elm, "Oak").get("audio_muted") is False)
    await until(elm, lambda _: level(elm, 1000.0) > -30)
    await until(oak, lambda state: state.tally == "live" and not state.errors)
    assert [name for name, _ in heard] == ["microphone.disconnected", "microphone.updated"]
    assert oak.state().member_id == member
    # The log has a thread of its own, which may still be at it.
    told = {"the microphone has gone", "there is a microphone again"}
    await until(oak, lambda _: told <= {change["why"] for change in log_of(oak)})


async def test_what_the_room_has_muted_stays_so(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1)
    microphone = microphone_of(oak)
    microphone.unplug()
    await until(oak, lambda state: state.closers == ["unplugged"])
    oak.press("mute")
    oak.release("mute")
    await until(oak, lambda state: state.closers == ["room", "unplugged"])
    microphone.replug()
    await until(oak, lambda state: state.closers == ["room"])
    assert oak.state().tally == "muted"


async def test_another_loudspeaker_takes_over(make_device: MakeDevice) -> None:
    speaker = {"backend": "synthetic", "fallback": ["synthetic:9"]}
    oak = await make_device("Oak", 1, speaker=speaker)
    elm = await make_device("Elm", 2)
    heard = events_of(oak, "speaker.disconnected", "speaker.updated")
    await until(oak, lambda _: level(oak, 1500.0) > -30)
    assert elm.state().status == "in_room"
    speaker_of(oak).unplug()
    await until(oak, lambda _: oak.speaker.device.id == "synthetic:9")
    await until(oak, lambda _: [name for name, _ in heard][-1:] == ["speaker.updated"])
    await until(oak, lambda _: level(oak, 1500.0) > -30)
    assert heard[0][0] == "speaker.disconnected"


async def test_controls_that_are_pulled_close_the_microphone(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1)
    controls = cast("Any", oak.console.controls)
    controls.unplug()
    await until(oak, lambda state: state.tally == "fault" and not state.mic_open)
    assert any("has gone" in error for error in oak.state().errors)
    controls.replug()
    await until(oak, lambda state: state.tally == "live" and not state.errors)


async def test_nothing_is_left_over(make_device: MakeDevice) -> None:
    """Each device pulled and put back, over and over, in one call."""
    oak = await make_device("Oak", 1)
    member = oak.state().member_id
    devices: list[Any] = [
        camera_of(oak),
        microphone_of(oak),
        speaker_of(oak),
        oak.console.controls,
    ]

    def well(state: Any) -> bool:
        open_now = not oak.camera.suspended and not oak.microphone.suspended
        return state.tally == "live" and not state.errors and state.camera_open and open_now

    async def cycle() -> None:
        for device in devices:
            device.unplug()
            await until(oak, lambda state: bool(state.errors))
            device.replug()
            await until(oak, well)

    await cycle()  # what is made once and kept
    before = await settled(lambda counts: True)
    for _ in range(CYCLES):
        await cycle()
    after = await settled(lambda counts: all(a <= b for a, b in zip(counts, before, strict=True)))
    assert all(a <= b for a, b in zip(after, before, strict=True)), (before, after)
    assert oak.state().member_id == member
    assert oak.state().status == "in_room"


async def settled(good: Callable[[tuple[int, int, int]], bool]) -> tuple[int, int, int]:
    """Threads, file descriptors and tasks; waits a while for what is about to end."""
    counts = (0, 0, 0)
    for _ in range(50):
        await asyncio.sleep(0.1)
        counts = (
            # The pool of the loop grows to its size, whoever asks.
            sum(not one.name.startswith("asyncio_") for one in threading.enumerate()),
            len(list(Path("/proc/self/fd").iterdir())),
            len(asyncio.all_tasks()),
        )
        if good(counts):
            break
    return counts


def log_of(device: Device) -> list[dict[str, Any]]:
    return list(read(device.mute_log.directory))
