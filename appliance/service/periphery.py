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
        self._config = config
        self._device: Final = device
        self._power = power
        self._keeper: ScreenKeeper | None = None
        self._sharing: Sharing | None = None

    def start(self) -> None:
        """Begin, on the running loop."""
        self._keep_screen()
        self._share()

    async def adopt(self, config: Config) -> None:
        """Go by another configuration, while the rest goes on."""
        before, self._config = self._config, config
        if _care(config) != _care(before):
            await self._leave_screen()
            self._keep_screen()
        if config.screen_share != before.screen_share:
            await self._unshare()
            self._share()

    async def stop(self) -> None:
        """End it.  Safe to call twice, or without `start`."""
        await self._leave_screen()
        await self._unshare()

    def _keep_screen(self) -> None:
        display, device = self._config.display, self._device
        if display.cec and self._power is None and CecPower.available():
            self._power = CecPower()
        if not display.cec or self._power is None:
            return
        self._keeper = ScreenKeeper(
            self._power,
            60.0 * display.idle_minutes,
            device.situation,
            device.presence.others,
            remark=partial(device.troubles.remark, "screen power"),
        )
        self._keeper.start()
        device.on_use = self._keeper.used

    async def _leave_screen(self) -> None:
        self._device.on_use = lambda: None
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            await keeper.stop()
            self._device.troubles.remark("screen power", None)

    def _share(self) -> None:
        share, device = self._config.screen_share, self._device
        if share.device is None:
            return
        self._sharing = Sharing(
            share,
            lambda: device.presence.session,
            remark=partial(device.troubles.remark, "screen share"),
        )
        self._sharing.start()

    async def _unshare(self) -> None:
        sharing, self._sharing = self._sharing, None
        if sharing is not None:
            await sharing.stop()
            self._device.troubles.remark("screen share", None)


def _care(config: Config) -> tuple[bool, int]:
    return config.display.cec, config.display.idle_minutes
