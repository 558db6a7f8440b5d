"""A device, its panel and its figures, from start to stop, as the configuration has them.

What changes while it runs comes to `reload` and changes in place; for another room the device is
begun anew, in the same process.  A configuration on trial is watched,
and given back when it does not lead to a device that is well.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from appliance.panel import Access, PanelError, Refused
from appliance.provisioning import (
    Config,
    ConfigError,
    Probation,
    ProvisioningError,
    Verdict,
)
from appliance.provisioning.overrides import Changes
from appliance.provisioning.provisioner import changed_sections
from appliance.provisioning.source import dotted
from appliance.service.appliance import LISTENING, Appliance
from appliance.service.device import Device
from appliance.service.errors import ServiceError
from appliance.service.journal import Message
from appliance.service.local_changes import VOLUME
from appliance.service.notify import Notifier
from appliance.service.settings import Settings
from appliance.service.state_file import StateFile
from appliance.service.vigil import Vigil
from appliance.service.wishes import Wishes
from hal.errors import HalError

log = logging.getLogger(__name__)

ANEW: Final = frozenset({"room", "network", "probe"})
"""Sections with whose change the device is begun anew; with any other it stays in its room."""

SETTLED_S: Final = 90.0
"""Seconds for which the program must have run before it can be begun anew from the panel: the
service manager gives up on one that ends eight times in ten minutes."""

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at a configuration on trial."""

NotWorking = (ConfigError, HalError, PanelError, ServiceError)
"""What keeps a device from being begun."""


async def serve(
    config: Config,
    on_ready: Callable[[str | None], None],
    stop: asyncio.Event,
    *,
    patient: bool = True,
) -> None:
    """Run a device by one configuration until `stop` is set, and leave its room then.

    `on_ready` is called with the panel's address (None without a panel) once the device works;
    it may not be in its room yet.  `patient` is that of `Attendance`.  Raises ConfigError and
    HalError about the hardware, `appliance.panel.ListenError`, `MetricsError`, and what
    `Attendance.run` raises.
    """
    appliance = Appliance(config, Notifier({}), StateFile(None), patient=patient)
    stopped = asyncio.create_task(stop.wait(), name="stop")
    ended: asyncio.Task[None] | None = None
    try:
        await appliance.start()
        on_ready(appliance.panel_url)
        ended = asyncio.create_task(appliance.device.wait(), name="end")
        await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            ended.result()
    finally:
        stopped.cancel()
        if ended is not None:
            ended.cancel()
        await appliance.stop()


class Daemon:
    """An appliance that goes by `settings`, which change."""

    def __init__(
        self,
        settings: Settings,
        on_ready: Callable[[str | None], None],
        *,
        notifier: Notifier | None = None,
        state_file: StateFile | None = None,
    ) -> None:
        self._settings = settings
        self._on_ready = on_ready
        self._notifier = Notifier() if notifier is None else notifier
        self._state_file = StateFile.of_service() if state_file is None else state_file
        self._vigil = Vigil(self._notifier, lambda: self.appliance.device.workers, self._stuck)
        self._trial: Probation | None = None
        self._access: Access | None = None
        self._wishes = Wishes()
        self._began = time.monotonic()
        self._stop: asyncio.Event | None = None
        self._last: Device | None = None
        self._panel_url: str | None = None
        self._refused = self._failed = ""
        """What is amiss with the newest configuration, for people."""
        self.appliance: Appliance

    async def run(self, stop: asyncio.Event, reload: asyncio.Event) -> None:
        """Until `stop` is set; reads the settings again each time `reload` is.

        Raises NotWorking where the very first configuration cannot be, and no other was good.
        """
        self._notifier.status("Starting.")
        self._stop = stop
        try:
            await self._begin(self._settings.begin())
            self._on_ready(self.appliance.panel_url)
            self._vigil.start()
            while not stop.is_set():
                await self._wait(stop, reload)
                if stop.is_set():
                    break
                if reload.is_set():
                    reload.clear()
                    await self._reload()
                await self._grant()
                await self._judge()
        finally:
            self._wishes.close()
            self._notifier.stopping()
            await self._vigil.stop()
            if hasattr(self, "appliance"):
                await self.appliance.stop()

    async def _wait(self, stop: asyncio.Event, reload: asyncio.Event) -> None:
        """Until there is something to do.  Raises what a device ended by, which none should."""
        waits = [
            asyncio.create_task(work)
            for work in (
                self.appliance.device.wait(),
                stop.wait(),
                reload.wait(),
                self._wishes.wait(),
            )
        ]
        limit = None if self._trial is None else LOOK_EVERY
        try:
            await asyncio.wait(waits, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if waits[0].done():
                waits[0].result()
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _begin(self, config: Config) -> None:
        self._tell_notes()
        self._trial = self._settings.probation()
        if self._trial is not None and self._trial.verdict is Verdict.ROLL_BACK:
            config = self._give_back(self._trial.reason) or config
        try:
            await self._start(config)
        except NotWorking as error:
            other = self._give_back(str(error))
            if other is None:
                raise
            await self._start(other)

    async def _start(self, config: Config, strict: Collection[str] = LISTENING) -> None:
        _set_level(config)
        if self._access is None:
            # Of the process: a device that is begun anew must not throw its visitors out.
            self._access = Access(config.read_pin)
        appliance = Appliance(
            config,
            self._notifier,
            self._state_file,
            access=self._access,
            keep=self._settings.change,
            desk=self,
        )
        await appliance.start(self._last, strict)
        # Only now: until then the one before is what there is, even if it rests.
        first, self.appliance, self._last = self._last is None, appliance, appliance.device
        before, self._panel_url = self._panel_url, appliance.panel_url
        if not first and self._panel_url not in (None, before):
            log.info("the panel is at %s now", self._panel_url)
        self._show_amiss()

    async def _reload(self) -> None:
        self._notifier.reloading()
        try:
            config = self._settings.reload()
            self._tell_notes()
            await self._take(config)
            await self.appliance.renew()
        except (ConfigError, ProvisioningError) as error:
            log.error("the configuration stays: %s", error, extra=Message.CONFIG_REFUSED.extra)
        finally:
            self._show_amiss()
            self._notifier.reloaded()

    # --- changes at the device

    @property
    def lasting(self) -> bool:
        """See `Desk`."""
        return self._settings.lasting

    def config(self) -> Config:
        """See `Desk`."""
        return self._settings.present()

    def changes(self) -> Mapping[str, Any]:
        """See `Desk`."""
        return self._settings.changes()

    @property
    def hindrance(self) -> str:
        """See `Desk`."""
        if not self._notifier.listens:
            return "No service manager runs this program, so nobody would begin it anew."
        if time.monotonic() < self._began + SETTLED_S:
            return f"It was begun less than {SETTLED_S:.0f} s ago: wait a moment."
        return ""

    def restart(self) -> None:
        """See `Desk`."""
        if self.hindrance or self._stop is None:
            raise Refused(self.hindrance or "It is not running yet.")
        log.warning("somebody at the panel wants the program begun anew")
        self._stop.set()

    async def change(self, changes: Changes) -> None:
        """See `Desk`.  Done by `run`, between its other work: a page that is closed by the very
        change does not leave it half done."""
        await self._wishes.make(changes)

    async def _grant(self) -> None:
        # One at a time: whoever wants the device to end or to read its settings waits for no other.
        if (wish := self._wishes.take()) is None:
            return
        try:
            await self._change_at_device(wish.changes)
        except (ProvisioningError, *NotWorking) as error:
            wish.settle(Refused(str(error)))
        else:
            wish.settle()

    async def _change_at_device(self, changes: Changes) -> None:
        """Raises what says why it cannot be; all is as before then."""
        while (fetched := self._settings.catch_up()) is not None:
            # The change lies above it: it comes first, and on trial, as with a reload.
            self._tell_notes()
            await self._take(fetched)
            self._show_amiss()
        before, present = self.appliance.config, self._settings.changes()
        undo = {key: _held(present, key) for key in changes}
        config = self._settings.override(changes)
        try:
            if changed_sections(before, config):
                await self._change(config)
        except NotWorking:
            # A wrong choice is no fault of a configuration on trial.
            await self._change(self._settings.override(undo), back=True)
            raise
        if VOLUME in changes:
            # That of the device may differ from its configuration: it has a knob of its own.
            self.appliance.set_volume(config.speaker.volume)
        names = ", ".join(dotted(key) for key in changes)
        log.info("changed at the device: %s", names, extra=Message.CONFIG_TAKEN.extra)

    # --- another configuration

    async def _take(self, config: Config) -> None:
        """Go by another configuration; where that cannot be, by the last good one, or go on as
        before."""
        before = self.appliance.config
        sections = changed_sections(before, config)
        if not sections:
            if self._trial is None:
                # Another generation may say the same: it has to be kept all the same.
                self._trial = self._settings.probation()
            return
        self._trial = self._settings.probation()
        try:
            await self._change(config)
        except NotWorking as error:
            other = self._give_back(str(error))
            log.error(
                "the new configuration does not work: %s", error, extra=Message.CONFIG_REFUSED.extra
            )
            if other is None:
                self._refused = f"the new configuration does not work: {error}"
            await self._change(before if other is None else other, back=True)
        else:
            if self._trial is not None:
                self._failed = ""
            names = ", ".join(sorted(sections))
            log.info("another configuration: %s", names, extra=Message.CONFIG_TAKEN.extra)

    async def _change(self, config: Config, *, back: bool = False) -> None:
        """With `back` to one that was good: a device in its room does not end because it cannot
        listen any more where it did."""
        changes = changed_sections(self.appliance.config, config)
        strict = frozenset() if back else LISTENING & changes
        if self.appliance.running and in_place(self.appliance.config, config):
            _set_level(config)
            await self.appliance.adopt(config, strict)
            return
        await self.appliance.stop()
        await self._start(config, strict)

    async def _judge(self) -> None:
        """Look how the configuration on trial does."""
        if self._trial is None:
            return
        if self.appliance.device.upkeep.granted:
            # Out of its room it proves nothing: its time begins once the update is over.
            self._trial = self._settings.probation()
            return
        verdict = self._trial.observe(self.appliance.health(), self._settings.now())
        if verdict is Verdict.KEEP:
            self._trial = None
            self._settings.keep()
        elif verdict is Verdict.ROLL_BACK:
            config = self._give_back(self._trial.reason)
            if config is not None:
                await self._take(config)
            self._show_amiss()

    def _give_back(self, reason: str) -> Config | None:
        """Bring the last good configuration back, if this one is on trial and there is one."""
        if self._trial is None:
            return None
        self._trial = None
        log.error("the configuration is given back: %s", reason, extra=Message.CONFIG_REFUSED.extra)
        config = self._settings.roll_back(reason)
        self._tell_notes()
        if config is not None:
            self._failed = f"a new configuration failed ({reason}); the one before it is back"
        return config

    def _show_amiss(self) -> None:
        """Tell the panel."""
        text = "; ".join(part for part in (self._refused, self._failed) if part)
        self.appliance.device.troubles.remark("configuration", text or None)

    def _tell_notes(self) -> None:
        self._refused = "; ".join(self._settings.notes)
        for note in self._settings.notes:
            log.warning("%s", note, extra=Message.CONFIG_REFUSED.extra)

    def _stuck(self, names: list[str]) -> None:
        state = self.appliance.device.situation
        if not names:
            state.mend("stuck")
            return
        parts = " and ".join(names)
        log.critical("%s: no progress; the service ends", parts, extra=Message.STUCK.extra)
        state.fault("stuck", f"the {parts} hangs, the device is begun anew")


def _held(values: Mapping[str, Any], key: tuple[str | int, ...]) -> Any:
    """The value of a key; None without one."""
    found: Any = values
    for name in key:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def in_place(before: Config, after: Config) -> bool:
    """Whether a device can go from one configuration to the other without leaving its room."""
    return not changed_sections(before, after) & ANEW


def _set_level(config: Config) -> None:
    root = logging.getLogger()
    # Who asked for everything on the command line gets it.
    if not root.isEnabledFor(logging.DEBUG):
        root.setLevel(config.log.level.upper())
