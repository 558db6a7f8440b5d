"""What stands round a device and is no part of the call: the screen's power, the HDMI input."""

from __future__ import annotations

from functools import partial
from typing import Final

from appliance.provisioning import Config
from appliance.service.device import Device
from appliance.service.screen_power import ScreenKeeper
from appliance.service.sharing import Sharing
from hal.display.cec import CecPower, ScreenPower


class Periphery:
    """Follows a device that has started, until `stop`."""

    def __init__(self, config: Config, device: Device, *, power: ScreenPower | None = None) -> None:
        """`power` switches the screen; by default HDMI-CEC, where this machine has it."""
        self._device: Final = device
        self._keeper: ScreenKeeper | None = None
        self._sharing: Sharing | None = None
        display, share = config.display, config.screen_share
        if display.cec and power is None and CecPower.available():
            power = CecPower()
        if display.cec and power is not None:
            self._keeper = ScreenKeeper(
                power,
                60.0 * display.idle_minutes,
                device.situation,
                device.presence.others,
                remark=partial(device.troubles.remark, "screen power"),
            )
        if share.device is not None:
            self._sharing = Sharing(
                share,
                lambda: device.presence.session,
                remark=partial(device.troubles.remark, "screen share"),
            )

    def start(self) -> None:
        """Begin, on the running loop."""
        if self._keeper is not None:
            self._keeper.start()
            self._device.on_use = self._keeper.used
        if self._sharing is not None:
            self._sharing.start()

    async def stop(self) -> None:
        """End it.  Safe to call twice, or without `start`."""
        self._device.on_use = lambda: None
        for part in (self._keeper, self._sharing):
            if part is not None:
                await part.stop()
