"""All that one configuration describes: a device, its panel, its figures, and who is told of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection
from typing import Final

from appliance.panel import Access, Panel, PanelError, Tls, TlsError
from appliance.provisioning import Config, ConfigError, Health
from appliance.provisioning.values import is_loopback
from appliance.service import journal
from appliance.service.desk import Desk
from appliance.service.device import Device
from appliance.service.hardware import build
from appliance.service.journal import Message
from appliance.service.local_changes import Keep, LocalChanges
from appliance.service.maintenance import DeviceMaintenance
from appliance.service.metrics import MetricsError, MetricsServer
from appliance.service.notify import Notifier
from appliance.service.panel_link import panel_link
from appliance.service.periphery import Periphery
from appliance.service.secrecy import conceal
from appliance.service.state import Situation
from appliance.service.state_file import StateFile, carry
from hal.controls import Status

log = logging.getLogger(__name__)

LISTENING: Final = frozenset({"panel", "metrics"})
"""Sections that say where to listen."""

LISTEN_AGAIN: Final = 10.0
"""Seconds between two tries to listen where that was not possible."""


class Appliance:
    """`device` is there after `start`."""

    device: Device

    def __init__(
        self,
        config: Config,
        notifier: Notifier,
        state_file: StateFile,
        *,
        patient: bool = True,
        access: Access | None = None,
        desk: Desk | None = None,
        keep: Keep = lambda key, value: None,
    ) -> None:
        """`access` is who came into the panel of the appliance before this one; `keep` keeps what
        people set at the device.  Without a `desk` nothing else can be changed there."""
        self.config = config
        self._desk = desk
        self._notifier = notifier
        self._state_file = state_file
        self._patient = patient
        self._keep = keep
        self._changes: LocalChanges | None = None
        self._access = Access(config.read_pin) if access is None else access
        self._panel: Panel | None = None
        self._metrics: MetricsServer | None = None
        self._periphery: Periphery | None = None
        self._maintenance: DeviceMaintenance | None = None
        self._listening: asyncio.Task[None] | None = None
        """Tries to listen again."""
        self._enough = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        self._told = Status.STARTING
        self.running = False

    @property
    def panel_url(self) -> str | None:
        """The panel's address, as other machines have it where they reach it; None without one."""
        if self._panel is None:
            return None
        return panel_link(self._panel.url, hosts=self.config.panel.hosts) or self._panel.url

    async def start(
        self, before: Device | None = None, strict: Collection[str] = LISTENING
    ) -> None:
        """Begin, in the place of `before`, which has stopped.

        Raises ConfigError and HalError, and, for those of LISTENING that are in `strict`,
        PanelError and MetricsError; the others are told as a trouble, and tried again.
        """
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(conceal, self.config)
        # Looking for devices reads files and asks libraries: not on the loop.
        hardware = await asyncio.to_thread(build, self.config)
        self.device = device = Device(
            self.config,
            hardware,
            patient=self._patient,
            upkeep=None if before is None else before.upkeep,
        )
        if before is None:
            was = self._state_file.restore(device.microphone_gate, device.camera_gate)
        else:
            was = before.situation.doing.value
            carry(before.microphone_gate, device.microphone_gate)
            carry(before.camera_gate, device.camera_gate)
            device.calendar.meetings.carry(before.calendar.meetings)
        device.upkeep.resume(was)
        device.situation.subscribe(self._moved)
        self._unsubscribe = device.subscribe(self._changed)
        self._maintenance = DeviceMaintenance(device, self._desk)
        try:
            self._maintenance.start()
            await self._listen(strict)
            await device.start()
            self._periphery = Periphery(self.config, device)
            self._periphery.start()
            self._changes = LocalChanges(device, self._keep, self.config.speaker.volume)
            self._changes.start()
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
        if self._periphery is not None:
            await self._periphery.stop()
        if self._maintenance is not None:
            await self._maintenance.stop()
        if self._changes is not None:
            await self._changes.stop()
        await self._rest()
        for server in (self._panel, self._metrics):
            if server is not None:
                await server.stop()
        self._panel = self._metrics = None

    async def adopt(self, config: Config, strict: Collection[str] = LISTENING) -> None:
        """Take over another configuration of the same room, in place.  Raises as `start`; what is
        amiss then, the one before mends."""
        await asyncio.to_thread(conceal, config)
        before, self.config = self.config, config
        if config.panel != before.panel or config.metrics != before.metrics:
            await self._rest()
            if config.panel != before.panel and self._panel is not None:
                await self._panel.stop()
                self._panel = None
            if config.metrics != before.metrics and self._metrics is not None:
                await self._metrics.stop()
                self._metrics = None
            await self._listen(strict)
        # After the panel: the screen leads people there.
        await self.device.adopt(config)
        if self._changes is not None and config.speaker.volume != before.speaker.volume:
            self._changes.adopt(config.speaker.volume)
        if self._periphery is not None:
            await self._periphery.adopt(config)

    def set_volume(self, volume: int) -> None:
        """Play at the volume that the configuration has."""
        self.device.set_volume(volume)
        if self._changes is not None:
            self._changes.adopt(volume)

    async def renew(self) -> None:
        """Have the panel show the certificate that its files hold by now; who looks at it stays
        logged in.  The one before stays where that cannot be used, which is told as a trouble."""
        panel, amiss = self._panel, None
        try:
            if panel is not None and panel.outdated():
                await panel.stop()
                self._panel = None
                await panel.start()
                self._panel = panel
                log.info("the panel has another certificate")
        except TlsError as error:
            amiss = f"the panel's certificate stays: {error}"
            log.error("%s", amiss)
        except PanelError:
            await self._listen(())
        self.device.troubles.remark("certificate", amiss)

    def health(self) -> Health:
        """How the device is, for a trial."""
        present = self.device.situation.present
        failures = [str(error) for error in self.device.failures]
        if present.settled and not failures:
            return Health(True)
        return Health(False, "; ".join([present.sentence(""), *failures]))

    async def _listen(self, strict: Collection[str]) -> None:
        """Serve what is wanted and not there yet; raises as `start`."""
        await self._rest()
        if not await self._try(strict):
            self._enough.clear()
            self._listening = asyncio.create_task(self._keep_trying(), name="listen")

    async def _try(self, strict: Collection[str]) -> bool:
        """Whether all is there that is wanted."""
        done = True
        for section, server, serve in (
            ("panel", self._panel, self._serve_panel),
            ("metrics", self._metrics, self._serve_metrics),
        ):
            amiss = None
            try:
                if server is None:
                    await serve()
            except (ConfigError, PanelError, MetricsError) as error:
                if section in strict:
                    raise
                amiss, done = f"{error}; it is tried again", False
                # Once, not at each try.
                level = logging.ERROR if self._listening is None else logging.DEBUG
                log.log(level, "%s", amiss)
            self.device.troubles.remark(section, amiss)
        return done

    async def _keep_trying(self) -> None:
        while not self._enough.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LISTEN_AGAIN):
                    await self._enough.wait()
            if not self._enough.is_set() and await self._try(()):
                self._listening = None
                log.info("panel and figures are there again")
                return

    async def _rest(self) -> None:
        """Try nothing any more."""
        self._enough.set()
        task, self._listening = self._listening, None
        if task is not None:
            # Not cancelled: a server that has just begun would go on.
            await task

    async def _serve_panel(self) -> None:
        wanted = self.config.panel
        if wanted.enabled:
            if wanted.has_pin:
                # A PIN that is not there is a mistake now, before anybody stands at the door.
                self.config.read_pin()
                self._access.go_by(self.config.read_pin)
                if wanted.tls_cert is None and not is_loopback(wanted.listen):
                    log.warning(
                        "the PIN of the panel crosses the network for everybody there to read;"
                        " give panel.tls_cert and panel.tls_key"
                    )
            cert, key = wanted.tls_cert, wanted.tls_key
            panel = Panel(
                self.device,
                wanted.listen,
                embed_origins=wanted.frame_ancestors,
                hosts=wanted.hosts,
                access=self._access if wanted.has_pin else None,
                tls=None if cert is None or key is None else Tls(cert, key, wanted.client_ca),
                maintenance=self._maintenance,
            )
            try:
                await panel.start()
            except TlsError as error:
                raise self.config.error(("panel", error.key), str(error)) from None
            self._panel = panel
        url = self._panel.url if self._panel is not None and wanted.qr else None
        self.device.panel_link = panel_link(url, hosts=wanted.hosts)

    async def _serve_metrics(self) -> None:
        if self.config.metrics.listen is not None:
            metrics = MetricsServer(self.device, self.config.metrics.listen)
            await metrics.start()
            self._metrics = metrics
            log.info("figures at %s", metrics.address)

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
            Status.UPDATING,
        ):
            log.info("out of the room: %s", situation.reason, extra=Message.LEFT.extra)

    def _changed(self) -> None:
        """Anything may be another; on any thread."""
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._write_state)

    def _write_state(self) -> None:
        self._state_file.write(self.device.state(), self.config.updates.reboot)
