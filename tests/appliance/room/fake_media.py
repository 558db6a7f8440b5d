"""Media without media: legs and captures that do as they are told, with real gates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from appliance.media.errors import NegotiationError
from appliance.media.gate import CameraGate, Gate, MicGate
from appliance.media.peer import PeerState
from appliance.room import LocalStream
from hal.camera import VideoFormat
from hal.device import Device
from hal.display import Overlay


class FakeCapture:
    """A capture that only knows whether its device is open."""

    def __init__(self, gate: Gate, kind: Any) -> None:
        self.gate = gate
        self.device = Device(f"{kind}-1", f"The {kind}", kind, "fake")
        self.running = False
        self.failed = False
        self.trying = False
        self.error: Any = None
        self.preview: Any = None
        self.wanted = self.format = VideoFormat(640, 360, 15.0)
        self.changed = asyncio.Event()
        self.observers: list[Callable[[Any], None]] = []
        self.places: list[Callable[[], None]] = []

    @property
    def suspended(self) -> bool:
        return not self.running

    async def start(self) -> None:
        self.running = True
        self.changed.set()

    async def stop(self) -> None:
        self.running = False
        self.changed.set()

    suspend = stop
    resume = start

    def observe(self, observer: Callable[[Any], None]) -> Callable[[], None]:
        self.observers.append(observer)
        return lambda: self.observers.remove(observer)

    def observe_place(self, observer: Callable[[], None]) -> Callable[[], None]:
        self.places.append(observer)
        return lambda: self.places.remove(observer)

    async def take_gate(self, gate: Gate) -> None:
        self.gate = gate


class FakeLeg:
    """A leg that connects as soon as it is answered, unless told otherwise."""

    def __init__(self, legs: Legs, number: int, **wanted: Any) -> None:
        self.wanted = wanted
        self.number = number
        self.on_state: Callable[[PeerState], None] | None = None
        self.on_frame: Callable[[Any], None] | None = None
        self.audio = None
        self.video = None
        self.answer: str | None = None
        self.closed = False
        self._legs = legs

    async def offer(self) -> str:
        return f"offer {self.number}"

    async def accept(self, answer: str) -> None:
        if self._legs.bad_answers:
            raise NegotiationError("the other side's answer cannot be used: it is a fake")
        self.answer = answer
        if self._legs.connects:
            self.change(PeerState.CONNECTED)

    def send_from(self, *, microphone: Any = None, camera: Any = None) -> None:
        self.wanted |= {
            kind: one
            for kind, one in (("microphone", microphone), ("camera", camera))
            if one is not None and self.wanted[kind] is not None
        }

    async def close(self) -> None:
        self.closed = True

    def stats(self) -> dict[str, int | float]:
        return {"bytes_sent": self.number}

    def change(self, state: PeerState) -> None:
        """The connection changes, as seen by whoever listens."""
        asyncio.get_running_loop().call_soon(lambda: self.on_state and self.on_state(state))


class Legs:
    """Makes the legs of a session and keeps them for the test."""

    def __init__(self) -> None:
        self.made: list[FakeLeg] = []
        self.connects = True
        self.bad_answers = False

    def __call__(self, **wanted: Any) -> FakeLeg:
        leg = FakeLeg(self, len(self.made) + 1, **wanted)
        self.made.append(leg)
        return leg


class FakeSpeaker:
    """A playout that only knows whether it is deaf."""

    def __init__(self) -> None:
        self.deaf = False
        self.running = False
        self.device = Device("speaker-1", "The speaker", "speaker", "fake")

    async def start(self) -> None:
        self.running = True

    async def stop(self) -> None:
        self.running = False

    def observe(self, observer: Callable[[Any], None]) -> Callable[[], None]:
        return lambda: None


class FakeScreen:
    """A screen's playout that only keeps the overlay."""

    def __init__(self) -> None:
        self.overlay: Overlay | None = None
        self.running = False

    async def start(self) -> None:
        self.running = True

    async def stop(self) -> None:
        self.running = False

    def set_overlay(self, overlay: Overlay | None) -> None:
        self.overlay = overlay


def local_stream(*, allow_remote_unmute: bool = False) -> LocalStream:
    """A microphone and a camera with real gates."""
    return LocalStream(
        FakeCapture(MicGate(allow_remote_unmute=allow_remote_unmute), "microphone"),  # type: ignore[arg-type]
        FakeCapture(CameraGate(allow_remote_unmute=allow_remote_unmute), "camera"),  # type: ignore[arg-type]
    )
