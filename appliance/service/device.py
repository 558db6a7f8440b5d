"""One device: its hardware, its room, its panel, and the state that people see."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final

from av import VideoFrame

from appliance.media.capture import CameraCapture, MicCapture
from appliance.media.gate import CameraGate, Gate, MicGate, Party
from appliance.media.lease import LIMIT, Lease
from appliance.media.leg import MediaLeg
from appliance.panel import PanelState, Refused, named
from appliance.provisioning import Config
from appliance.room import LocalStream, RoomSession
from appliance.service.agreement import Agreement
from appliance.service.attendance import Failure
from appliance.service.calendar.keeper import Keeper
from appliance.service.console import Console
from appliance.service.entry import Entry
from appliance.service.errors import ServiceError
from appliance.service.hardware import Hardware
from appliance.service.invitation import Invitation
from appliance.service.layouts import Layouts
from appliance.service.mute_log import MuteLog, state_directory
from appliance.service.network import MediaNetwork
from appliance.service.parts import Parts
from appliance.service.presence import Presence
from appliance.service.probe import Probe
from appliance.service.state import DeviceState
from appliance.service.troubles import Troubles
from appliance.service.upkeep import Upkeep
from appliance.service.view import View
from appliance.service.watch import CanvasWatch
from appliance.service.wire import TappedLeg
from hal.controls import Button, Controls
from hal.errors import HalError
from hal.hotplug import Finder

log = logging.getLogger(__name__)

ROOM_EVENTS: Final = (
    "room.joined",
    "memberList.updated",
    "member.talking.started",
    "member.talking.ended",
)
"""What changes the panel's picture of the room, beside the layout."""


class Device:
    """A whole device, as its configuration describes it: what `appliance.panel` shows.

    `panel_link` is where people find its panel; the screen shows it outside a call, unless it is
    empty.  `on_use` is called on the loop with each press of a button.
    """

    def __init__(
        self,
        config: Config,
        hardware: Hardware,
        *,
        patient: bool = True,
        find: Finder | None = None,
        lease: float = LIMIT,
        upkeep: Upkeep | None = None,
    ) -> None:
        """With `patient` set to False a join that fails ends it; see `Attendance`.  `find`
        lists what is plugged in; `lease` is how many seconds the loop may stand still before the
        gates close.  `upkeep` is that of a device whose place it takes."""
        self.config = config
        self.panel_link = ""
        self.on_use: Callable[[], None] = lambda: None
        self.microphone_gate: Final = MicGate(allow_remote_unmute=config.mute.allow_remote_unmute)
        self.camera_gate: Final = CameraGate(allow_remote_unmute=config.mute.allow_remote_unmute)
        self.mute_log: Final = MuteLog(state_directory(), config.room.user_name)
        self.mute_log.follow(self.microphone_gate, "microphone")
        self.mute_log.follow(self.camera_gate, "camera")
        if config.mute.start_muted:
            self.microphone_gate.mute(Party.CONFIG, "muted at its start, as configured")
        self.probe: Final = Probe(config.probe.tones) if config.probe.enabled else None
        self.canvas: Final = CanvasWatch()
        self._patient = patient
        self._network: Final = MediaNetwork(config)
        if self.probe is not None:
            self.microphone_gate.subscribe(self._gate_moved)
        self.console: Final = Console(
            hardware.controls,
            self.microphone_gate,
            self.camera_gate,
            cover_microphone=config.mute.cover_microphone,
            long_press=config.controls.hang_up_after,
        )
        self.console.on_change = self._changed
        self.console.on_press = self._pressed
        self.console.on_volume = lambda step: self.set_volume(self.volume + step)
        self._lease: Final = Lease([self.microphone_gate, self.camera_gate], lease)
        self.parts: Final = Parts(
            config,
            hardware,
            self.microphone_gate,
            self.camera_gate,
            self._lease,
            probe=self.probe,
            on_picture=self._picture_shown,
            on_change=self._changed,
            on_controls=self.console.look,
            find=find,
        )
        self.microphone: Final = self.parts.microphone
        self.camera: Final = self.parts.camera
        self.speaker: Final = self.parts.speaker
        self.display: Final = self.parts.display
        self.workers: Final = self.parts.workers
        self.hotplug: Final = self.parts.hotplug
        self.layouts: Final = Layouts()
        self.layouts.on_change = self._changed
        if self.probe is not None:
            self.layouts.on_layers = self.probe.layout
        self.situation: Final = DeviceState()
        self.situation.subscribe(lambda now: self.console.show(now.status))
        self.situation.subscribe(lambda _: self._changed())
        self.upkeep: Final = Upkeep(config.updates) if upkeep is None else upkeep
        self.upkeep.config = config.updates
        self.presence: Final = Presence(
            config.policy,
            self.situation,
            Entry(config),
            self._make_session,
            on_begin=lambda _: self.canvas.joining(),
            on_end=self._session_ended,
            patient=patient,
            upkeep=self.upkeep,
        )
        self.console.on_claim = self._claimed
        self.console.on_hang_up = self.presence.hang_up
        self.troubles: Final = Troubles(self._changed)
        self.calendar: Final = Keeper(
            config,
            self.presence,
            lambda: self.presence.home.room,
            remark=partial(self.troubles.remark, "calendar"),
            missed=partial(self.troubles.remark, "meeting"),
            changed=self._changed,
        )
        self.presence.booked = lambda: self.calendar.expects
        self.agreement: Final = Agreement(self._agreed, self._changed)
        self._observers: tuple[Callable[[], None], ...] = ()
        self._edge: float | None = None
        self.volume: int = 0
        self._view: Final = View(self)
        self.set_volume(config.speaker.volume)
        self.upkeep.tell(partial(self.troubles.remark, "updates"))

    # --- life

    async def start(self) -> None:
        """Take the hardware and set out for the room; returns before it is there.

        Hardware that fails is tried again for as long as the device runs.  An impatient
        device raises HalError instead.
        """
        for name, part in self.workers.items():
            self.troubles.watch(name, part)
        self.mute_log.start()
        self._lease.start()
        await self.console.start()
        await asyncio.gather(self.display.start(), self.speaker.start())
        if not self._patient:
            await asyncio.gather(self.microphone.start(), self.camera.start())
            for error in self.failures:
                raise error
        await self.hotplug.start()
        self.agreement.start()
        self.presence.start()
        self.calendar.start()

    async def wait(self) -> None:
        """Wait until the device gives up.  Raises what an impatient one could not get over."""
        await self.presence.wait()

    async def stop(self) -> None:
        """Leave the room and free the hardware.  Safe to call twice, or without `start`."""
        # Before anything is waited for.
        self.microphone_gate.mute(Party.START, "the device stops")
        self.camera_gate.mute(Party.START, "the device stops")
        await self.hotplug.stop()
        await self.calendar.stop()
        await self.presence.stop()
        await self.layouts.stop()
        await self.agreement.stop()
        for part in self.workers.values():
            part.on_error = None
        await asyncio.gather(*(part.stop() for part in self.workers.values()))
        await self.console.stop()
        self._lease.stop()
        await asyncio.to_thread(self.mute_log.stop)

    @property
    def failures(self) -> list[HalError]:
        """What of its hardware does not work now, among that which should."""
        lights = (self.console.error, self.console.camera_error)
        return [*self.troubles.errors(), *(light for light in lights if light is not None)]

    async def adopt(self, config: Config) -> None:
        """Go by another configuration of the same room from now on, without leaving it.

        Raises ConfigError and HalError where its hardware cannot be taken; all is as before then.
        """
        before = self.config
        async with AsyncExitStack() as undo:
            await self.parts.adopt(config, undo)
            controls: Controls | None = None
            if _wiring(config) != _wiring(before):
                controls = await self.parts.make("controls", config, undo)
            self.console.adopt(
                controls,
                cover_microphone=config.mute.cover_microphone,
                long_press=config.controls.hang_up_after,
            )
            undo.pop_all()
        self.config = config
        for gate in (self.microphone_gate, self.camera_gate):
            gate.allow_remote_unmute = config.mute.allow_remote_unmute
        self.presence.adopt(config.policy)
        self.upkeep.config = config.updates
        self.calendar.adopt(config)
        if config.speaker.volume != before.speaker.volume:
            self.set_volume(config.speaker.volume)
        if config.mute != before.mute and self.presence.session is not None:
            await self.presence.session.set_stop_while_muted(
                microphone=config.mute.stop_microphone_while_muted,
                camera=config.mute.stop_camera_while_muted,
            )
        self._changed()

    # --- what the panel asks

    def state(self) -> PanelState:
        """See `PanelDevice.state`."""
        return self._view.state()

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        """See `PanelDevice.subscribe`."""
        self._observers += (changed,)

        def unsubscribe() -> None:
            self._observers = tuple(one for one in self._observers if one is not changed)

        return unsubscribe

    def press(self, button: str) -> None:
        """See `PanelDevice.press`."""
        pressed = named(button)
        self._edge = time.monotonic()
        self.console.press(pressed)

    def release(self, button: str) -> None:
        """See `PanelDevice.release`."""
        self.console.release(named(button))

    def set_volume(self, volume: int) -> None:
        """See `PanelDevice.set_volume`.  Loudness grows with the square of the percent, which
        the ear takes for even steps."""
        self.volume = min(max(volume, 0), 100)
        self.speaker.volume = (self.volume / 100) ** 2
        self._changed()

    async def select_layout(self, name: str) -> None:
        """See `PanelDevice.select_layout`."""
        await self.layouts.select(name)

    async def visit(self, invitation: str) -> None:
        """See `PanelDevice.visit`."""
        try:
            entry = Entry(self.config, Invitation.parse(invitation))
            there = self.presence.is_in(entry)
            await self.presence.visit(entry)
        except (*Failure, ServiceError) as error:
            raise Refused(str(error)) from error
        if there:
            raise Refused("The device is in that room already.")

    def go_home(self) -> None:
        """See `PanelDevice.go_home`."""
        self.presence.go_home()

    def screen(self) -> VideoFrame | None:
        """See `PanelDevice.screen`."""
        return self.parts.picture()

    def self_view(self) -> VideoFrame | None:
        """See `PanelDevice.self_view`."""
        return self.camera.preview

    def report(self) -> Mapping[str, Any]:
        """See `PanelDevice.report`.  CPU in percent of one core since the start."""
        return self._view.report()

    # --- the room

    def _make_session(self, entry: Entry, token: str) -> RoomSession:
        session = RoomSession(
            token,
            host=entry.host,
            root_element=self.display,
            speaker=self.speaker,
            ice_servers=self._network.ice_servers(),
            local_stream=LocalStream(self.microphone, self.camera),
            stop_microphone_while_muted=self.config.mute.stop_microphone_while_muted,
            stop_camera_while_muted=self.config.mute.stop_camera_while_muted,
            leg_factory=self._make_leg,
        )
        for event in ROOM_EVENTS:
            session.on(event, lambda *_: self._changed())
        self.layouts.follow(session)
        session.on_microphone = self._further_microphone
        session.on_camera = self._further_camera
        return session

    def _make_leg(self, **arguments: Any) -> MediaLeg:
        arguments = self._network.placed(arguments)
        if self.probe is None:
            return MediaLeg(**arguments)
        return TappedLeg(self.probe.sent, **arguments)

    def _further_microphone(self, capture: MicCapture) -> Callable[[], None]:
        """The light and the lease are for every microphone of the device."""
        capture.lease = self._lease
        return self.console.watch(capture.gate)

    def _further_camera(self, capture: CameraCapture) -> Callable[[], None]:
        capture.lease = self._lease
        return self.console.watch_camera(capture.gate)

    def _agreed(self) -> bool:
        session = self.presence.session
        return session is None or not session.active or session.mutes_agreed

    async def _session_ended(self) -> None:
        # Whatever ended it: nothing may open, and nothing is captured outside a call.
        self.microphone_gate.mute(Party.START, "there is no call")
        self.camera_gate.mute(Party.START, "there is no call")
        self.layouts.forget()
        self.display.show(None)
        await asyncio.gather(self.microphone.suspend(), self.camera.suspend())
        self.troubles.forget(("microphone", "camera"))
        self._changed()

    # --- what happens on the device

    def _picture_shown(self, frame: VideoFrame, at: float) -> None:
        self.canvas.picture(at)
        if self.probe is not None:
            self.probe.picture(frame, at)

    def _pressed(self, button: Button, at: float) -> None:
        self.on_use()
        self.upkeep.use()
        # The panel's finger was there before the loop came to it.
        edge, self._edge = self._edge, None
        if self.probe is not None and button is Button.MUTE and self.microphone_gate.is_open:
            self.probe.pressed(at if edge is None else edge)

    def _claimed(self, button: Button) -> bool:
        if button is Button.MUTE and self.presence.at is None and self.calendar.claim():
            return True
        return self.presence.claim(button)

    def _gate_moved(self, gate: Gate) -> None:
        # Before anything can pass again: observers run ahead of the next period.
        if self.probe is not None and gate.is_open:
            self.probe.opened()

    def _changed(self) -> None:
        """Tell the screen and the panel; on any thread."""
        self.display.set_banner(self._view.banner())
        for observer in self._observers:
            observer()


def _wiring(config: Config) -> Any:
    """Which controls a configuration names."""
    return config.controls.model_copy(update={"hang_up_after": None})
