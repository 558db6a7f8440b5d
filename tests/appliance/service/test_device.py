"""Whole devices in a real room; what is tested is what came out at the other end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any, cast

import gpiozero
import numpy as np
import pytest
from gpiozero.pins.mock import MockFactory

from appliance.hub.config import HubConfig
from appliance.hub.server import HubServer
from appliance.media.gate import Gate, Party
from appliance.panel import PanelState, Refused
from appliance.room.errors import GateHeld
from appliance.service import attendance, mute_log
from appliance.service.device import Device
from appliance.service.hardware import build
from appliance.service.wire import SentSound
from hal.camera.synthetic import SyntheticCamera
from hal.controls import Button, Tally
from hal.controls.virtual import VirtualControls
from hal.errors import HalError
from tests.appliance.service.conftest import MakeDevice, gone, settings, until, usual_level


def controls_of(device: Device) -> VirtualControls:
    return cast("VirtualControls", device.console.controls)


def member(state: PanelState, name: str) -> dict[str, Any]:
    return next((one for one in state.members if one["name"] == name), {})


def tap(device: Device, button: str) -> None:
    device.press(button)
    device.release(button)


def level(device: Device, tone: float) -> float:
    return float(device.report()["tones"][f"{tone:g}"]["level_dbfs"])


async def test_two_devices_meet(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1)
    elm = await make_device("Elm", 2)
    for device, other, tone in ((oak, "2", 1500.0), (elm, "1", 1000.0)):
        await until(device, lambda state: len(state.members) == 2)
        await until(
            device,
            lambda _, d=device, o=other: d.report()["cameras"].get(o, {}).get("advances", 0) > 3,
        )
        await until(device, lambda _, d=device, t=tone: level(d, t) > -30)
    # Nobody hears oneself: over more than a second at least 40 dB below the other.
    for device, own, other in ((oak, 1000.0, 1500.0), (elm, 1500.0, 1000.0)):
        await until(
            device,
            lambda _, d=device, own=own, other=other: (
                gone(d, own) and usual_level(d, own) < usual_level(d, other) - 40
            ),
        )
    state = oak.state()
    assert (state.name, state.room, state.status) == ("Oak", "demo", "in_room")
    assert state.tally == "live"
    assert state.mic_open
    assert state.camera_open
    assert state.joined_ms is not None
    assert state.joined_ms > 0
    assert state.layout == "grid-responsive"
    assert member(state, "Oak")["id"] == state.member_id
    await until(oak, lambda _: oak.report()["canvas_fps"] > 5)
    await until(oak, lambda _: oak.report()["sent"]["audible"] > 10)
    assert 0 < oak.report()["video_latency_ms"]["p50"] < 5000
    await until(oak, lambda state: "grid-responsive" in state.layouts)
    assert oak.screen() is not None
    assert oak.self_view() is not None


class Recorder(SentSound):
    """Keeps when each packet with sound left, and how loud its sound is."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[tuple[float, bool]] = []

    def sent(self, data: bytes) -> None:
        before, heard = self.packets, self.audible
        super().sent(data)
        if self.packets > before:
            self.log.append((time.monotonic(), self.audible > heard))

    async def until_audible(self, after: float) -> None:
        async with asyncio.timeout(30):
            while self.last_audible is None or self.last_audible <= after:
                await asyncio.sleep(0.005)


@pytest.mark.parametrize("stop_microphone", [False, True])
async def test_mute_truth_on_the_wire(make_device: MakeDevice, stop_microphone: bool) -> None:
    """Once the press has closed the gate at most one more packet carries sound, and none once the
    light is red.  A press waits its turn on a loop that is late; what waits before it has left."""
    device = await make_device(
        "Oak", 1, joined=False, mute={"stop_microphone_while_muted": stop_microphone}
    )
    assert device.probe is not None
    recorder = Recorder()
    device.probe.sent = recorder  # type: ignore[misc]
    gate_moves: list[tuple[float, bool]] = []

    def moved(gate: Gate) -> None:
        gate_moves.append((time.monotonic(), gate.is_open))

    device.microphone_gate.subscribe(moved)
    await recorder.until_audible(0.0)
    presses = []
    for _ in range(5):
        await recorder.until_audible(time.monotonic())
        presses.append(time.monotonic())
        tap(device, "mute")
        await until(device, lambda state: state.tally == "muted")
        await asyncio.sleep(0.3)
        tap(device, "mute")
        await until(device, lambda state: state.tally == "live")
    history = controls_of(device).history
    reds = [at for at, tally in history if tally is Tally.MUTED]
    greens = [at for at, tally in history if tally is Tally.LIVE]
    assert len(reds) == 5
    assert len(greens) == 6
    opened = [at for at, is_open in gate_moves if is_open]
    closed = [at for at, is_open in gate_moves if not is_open]
    for press, gate, red, green in zip(presses, closed, reds, greens[1:], strict=True):
        assert press <= gate
        after = [audible for at, audible in recorder.log if gate < at < green]
        assert sum(after) <= 1
        # The decoder's own overlap may ring in the first packet of silence.
        behind = [audible for at, audible in recorder.log if red < at < green]
        assert not any(behind[1:])
    # Green before the gate opens, red before anybody after the light hears that it has closed.
    assert all(light <= gate for light, gate in zip(greens, opened, strict=True))
    assert all(light <= gate for light, gate in zip(reds, closed, strict=True))


async def test_the_room_sees_and_hears_the_mute(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1)
    elm = await make_device("Elm", 2)
    await until(elm, lambda _: level(elm, 1000.0) > -30)
    tap(oak, "mute")
    await until(elm, lambda state: member(state, "Oak").get("audio_muted") is True)
    await until(elm, lambda _: level(elm, 1000.0) < -60)
    assert oak.state().tally == "muted"
    assert "room" in oak.state().closers
    tap(oak, "mute")
    await until(elm, lambda state: member(state, "Oak").get("audio_muted") is False)
    await until(elm, lambda _: level(elm, 1000.0) > -30)


async def test_a_device_that_starts_muted_was_never_heard(make_device: MakeDevice) -> None:
    elm = await make_device("Elm", 2)
    oak = await make_device("Oak", 1, mute={"start_muted": True})
    await until(elm, lambda state: member(state, "Oak").get("audio_muted") is True)
    assert oak.state().tally == "muted"
    assert [tally for _, tally in controls_of(oak).history] == [Tally.MUTED]
    assert oak.report()["sent"]["audible"] == 0
    assert level(elm, 1000.0) < -60
    # Nobody in the room did it, and nobody is said to have.
    assert oak.state().closers == ["config"]
    assert oak._view.banner().text.startswith("Muted at its start, as configured.")
    session = oak.presence.session
    assert session is not None
    with pytest.raises(GateHeld, match="held by config"):
        await session.audio_unmute()
    tap(oak, "mute")
    await until(elm, lambda _: level(elm, 1000.0) > -30)
    assert oak.state().closers == []
    oak.mute_log.stop()
    first = next(one for one in mute_log.read(oak.mute_log.directory) if one["device"] == "Oak")
    assert (first["who"], first["why"]) == ("config", "muted at its start, as configured")


async def test_the_camera_button_takes_the_picture_away(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1)
    elm = await make_device("Elm", 2)
    tap(oak, "camera")
    await until(elm, lambda state: member(state, "Oak").get("video_muted") is True)
    assert oak.state().camera_closers == ["room"]
    assert oak.state().mic_open
    await until(oak, lambda _: oak.self_view() is None)


async def test_a_hub_that_comes_back_finds_the_device_again(
    hub: HubServer, make_device: MakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attendance, "REMOVED_RETRY", 0.1)
    oak = await make_device("Oak", 1)
    await until(oak, lambda _: oak.canvas.pictures > 10)
    port = int(hub.url.rpartition(":")[2])
    await hub.stop()
    await until(oak, lambda state: state.status != "in_room")
    again = HubServer(
        HubConfig(listen=f"127.0.0.1:{port}", data=hub.config.data, open_rooms=("demo",)),
        environment={},
    )
    await again.start()
    try:
        await until(oak, lambda state: state.status == "in_room" and state.tally == "live")
        shown = oak.canvas.pictures
        await until(oak, lambda _: oak.canvas.pictures > shown)
    finally:
        await oak.stop()
        await again.stop()


async def test_a_pulled_camera_is_said_and_comes_back(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1)
    camera = cast("SyntheticCamera", oak.camera._camera)
    camera.unplug()
    await until(oak, lambda state: any("synthetic:1" in error for error in state.errors))
    assert oak.state().status == "in_room"
    camera.replug()
    await until(oak, lambda state: not state.errors)


async def test_stop_leaves_the_room_and_the_light_goes_out(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1)
    elm = await make_device("Elm", 2)
    await until(elm, lambda state: len(state.members) == 2)
    await oak.stop()
    await until(elm, lambda state: len(state.members) == 1)
    assert not oak.microphone_gate.is_open
    assert controls_of(oak).state.tally is Tally.OFF
    assert oak.microphone.suspended
    assert oak.camera.suspended


async def test_a_guest_comes_in_by_the_entrance(hub: HubServer, make_device: MakeDevice) -> None:
    guest = {"host": hub.url, "name": "demo", "guest": True, "user_name": "Fir"}
    device = await make_device("Fir", 3, room=guest)
    assert device.state().name == "Fir"


async def test_a_refused_token_shows_on_the_screen(hub: HubServer, make_device: MakeDevice) -> None:
    device = await make_device("Oak", 1, joined=False, room={"host": hub.url, "token": "no.such"})
    await until(device, lambda state: state.status == "fault")
    assert "this is no room token" in device.state().status_reason
    assert device.state().tally == "off"
    screen = device.screen()
    assert screen is not None
    await until(device, lambda _: bool(np.asarray(cast("Any", device.screen()).to_ndarray()).any()))


async def test_a_layout_is_chosen_through_the_panel(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1)
    await oak.select_layout("highlight-1-responsive")
    await until(oak, lambda state: state.layout == "highlight-1-responsive")
    with pytest.raises(Refused):
        await oak.select_layout("no-such-layout")


async def test_what_the_panel_may_not_do(hub: HubServer) -> None:
    config = settings(hub, "Oak", 1)
    device = Device(config, build(config))
    with pytest.raises(Refused, match="no button 'reboot'"):
        device.press("reboot")
    with pytest.raises(Refused, match="There is no room"):
        await device.select_layout("2x2")
    await device.stop()


async def test_volume_is_a_percentage_and_acts_on_the_sound(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1)
    elm = await make_device("Elm", 2)
    await until(elm, lambda _: level(elm, 1000.0) > -30)
    elm.set_volume(0)
    await until(elm, lambda _: level(elm, 1000.0) < -80)
    elm.set_volume(250)
    assert elm.state().volume == 100
    tap(elm, "volume_down")
    await until(elm, lambda state: state.volume == 95)
    assert oak.state().volume == 100


async def test_an_impatient_device_does_not_go_on_without_its_camera(hub: HubServer) -> None:
    config = settings(hub, "Oak", 1, camera={"backend": "v4l2", "device": "/dev/video77"})
    device = Device(config, build(config), patient=False)
    with pytest.raises(HalError, match="video77"):
        await device.start()
    await device.stop()
    assert device.microphone_gate.closers >= {Party.START}


COVERED = {"backend": "virtual", "options": {"latching": ["cover"]}}


async def test_the_cover_takes_the_picture_away_whatever_anybody_presses(
    make_device: MakeDevice,
) -> None:
    oak = await make_device("Oak", 1, controls=COVERED)
    elm = await make_device("Elm", 2)
    controls_of(oak).press(Button.COVER)
    await until(elm, lambda state: member(state, "Oak").get("video_muted") is True)
    await until(oak, lambda _: oak.self_view() is None)
    assert oak.state().camera_closers == ["cover"]
    assert oak.state().mic_open
    session = oak.presence.session
    assert session is not None
    with pytest.raises(GateHeld, match="cover"):
        await session.video_unmute()
    tap(oak, "camera")
    with pytest.raises(Refused, match="no button 'cover'"):
        oak.release("cover")
    assert oak.state().camera_closers == ["cover"]
    controls_of(oak).release(Button.COVER)
    await until(elm, lambda state: member(state, "Oak").get("video_muted") is False)
    await until(oak, lambda _: oak.self_view() is not None)
    await oak.stop()
    entries = [one for one in mute_log.read(oak.mute_log.directory) if one["who"] == "cover"]
    assert [(one["what"], one["act"]) for one in entries[-2:]] == [
        ("camera", "close"),
        ("camera", "open"),
    ]
    assert entries[-1]["why"] == "the cover of Virtual controls"


async def test_a_cover_of_the_microphone_silences_the_wire(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1, controls=COVERED, mute={"cover_microphone": True})
    elm = await make_device("Elm", 2)
    await until(elm, lambda _: level(elm, 1000.0) > -30)
    controls_of(oak).press(Button.COVER)
    await until(elm, lambda _: level(elm, 1000.0) < -60)
    assert oak.state().tally == "muted"
    tap(oak, "mute")
    assert oak.state().closers == ["cover"]
    controls_of(oak).release(Button.COVER)
    await until(elm, lambda _: level(elm, 1000.0) > -30)


@pytest.mark.parametrize("by", ["the hang-up button", "a long press"])
async def test_a_person_hangs_up_and_calls_again(make_device: MakeDevice, by: str) -> None:
    oak = await make_device("Oak", 1, controls={"backend": "virtual", "hang_up_after": 0.5})
    elm = await make_device("Elm", 2)
    await until(elm, lambda _: level(elm, 1000.0) > -30)
    if by == "a long press":
        oak.press("mute")
    else:
        tap(oak, "hang_up")
    await until(oak, lambda state: state.status == "idle")
    oak.release("mute")
    assert oak.state().status_reason == "somebody here hung up; press the button to join"
    assert oak.state().tally == "off"
    await until(elm, lambda state: not member(state, "Oak"))
    tap(oak, "mute")
    await until(oak, lambda state: state.status == "in_room" and state.tally == "live")
    await until(elm, lambda _: level(elm, 1000.0) > -30)


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    factory = MockFactory()
    before, gpiozero.Device.pin_factory = gpiozero.Device.pin_factory, factory
    yield factory
    factory.reset()
    gpiozero.Device.pin_factory = before


class SentKinds(SentSound):
    """Counts the RTP packets of pictures beside those of sound."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures = 0

    def sent(self, data: bytes) -> None:
        before = self.packets
        super().sent(data)
        if self.packets == before and not 192 <= data[1] <= 223:
            self.pictures += 1


async def test_a_contact_on_a_pin_covers_the_camera_and_another_hangs_up(
    pins: MockFactory, make_device: MakeDevice
) -> None:
    """From the pin's level to the packets that leave."""
    options = {"cover_pin": 16, "hang_up_pin": 24, "mute_pin": 17, "tally_green": 6}
    options["camera_light_pin"] = 26
    controls = {"backend": "gpio", "options": options}
    oak = await make_device("Oak", 1, joined=False, controls=controls)
    assert oak.probe is not None
    wire = oak.probe.sent = SentKinds()  # type: ignore[misc]
    elm = await make_device("Elm", 2)
    await until(oak, lambda _: wire.pictures > 5)
    assert (pins.pin(26).state, oak.state().camera_light) == (True, "live")
    pins.pin(16).drive_low()
    await until(elm, lambda state: member(state, "Oak").get("video_muted") is True)
    assert oak.camera_gate.closers == {Party.COVER}
    assert oak.state().camera_light == "closed"
    covered, sounds = wire.pictures, wire.packets
    await until(oak, lambda _: wire.packets > sounds + 50)
    assert wire.pictures == covered, "no picture leaves, while sound goes on"
    pins.pin(16).drive_high()
    await until(oak, lambda _: wire.pictures > covered)
    assert pins.pin(6).state
    assert pins.pin(26).state
    pins.pin(24).drive_low()
    await until(oak, lambda state: state.status == "idle")
    assert not pins.pin(6).state
    assert (pins.pin(26).state, oak.state().camera_light) == (False, "off")
    await until(elm, lambda state: not member(state, "Oak"))
