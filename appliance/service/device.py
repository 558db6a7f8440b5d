"""One device: its hardware, its room, its panel, and the state that people see."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from av import VideoFrame

from appliance.media.capture import CameraCapture, MicCapture
from appliance.media.gate import CameraGate, Gate, MicGate, Party
from appliance.media.leg import MediaLeg
from appliance.media.playout import DisplayPlayout, SpeakerPlayout
from appliance.panel import PanelState, Refused
from appliance.provisioning import Config
from appliance.room import LocalStream, Payload, RoomError, RoomSession
from appliance.service.attendance import Attendance
from appliance.service.banner import banner
from appliance.service.console import Console
from appliance.service.guest import guest_token
from appliance.service.hardware import Hardware
from appliance.service.notify import Notifier
from appliance.service.probe import Probe
from appliance.service.usage import Usage
from appliance.service.watch import CanvasWatch, WatchedDisplay, WatchedSpeaker
from appliance.signaling.errors import SignalingError
from appliance.signaling.token import inspect, websocket_url
from hal.camera import VideoFormat
from hal.controls import Button, Status
from hal.controls.virtual import VirtualControls
from hal.display.memory import MemoryDisplay
from hal.errors import HalError

log = logging.getLogger(__name__)

ROOM_EVENTS: Final = (
    "room.joined",
    "memberList.updated",
    "member.talking.started",
    "member.talking.ended",
)
"""What changes the panel's picture of the room, beside the layout."""


class Device:
    """A whole device, as its configuration describes it.

    It is what the panel shows (`appliance.panel.PanelDevice`).  With `patient` set to False a
    join that fails ends it; see `Attendance`.
    """

    def __init__(self, config: Config, hardware: Hardware, *, patient: bool = True) -> None:
        self.config: Final = config
        self.microphone_gate: Final = MicGate(allow_remote_unmute=config.mute.allow_remote_unmute)
        self.camera_gate: Final = CameraGate(allow_remote_unmute=config.mute.allow_remote_unmute)
        if config.mute.start_muted:
            self.microphone_gate.mute(Party.ROOM)
        self.probe: Final = Probe(config.probe.tones) if config.probe.enabled else None
        self.canvas: Final = CanvasWatch()
        self._patient = patient
        self._notes = list(hardware.notes)
        self._screen = hardware.display
        display = WatchedDisplay(hardware.display)
        display.on_picture = self._picture_shown
        speaker = WatchedSpeaker(hardware.speaker)
        if self.probe is not None:
            speaker.on_sound = self.probe.sound
            self.microphone_gate.subscribe(self._gate_moved)
        self.console: Final = Console(hardware.controls, self.microphone_gate, self.camera_gate)
        self.console.on_change = self._changed
        self.console.on_press = self._pressed
        self.console.on_volume = self._turn_volume
        self.microphone: Final = MicCapture(
            hardware.microphone, self.microphone_gate, bitrate=config.microphone.bitrate
        )
        wanted = VideoFormat(config.camera.width, config.camera.height, config.camera.rate)
        self.camera: Final = CameraCapture(
            hardware.camera, self.camera_gate, wanted, config.camera.bitrate
        )
        self.speaker: Final = SpeakerPlayout(speaker)
        self.display: Final = DisplayPlayout(display)
        self._parts: Final[
            dict[str, MicCapture | CameraCapture | SpeakerPlayout | DisplayPlayout]
        ] = {
            "microphone": self.microphone,
            "camera": self.camera,
            "speaker": self.speaker,
            "display": self.display,
        }
        self._attendance = Attendance(
            self._make_session,
            self._token,
            on_begin=self._session_begins,
            on_end=self._session_ended,
            on_status=self._set_status,
            patient=patient,
        )
        self._room = config.room.name or ""
        self._status = Status.STARTING
        self._reason = ""
        self._failures: dict[str, HalError] = {}
        self._layout = ""
        self._layouts: list[str] = []
        self._observers: tuple[Callable[[], None], ...] = ()
        self._edge: float | None = None
        self._usage = Usage()
        self._notifier = Notifier()
        self._volume = 0
        self.set_volume(config.speaker.volume)
        self._attending: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None

    # --- life

    async def start(self) -> None:
        """Take the hardware and set out for the room; returns before it is there.

        Hardware that fails is tried again for as long as the device runs.  An impatient
        device raises HalError instead.
        """
        for name, part in self._parts.items():
            part.on_error = self._failure_of(name)
        await self.console.start()
        await asyncio.gather(self.display.start(), self.speaker.start())
        if not self._patient:
            await asyncio.gather(self.microphone.start(), self.camera.start())
            for error in (*self._failures.values(), self.console.error):
                if error is not None:
                    raise error
        self._attending = asyncio.create_task(self._attendance.run(), name="attendance")
        self._notifier.ready()

    async def wait(self) -> None:
        """Wait until the device gives up.  Raises what an impatient one could not get over."""
        assert self._attending is not None, "the device is not started"
        await asyncio.shield(self._attending)

    async def stop(self) -> None:
        """Leave the room and free the hardware.  Safe to call twice, or without `start`."""
        self._notifier.stopping()
        # Before anything is waited for.
        self.microphone_gate.mute(Party.START)
        self.camera_gate.mute(Party.START)
        for task in (self._attending, self._asking):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        for part in self._parts.values():
            part.on_error = None
        await asyncio.gather(*(part.stop() for part in self._parts.values()))
        await self.console.stop()

    # --- what the panel asks

    def state(self) -> PanelState:
        """See `PanelDevice.state`."""
        session = self._attendance.session
        active = session is not None and session.active
        members = [member.to_dict() for member in session.members] if session and active else []
        own_id = (session.member_id or "") if session and active else ""
        own = next((member for member in members if member.get("id") == own_id), {})
        return PanelState(
            name=str(own.get("name") or self.config.room.user_name),
            room=self._room,
            hub=self._hub(),
            status=self._status.value,
            status_reason=self._reason,
            tally=self.console.tally.value,
            mic_open=self.microphone_gate.is_open,
            camera_open=self.camera_gate.is_open,
            closers=sorted(party.value for party in self.microphone_gate.closers),
            camera_closers=sorted(party.value for party in self.camera_gate.closers),
            members=members,
            member_id=own_id,
            layout=self._layout,
            layouts=self._layouts,
            volume=self._volume,
            canvas_fps=round(self.canvas.fps, 1),
            joined_ms=None if self.canvas.joined_ms is None else round(self.canvas.joined_ms),
            errors=self._errors(),
            stats=self._stats(),
        )

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        """See `PanelDevice.subscribe`."""
        self._observers += (changed,)

        def unsubscribe() -> None:
            self._observers = tuple(one for one in self._observers if one is not changed)

        return unsubscribe

    def press(self, button: str) -> None:
        """See `PanelDevice.press`."""
        pressed = _button(button)
        self._edge = time.monotonic()
        controls = self.console.controls
        if isinstance(controls, VirtualControls):
            controls.press(pressed)
        else:
            self.console.pushed(pressed)

    def release(self, button: str) -> None:
        """See `PanelDevice.release`."""
        released = _button(button)
        controls = self.console.controls
        if isinstance(controls, VirtualControls):
            controls.release(released)

    def set_volume(self, volume: int) -> None:
        """See `PanelDevice.set_volume`.  Loudness grows with the square of the percent, which
        the ear takes for even steps."""
        self._volume = min(max(volume, 0), 100)
        self.speaker.volume = (self._volume / 100) ** 2
        self._changed()

    async def select_layout(self, name: str) -> None:
        """See `PanelDevice.select_layout`."""
        session = self._attendance.session
        if session is None or not session.active:
            raise Refused("There is no room: the layout belongs to it.")
        try:
            await session.set_layout(name)
        except (SignalingError, RoomError) as error:
            raise Refused(str(error)) from error

    def screen(self) -> VideoFrame | None:
        """See `PanelDevice.screen`."""
        if isinstance(self._screen, MemoryDisplay):
            return self._screen.picture()
        return self.display.shown

    def self_view(self) -> VideoFrame | None:
        """See `PanelDevice.self_view`."""
        return self.camera.preview

    def report(self) -> Mapping[str, Any]:
        """See `PanelDevice.report`.  CPU in percent of one core since the start."""
        joined_ms = self.canvas.joined_ms
        return {
            "joined_ms": None if joined_ms is None else round(joined_ms, 1),
            "canvas_fps": round(self.canvas.fps, 2),
            "pictures": self.canvas.pictures,
            "cpu_percent": round(self._usage.cpu_percent, 1),
            "rss_mib": round(self._usage.rss_mib, 1),
            "errors": self._errors(),
            **({} if self.probe is None else self.probe.report()),
        }

    # --- the room

    async def _token(self) -> str:
        room = self.config.room
        token = self.config.read_token()
        if token is None:
            assert room.host is not None, "the configuration was checked"
            assert room.name is not None, "the configuration was checked"
            token = await guest_token(room.host, room.name, room.user_name)
        self._room = inspect(token).room or room.name or ""
        return token

    def _make_session(self, token: str) -> RoomSession:
        session = RoomSession(
            token,
            host=self.config.room.host,
            root_element=self.display,
            speaker=self.speaker,
            local_stream=LocalStream(self.microphone, self.camera),
            stop_microphone_while_muted=self.config.mute.stop_microphone_while_muted,
            stop_camera_while_muted=self.config.mute.stop_camera_while_muted,
            leg_factory=self._make_leg,
        )
        for event in ROOM_EVENTS:
            session.on(event, lambda *_: self._changed())
        session.on("room.joined", self._joined)
        session.on("layout.changed", self._layout_changed)
        return session

    def _make_leg(self, **arguments: Any) -> MediaLeg:
        if self.probe is None:
            return MediaLeg(**arguments)
        return _ProbedLeg(self.probe, **arguments)

    def _session_begins(self, session: RoomSession) -> None:
        self.canvas.joining()

    async def _session_ended(self) -> None:
        # Whatever ended it: nothing may open, and nothing is captured outside a call.
        self.microphone_gate.mute(Party.START)
        self.camera_gate.mute(Party.START)
        self._layout, self._layouts = "", []
        self.display.show(None)
        await asyncio.gather(self.microphone.suspend(), self.camera.suspend())
        for name in ("microphone", "camera"):
            self._failures.pop(name, None)
        self._changed()

    def _joined(self, event: Payload) -> None:
        layout = event.to_dict().get("room_session", {}).get("layout_name")
        self._layout = layout if isinstance(layout, str) else self._layout
        if self._asking is not None:
            self._asking.cancel()
        self._asking = asyncio.get_running_loop().create_task(self._ask_layouts(), name="layouts")

    async def _ask_layouts(self) -> None:
        session = self._attendance.session
        if session is None or "room.set_layout" not in session.permissions:
            return
        try:
            layouts = (await session.get_layouts()).to_dict().get("layouts")
        except (SignalingError, RoomError) as error:
            log.info("the room does not tell its layouts: %s", error)
            return
        self._layouts = [str(name) for name in layouts] if isinstance(layouts, list) else []
        self._changed()

    def _layout_changed(self, event: Payload) -> None:
        layout = event.to_dict().get("layout")
        if not isinstance(layout, Mapping):
            return
        self._layout = str(layout.get("name") or "")
        session = self._attendance.session
        layers = layout.get("layers")
        if self.probe is not None and session is not None and isinstance(layers, list):
            self.probe.layout(layers, session.member_id)
        self._changed()

    # --- what happens on the device

    def _picture_shown(self, frame: VideoFrame, at: float) -> None:
        self.canvas.picture(at)
        if self.probe is not None:
            self.probe.picture(frame, at)

    def _pressed(self, button: Button, at: float) -> None:
        # The panel's finger was there before the loop came to it.
        edge, self._edge = self._edge, None
        if self.probe is not None and button is Button.MUTE and self.microphone_gate.is_open:
            self.probe.pressed(at if edge is None else edge)

    def _gate_moved(self, gate: Gate) -> None:
        # Before anything can pass again: observers run ahead of the next period.
        if self.probe is not None and gate.is_open:
            self.probe.opened()

    def _turn_volume(self, step: int) -> None:
        self.set_volume(self._volume + step)

    def _failure_of(self, name: str) -> Callable[[HalError | None], None]:
        def report(error: HalError | None) -> None:
            if error is None:
                self._failures.pop(name, None)
            else:
                self._failures[name] = error
            self._changed()

        return report

    def _set_status(self, status: Status, reason: str) -> None:
        if (status, reason) == (self._status, self._reason):
            return
        self._status, self._reason = status, reason
        self.console.show(status)
        text = status.value.replace("_", " ")
        self._notifier.status(f"{text}: {reason}" if reason else text)
        self._changed()

    def _changed(self) -> None:
        """Tell the screen and the panel; on any thread."""
        self.display.set_banner(
            banner(
                self._status,
                self.console.tally,
                self.microphone_gate.closers,
                room=self._room,
                reason=self._reason,
            )
        )
        for observer in self._observers:
            observer()

    def _hub(self) -> str:
        host = self.config.room.host
        return "" if host is None else websocket_url(host, "")

    def _errors(self) -> list[str]:
        errors = [str(error) for error in self._failures.values()]
        if self.console.error is not None:
            errors.append(f"the tally light does not work: {self.console.error}")
        if self._status is Status.FAULT and self._reason:
            errors.append(self._reason)
        return [*errors, *self._notes]

    def _stats(self) -> dict[str, int | float | str]:
        session = self._attendance.session
        figures: dict[str, int | float | str] = dict(session.stats() if session else {})
        figures["microphone_xruns"] = self.microphone.xruns
        figures["speaker_xruns"] = self.speaker.xruns
        return figures


class _ProbedLeg(MediaLeg):
    """A leg whose outgoing packets are listened to."""

    def __init__(self, probe: Probe, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._probe = probe

    async def offer(self) -> str:
        """See `MediaLeg.offer`."""
        offer = await super().offer()
        self._probe.sent.begin(offer)
        self.peer.tap = self._probe.sent.sent
        return offer


def _button(name: str) -> Button:
    try:
        return Button(name)
    except ValueError:
        raise Refused(f"This device has no button {name!r}.") from None
