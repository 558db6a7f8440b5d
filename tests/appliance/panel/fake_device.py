"""A device for the panel to show: a real gate behind a virtual button, a screen of one colour."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from av import VideoFrame

from appliance.media.gate import Gate, MicGate, Party
from appliance.panel import PanelState, Refused


def plain_picture(luma: int, *, width: int = 320, height: int = 180) -> VideoFrame:
    """A grey yuv420p picture; `luma` 16 (black) to 235 (white)."""
    frame = VideoFrame(width, height, "yuv420p")
    for plane, level in zip(frame.planes, (luma, 128, 128), strict=True):
        plane.update(bytes([level]) * plane.buffer_size)
    return frame


class FakeDevice:
    """In a call from the start; its mute button toggles what the room holds of the gate."""

    def __init__(self) -> None:
        self.gate = MicGate()
        self.gate.unmute(Party.START)
        self.presses: list[tuple[str, str]] = []
        self.moved = asyncio.Event()
        self.room = "demo"
        self.visits: list[str] = []
        self.answered = asyncio.Event()
        """Whether the other room has answered who asked to come in."""
        self.answered.set()
        self.volume = 70
        self.layout = "grid-responsive"
        self.picture: VideoFrame | None = plain_picture(180)
        self.listeners: list[Callable[[], None]] = []
        self.errors: list[str] = []
        self.stats: dict[str, int | float | str] = {}

    def state(self) -> PanelState:
        return PanelState(
            name="Oak",
            room=self.room,
            visiting=self.room != "demo",
            hub="ws://127.0.0.1:8080",
            status="in_room",
            tally="live" if self.gate.is_open else "muted",
            mic_open=self.gate.is_open,
            camera_open=True,
            closers=sorted(party.value for party in self.gate.closers),
            members=[{"id": "m1", "name": "Oak", "audio_muted": not self.gate.is_open}],
            member_id="m1",
            layout=self.layout,
            layouts=["grid-responsive", "2x2"],
            volume=self.volume,
            errors=list(self.errors),
            stats=dict(self.stats),
        )

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        def gate_changed(_: Gate) -> None:
            changed()

        self.listeners.append(changed)
        unsubscribe_gate = self.gate.subscribe(gate_changed)

        def unsubscribe() -> None:
            self.listeners.remove(changed)
            unsubscribe_gate()

        return unsubscribe

    def tell(self) -> None:
        for changed in self.listeners:
            changed()

    def press(self, button: str) -> None:
        self._note("press", button)
        if button == "volume_up":
            raise Refused("Oak has no volume buttons.")
        if button == "mute":
            if self.gate.is_open:
                self.gate.mute(Party.ROOM)
            else:
                self.gate.unmute(Party.ROOM)

    def release(self, button: str) -> None:
        self._note("release", button)

    def _note(self, what: str, button: str) -> None:
        self.presses.append((what, button))
        self.moved.set()

    def set_volume(self, volume: int) -> None:
        self.volume = volume
        self.tell()

    async def select_layout(self, name: str) -> None:
        if name not in self.state().layouts:
            raise Refused(f"The room knows no layout {name!r}.")
        self.layout = name
        self.tell()

    async def visit(self, invitation: str) -> None:
        self.visits.append(invitation)
        self.moved.set()
        await self.answered.wait()
        if invitation == "nowhere":
            raise Refused("There is no room nowhere.")
        self.room = invitation
        self.tell()

    def go_home(self) -> None:
        self.room = "demo"
        self.tell()

    def screen(self) -> VideoFrame | None:
        return self.picture

    def self_view(self) -> VideoFrame | None:
        return None

    def report(self) -> Mapping[str, Any]:
        return {"joined_ms": 812.5, "canvas_fps": 29.9, "errors": self.errors}
