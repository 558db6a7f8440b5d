"""A device that cannot be begun, and says so: lights and screen, and nothing else.

It takes the place of a service that has ended too often.  There is no camera and no microphone in
it, so nothing can leave the room.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from appliance.provisioning import Config, ConfigError
from appliance.service import hardware
from appliance.service.notify import Notifier
from hal import registry
from hal.controls import Button, CameraLight, Controls, Status, Tally
from hal.display import Banner, Display
from hal.errors import HalError

log = logging.getLogger(__name__)

TEXT: Final = "Out of order. Call for help."


class Breakdown:
    """Shows the fault on what the configuration names, or on what there is."""

    def __init__(self, config: Config | None, reason: str) -> None:
        self.text: Final = f"Out of order: {reason}" if reason else TEXT
        self._config = config
        self._controls: Controls | None = None
        self._display: Display | None = None

    async def show(self) -> None:
        """Light the status light and write on the screen; what of it fails is only logged."""
        loop = asyncio.get_running_loop()
        self._controls = await asyncio.to_thread(self._make_controls)
        if self._controls is not None:
            with contextlib.suppress(HalError):
                self._controls.open(loop, _deaf)
                # Nothing is captured: the other lights are dark, as outside a call.
                self._controls.set_tally(Tally.OFF)
                self._controls.set_status(Status.FAULT)
                self._controls.set_camera_light(CameraLight.OFF)
        self._display = await asyncio.to_thread(self._make_display)

    async def keep(self, seconds: float, stop: asyncio.Event) -> None:
        """Keep it up for so long, or until `stop` is set."""
        waiting = asyncio.create_task(stop.wait())
        try:
            # Some screens forget a picture that is never drawn again.
            end = asyncio.get_running_loop().time() + seconds
            while not waiting.done() and (rest := end - asyncio.get_running_loop().time()) > 0:
                if self._display is not None:
                    await asyncio.to_thread(_draw, self._display)
                await asyncio.wait({waiting}, timeout=min(1.0, rest))
        finally:
            waiting.cancel()

    async def close(self) -> None:
        """Put the lights out and let the screen go."""
        if self._controls is not None:
            await asyncio.to_thread(self._controls.close)
        if self._display is not None:
            await asyncio.to_thread(self._display.close)

    def _make_controls(self) -> Controls | None:
        try:
            if self._config is None:
                return registry.create("controls", "auto")
            return hardware.controls(self._config)
        except (ConfigError, HalError) as error:
            log.error("no light shows the fault: %s", error)
            return None

    def _make_display(self) -> Display | None:
        section = None if self._config is None else self._config.display
        try:
            if section is None:
                display = registry.create("display", "auto")
            else:
                display = registry.create("display", section.backend, **section.arguments)
            display.open()
        except HalError as error:
            log.error("no screen shows the fault: %s", error)
            return None
        display.set_banner(Banner(self.text))
        return display


def _deaf(button: Button, down: bool) -> None:
    """There is nothing to switch."""


def _draw(display: Display) -> None:
    try:
        display.show(None)
    except HalError as error:
        log.debug("the screen does not show the fault: %s", error)


async def serve(config: Config | None, reason: str, seconds: float, stop: asyncio.Event) -> None:
    """Show a breakdown for so many seconds, or until `stop` is set."""
    notifier, breakdown = Notifier(), Breakdown(config, reason)
    try:
        await breakdown.show()
        log.error("%s", breakdown.text)
        notifier.status(f"{breakdown.text}.")
        notifier.ready()
        await breakdown.keep(seconds, stop)
    finally:
        notifier.stopping()
        await breakdown.close()
