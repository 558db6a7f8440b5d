"""What people see of a device: on its screen, on its panel, and in its figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from appliance.media.gate import Party
from appliance.panel import PanelState
from appliance.service.banner import banner
from appliance.service.usage import Usage
from appliance.signaling.address import shown
from appliance.signaling.token import websocket_url
from hal.controls import Status
from hal.display import Banner

if TYPE_CHECKING:
    from appliance.service.device import Device

TURNED_OFF: Final = frozenset({Party.ROOM, Party.LATCH, Party.SOFTWARE, Party.REMOTE})
"""By whom somebody has turned a camera off."""


class View:
    """Looks at `device`, and changes nothing of it."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._usage = Usage()

    def banner(self) -> Banner:
        """What the screen says; on any thread."""
        device, present = self._device, self._device.situation.present
        closers = device.camera_gate.closers
        return banner(
            present.status,
            device.console.tally,
            device.microphone_gate.closers,
            room=device.presence.entry.room,
            reason=present.reason,
            missing=device.hotplug.missing,
            covered=Party.COVER in closers,
            camera_off=bool(closers & TURNED_OFF),
            unlit=Party.WATCHDOG in closers,
            fails_camera=device.console.fails_camera,
            agreed=device.agreement.holds,
            link=device.panel_link,
            booked=device.calendar.sentence(),
        )

    def state(self) -> PanelState:
        """See `PanelDevice.state`."""
        device, presence = self._device, self._device.presence
        session, host = presence.session, presence.entry.host
        active = session is not None and session.active
        members = [member.to_dict() for member in session.members] if session and active else []
        if device.situation.doing is not Status.IN_ROOM:
            # Of who talked as the connection was lost nobody tells when they stop.
            members = [{**member, "talking": False} for member in members]
        own_id = (session.member_id or "") if session and active else ""
        own = next((member for member in members if member.get("id") == own_id), {})
        joined_ms = device.canvas.joined_ms
        camera_light = device.console.camera_light
        return PanelState(
            name=str(own.get("name") or device.config.room.user_name),
            room=presence.entry.room,
            hub="" if host is None else shown(websocket_url(host, "")),
            press_joins=presence.waits and device.situation.present.status is Status.IDLE,
            visiting=presence.visiting,
            status=device.situation.present.status.value,
            status_reason=device.situation.present.reason,
            tally=device.console.tally.value,
            camera_light=None if camera_light is None else camera_light.value,
            mic_open=device.microphone_gate.is_open,
            camera_open=device.camera_gate.is_open,
            closers=sorted(party.value for party in device.microphone_gate.closers),
            camera_closers=sorted(party.value for party in device.camera_gate.closers),
            members=members,
            member_id=own_id,
            layout=device.layouts.name,
            layouts=device.layouts.names,
            volume=device.volume,
            canvas_fps=round(device.canvas.fps, 1),
            joined_ms=None if joined_ms is None else round(joined_ms),
            errors=self._errors(),
            meeting=device.calendar.shown(),
            stats=self._stats(),
        )

    def report(self) -> Mapping[str, Any]:
        """See `PanelDevice.report`.  CPU in percent of one core since this object was made."""
        device, joined_ms = self._device, self._device.canvas.joined_ms
        return {
            "joined_ms": None if joined_ms is None else round(joined_ms, 1),
            "canvas_fps": round(device.canvas.fps, 2),
            "pictures": device.canvas.pictures,
            "cpu_percent": round(self._usage.cpu_percent, 1),
            "rss_mib": round(self._usage.rss_mib, 1),
            "errors": self._errors(),
            **({} if device.probe is None else device.probe.report()),
        }

    def _errors(self) -> list[str]:
        device, present = self._device, self._device.situation.present
        return device.troubles.texts(
            device.console.error,
            device.console.camera_error,
            fails_camera=device.console.fails_camera,
            agreed=device.agreement.holds,
            reason=present.reason if present.status is Status.FAULT else "",
            notes=[*device.hotplug.notes, *device.parts.notes],
        )

    def _stats(self) -> dict[str, int | float | str]:
        device, session = self._device, self._device.presence.session
        figures: dict[str, int | float | str] = dict(session.stats() if session else {})
        figures |= device.calendar.figures()
        figures["microphone_xruns"] = device.microphone.xruns
        figures["speaker_xruns"] = device.speaker.xruns
        return figures
