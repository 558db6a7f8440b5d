from __future__ import annotations

import pytest

from appliance.service.doctor import controls as module
from appliance.service.doctor.check import Verdict
from appliance.service.doctor.controls import look_at_controls
from hal.controls import Button, CameraLight, Tally
from hal.controls.virtual import VirtualControls
from hal.errors import DeviceNotFound, DeviceUnplugged


class Watcher:
    """Looks at the lights, and presses when told to."""

    def __init__(self, controls: VirtualControls, *, sees_green: bool = True) -> None:
        self.seen: list[tuple[str, Tally]] = []
        self.camera: list[tuple[str, CameraLight]] = []
        self.sees_camera = True
        self.presses = True
        self._controls = controls
        self._sees_green = sees_green

    def tell(self, text: str) -> None:
        assert text.startswith("Press the mute button")
        if self.presses:
            self._controls.tap(Button.MUTE)

    async def agrees(self, question: str) -> bool | None:
        state = self._controls.state
        if "camera" in question:
            self.camera.append((question, state.camera))
            return self.sees_camera
        self.seen.append((question, state.tally))
        return "green" not in question or self._sees_green


async def test_without_a_person_the_lights_are_driven_and_left_dark() -> None:
    controls = VirtualControls()
    finding = await look_at_controls(lambda: controls, None)
    assert finding.verdict is Verdict.OK
    assert "roomlet doctor --ask" in finding.text
    assert [tally for _, tally in controls.history] == [Tally.MUTED, Tally.LIVE, Tally.OFF]
    assert controls.state.tally is Tally.OFF
    assert controls.state.status is None


async def test_a_person_sees_each_colour_and_presses_the_button() -> None:
    controls = VirtualControls()
    watcher = Watcher(controls)
    finding = await look_at_controls(lambda: controls, watcher)
    assert finding.verdict is Verdict.OK
    assert "the mute button works" in finding.text
    assert watcher.seen == [
        ("Is the light red?", Tally.MUTED),
        ("Is the light green?", Tally.LIVE),
    ]


async def test_a_light_of_the_wrong_colour() -> None:
    controls = VirtualControls()
    finding = await look_at_controls(lambda: controls, Watcher(controls, sees_green=False))
    assert finding.verdict is Verdict.FAIL
    assert "not green" in finding.text
    assert controls.state.tally is Tally.OFF


async def test_a_person_sees_the_light_of_the_camera_where_there_is_one() -> None:
    controls = VirtualControls(camera_light=True)
    watcher = Watcher(controls)
    finding = await look_at_controls(lambda: controls, watcher)
    assert finding.verdict is Verdict.OK
    assert watcher.camera == [
        ("Is the light of the camera flashing, once long and once short?", CameraLight.CLOSED),
        ("Is the light of the camera steadily lit?", CameraLight.LIVE),
    ]
    watcher = Watcher(controls)
    watcher.sees_camera = False
    finding = await look_at_controls(lambda: controls, watcher)
    assert finding.verdict is Verdict.FAIL
    assert "not flashing" in finding.text
    assert "camera_light_pin" in finding.remedy
    assert controls.state.camera is CameraLight.OFF


async def test_a_camera_light_that_does_not_obey_is_an_error() -> None:
    class Broken(VirtualControls):
        def set_camera_light(self, light: CameraLight) -> None:
            raise DeviceUnplugged("the camera LED does not obey; check its pin")

    with pytest.raises(DeviceUnplugged, match="camera LED"):
        await look_at_controls(lambda: Broken(camera_light=True), None)


async def test_a_button_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PRESS_S", 0.1)
    controls = VirtualControls()
    watcher = Watcher(controls)
    watcher.presses = False
    finding = await look_at_controls(lambda: controls, watcher)
    assert finding.verdict is Verdict.FAIL
    assert "no press" in finding.text


async def test_a_button_that_sticks_and_a_switch_that_is_on() -> None:
    button = VirtualControls()
    button.press(Button.MUTE)
    finding = await look_at_controls(lambda: button, None)
    assert finding.verdict is Verdict.WARN
    assert "mute is held down" in finding.text
    switch = VirtualControls(latching=["mute"])
    switch.press(Button.MUTE)
    finding = await look_at_controls(lambda: switch, None)
    assert finding.verdict is Verdict.OK
    assert "mute is switched on" in finding.text


async def test_controls_that_are_not_there() -> None:
    controls = VirtualControls()
    controls.unplug()
    with pytest.raises(DeviceNotFound):
        await look_at_controls(lambda: controls, None)
