"""Buttons and lights: do they obey, and does a person agree?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from appliance.service.doctor.check import Finding, fail, ok, on_thread, warn
from appliance.service.doctor.person import Person
from hal.controls import Button, CameraLight, Controls, Status, Tally

PRESS_S: Final = 20.0
"""How long somebody may take to press the button."""

_LIGHTS: Final = ((Tally.MUTED, "red"), (Tally.LIVE, "green"))

_CAMERA_LIGHTS: Final = (
    (CameraLight.CLOSED, "flashing, once long and once short"),
    (CameraLight.LIVE, "steadily lit"),
)


async def look_at_controls(make: Callable[[], Controls], person: Person | None) -> Finding:
    """Drive each light; with a person, ask what it shows, and for a press of the mute button.

    Raises HalError.
    """
    controls = await on_thread(lambda _: make())
    moved = asyncio.Event()

    def button_moved(button: Button, down: bool) -> None:
        if button is Button.MUTE:
            moved.set()

    controls.open(asyncio.get_running_loop(), button_moved)
    try:
        label = controls.device.label
        for tally, colour in _LIGHTS:
            controls.set_tally(tally)
            if person is not None and await person.agrees(f"Is the light {colour}?") is False:
                remedy = "look at the light's wires and at its pins in [controls]"
                return fail(f"{label}: the light is not {colour} when it should be", remedy)
        controls.set_tally(Tally.OFF)
        if controls.camera_light:
            for light, how in _CAMERA_LIGHTS:
                controls.set_camera_light(light)
                question = f"Is the light of the camera {how}?"
                if person is not None and await person.agrees(question) is False:
                    remedy = "look at the light's wires and at camera_light_pin in [controls]"
                    text = f"{label}: the light of the camera is not {how} when it should be"
                    return fail(text, remedy)
            controls.set_camera_light(CameraLight.OFF)
        controls.set_status(Status.IDLE)
        held = [button.value for button in Button if controls.pressed(button)]
        stuck = [name for name in held if Button(name) not in controls.latching]
        if stuck:
            remedy = "let it go; if nobody holds it, look at its wires and at pull in [controls]"
            return warn(f"{label}: {', '.join(stuck)} is held down", remedy)
        if person is None:
            switched = f", and {', '.join(held)} is switched on" if held else ""
            return ok(f"{label}: the lights obey{switched}; look yourself: roomlet doctor --ask")
        person.tell(f"Press the mute button within {PRESS_S:.0f} seconds.")
        try:
            async with asyncio.timeout(PRESS_S):
                await moved.wait()
        except TimeoutError:
            remedy = "look at its wires and at mute_pin in [controls]"
            return fail(f"{label}: no press of the mute button came", remedy)
        return ok(f"{label}: the lights are as they should be, and the mute button works")
    finally:
        controls.close()
