"""A device, its panel and its figures, from start to stop, as the configuration has them.

What changes while it runs comes to `reload`: a policy, a volume, the panel change in place; with
anything else the device is begun anew, in the same process.  A configuration on trial is watched,
and given back when it does not lead to a device that is well.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from appliance.panel import Panel, PanelError
from appliance.provisioning import (
    Config,
    ConfigError,
    Health,
    Probation,
    ProvisioningError,
    Verdict,
)
from appliance.provisioning.provisioner import changed_sections
from appliance.service import journal
from appliance.service.device import Device
from appliance.service.errors import ServiceError
from appliance.service.hardware import build
from appliance.service.journal import Message
from appliance.service.metrics import MetricsServer
from appliance.service.notify import Notifier
from appliance.service.settings import Settings
from appliance.service.state import Situation
from appliance.service.state_file import StateFile, carry
from appliance.service.vigil import Vigil
from hal.controls import Status
from hal.errors import HalError

log = logging.getLogger(__name__)

IN_PLACE: Final = frozenset({"log", "metrics", "panel", "policy", "provisioning", "speaker"})
"""Sections that may change while the device stays in its room; of the speaker, the volume."""

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


class Appliance:
    """All that one configuration describes: the device, its panel, its figures, and its views.

    `device` is there after `start`.
    """

    device: Device

    def __init__(
        self, config: Config, notifier: Notifier, state_file: StateFile, *, patient: bool = True
    ) -> None:
        self.config = config
        self._notifier = notifier
        self._state_file = state_file
        self._patient = patient
        self._panel: Panel | None = None
        self._metrics: MetricsServer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        self._told = Status.STARTING
        self.running = False

    @property
    def panel_url(self) -> str | None:
        """The panel's address; None without one."""
        return None if self._panel is None else self._panel.url

    async def start(self, before: Device | None = None) -> None:
        """Begin, in the place of `before`, which has stopped.  Raises one of NotWorking."""
        self._loop = asyncio.get_running_loop()
        secret = self.config.room.token
        if secret is not None:
            journal.SECRETS.add(secret.get_secret_value())
        # Looking for devices reads files and asks libraries: not on the loop.
        hardware = await asyncio.to_thread(build, self.config)
        self.device = device = Device(self.config, hardware, patient=self._patient)
        if before is None:
            self._state_file.restore(device.microphone_gate, device.camera_gate)
        else:
            carry(before.microphone_gate, device.microphone_gate)
            carry(before.camera_gate, device.camera_gate)
        device.situation.subscribe(self._moved)
        self._unsubscribe = device.subscribe(self._changed)
        try:
            await self._serve_panel()
            await self._serve_metrics()
            await device.start()
        except BaseException:
            await self.stop()
            raise
        self.running = True
        self._changed()

    async def stop(self) -> None:
        """Leave the room and free everything.  Safe to call twice, or without `start`."""
        self.running = False
        self._unsubscribe()
        # The device first: its gates close before anything is waited for.
        if hasattr(self, "device"):
            await self.device.stop()
        for server in (self._panel, self._metrics):
            if server is not None:
                await server.stop()
        self._panel = self._metrics = None

    async def adopt(self, config: Config) -> None:
        """Take over what may change in place.  Raises PanelError and MetricsError."""
        before, self.config = self.config, config
        self.device.adopt(config)
        if config.panel != before.panel:
            if self._panel is not None:
                await self._panel.stop()
                self._panel = None
            await self._serve_panel()
        if config.metrics != before.metrics:
            if self._metrics is not None:
                await self._metrics.stop()
                self._metrics = None
            await self._serve_metrics()

    def health(self) -> Health:
        """How the device is, for a trial."""
        present = self.device.situation.present
        failures = [str(error) for error in self.device.failures]
        if present.settled and not failures:
            return Health(True)
        return Health(False, "; ".join([present.sentence(""), *failures]))

    async def _serve_panel(self) -> None:
        wanted = self.config.panel
        if wanted.enabled:
            self._panel = Panel(
                self.device,
                wanted.listen,
                embed_origins=wanted.frame_ancestors,
                hosts=wanted.hosts,
            )
            await self._panel.start()

    async def _serve_metrics(self) -> None:
        if self.config.metrics.listen is not None:
            self._metrics = MetricsServer(self.device, self.config.metrics.listen)
            await self._metrics.start()
            log.info("figures at %s", self._metrics.address)

    # --- views

    def _moved(self, situation: Situation) -> None:
        """The state is another one; on the loop."""
        state = self.device.state()
        journal.describe({"ROOM": state.room, "MEMBER_ID": state.member_id})
        self._notifier.status(situation.sentence(state.room))
        if situation.settled:
            self._notifier.ready()
        before, self._told = self._told, situation.status
        if situation.status is before:
            return
        if situation.status is Status.IN_ROOM and before is not Status.RECONNECTING:
            log.info("in %s", state.room, extra=Message.JOINED.extra)
        elif situation.status is Status.FAULT:
            log.error("out of order: %s", situation.reason, extra=Message.FAULT.extra)
        elif before in (Status.IN_ROOM, Status.RECONNECTING) and situation.status in (
            Status.IDLE,
            Status.JOINING,
        ):
            log.info("out of the room: %s", situation.reason, extra=Message.LEFT.extra)

    def _changed(self) -> None:
        """Anything may be another; on any thread."""
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lambda: self._state_file.write(self.device.state()))


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
        self._last: Device | None = None
        self.appliance: Appliance

    async def run(self, stop: asyncio.Event, reload: asyncio.Event) -> None:
        """Until `stop` is set; reads the settings again each time `reload` is.

        Raises NotWorking where the very first configuration cannot be, and no other was good.
        """
        self._notifier.status("Starting.")
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
                await self._judge()
        finally:
            self._notifier.stopping()
            await self._vigil.stop()
            if hasattr(self, "appliance"):
                await self.appliance.stop()

    async def _wait(self, stop: asyncio.Event, reload: asyncio.Event) -> None:
        """Until there is something to do.  Raises what a device ended by, which none should."""
        waits = [
            asyncio.create_task(work)
            for work in (self.appliance.device.wait(), stop.wait(), reload.wait())
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

    async def _start(self, config: Config) -> None:
        _set_level(config)
        self.appliance = Appliance(config, self._notifier, self._state_file)
        await self.appliance.start(self._last)
        self._last = self.appliance.device

    async def _reload(self) -> None:
        self._notifier.reloading()
        try:
            config = self._settings.reload()
            self._tell_notes()
            await self._take(config)
        except (ConfigError, ProvisioningError) as error:
            log.error("the configuration stays: %s", error, extra=Message.CONFIG_REFUSED.extra)
        finally:
            self._notifier.reloaded()

    async def _take(self, config: Config) -> None:
        """Go by another configuration; where that cannot be, by the last good one, or go on as
        before."""
        before = self.appliance.config
        sections = changed_sections(before, config)
        if not sections:
            return
        self._trial = self._settings.probation()
        try:
            await self._change(config)
        except NotWorking as error:
            other = self._give_back(str(error))
            log.error(
                "the new configuration does not work: %s", error, extra=Message.CONFIG_REFUSED.extra
            )
            await self._change(before if other is None else other)
        else:
            names = ", ".join(sorted(sections))
            log.info("another configuration: %s", names, extra=Message.CONFIG_TAKEN.extra)

    async def _change(self, config: Config) -> None:
        if self.appliance.running and in_place(self.appliance.config, config):
            _set_level(config)
            await self.appliance.adopt(config)
            return
        await self.appliance.stop()
        await self._start(config)

    async def _judge(self) -> None:
        """Look how the configuration on trial does."""
        if self._trial is None:
            return
        verdict = self._trial.observe(self.appliance.health(), self._settings.now())
        if verdict is Verdict.KEEP:
            self._trial = None
            self._settings.keep()
        elif verdict is Verdict.ROLL_BACK:
            config = self._give_back(self._trial.reason)
            if config is not None:
                await self._take(config)

    def _give_back(self, reason: str) -> Config | None:
        """Bring the last good configuration back, if this one is on trial and there is one."""
        if self._trial is None:
            return None
        self._trial = None
        log.error("the configuration is given back: %s", reason, extra=Message.CONFIG_REFUSED.extra)
        config = self._settings.roll_back(reason)
        self._tell_notes()
        return config

    def _tell_notes(self) -> None:
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


def in_place(before: Config, after: Config) -> bool:
    """Whether a device can go from one configuration to the other without leaving its room."""
    volume = {"volume": after.speaker.volume}
    return (
        changed_sections(before, after) <= IN_PLACE
        and before.speaker.model_copy(update=volume) == after.speaker
    )


def _set_level(config: Config) -> None:
    root = logging.getLogger()
    # Who asked for everything on the command line gets it.
    if not root.isEnabledFor(logging.DEBUG):
        root.setLevel(config.log.level.upper())
