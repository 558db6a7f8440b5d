"""What the panel shows to whoever looks after a device: its cards."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Final

from appliance.panel import Card, Refused
from appliance.service.choice import Choice
from appliance.service.config_card import ConfigCard
from appliance.service.desk import Desk
from appliance.service.device import Device
from appliance.service.history import KEPT, History, Sample
from appliance.service.levels import Levels
from appliance.service.log_ring import RING, Line, LogRing
from appliance.service.wake import Wake
from hal.hotplug import Finder

LOG_PAUSE: Final = 0.2
"""Seconds between two pieces of the log: what comes in one go is sent in one."""

LOG_PIECE: Final = 100
"""Lines in one piece."""

Stream = AsyncGenerator[Mapping[str, Any]]


class DeviceMaintenance:
    """See `appliance.panel.Maintenance`."""

    def __init__(
        self,
        device: Device,
        desk: Desk | None = None,
        *,
        ring: LogRing = RING,
        find: Finder | None = None,
    ) -> None:
        """Without a `desk` nothing can be changed; `find` is that of `Choice`."""
        self.history: Final = History(lambda: counters(device))
        self._choice: Final = Choice(device, desk, find=find)
        self._levels: Final = Levels(device)
        self._config: Final = ConfigCard(device, desk)
        self._desk = desk
        self._bundling = asyncio.Lock()
        self._device = device
        self._ring = ring
        self._streams: Final[dict[Card, Callable[[], Stream]]] = {
            "log": self._log,
            "stats": self._stats,
            "devices": self._choice.watch,
            "levels": self._levels.watch,
            "config": self._config.watch,
        }

    def start(self) -> None:
        """Begin to keep a history."""
        self.history.start()

    async def stop(self) -> None:
        """End it.  Safe to call twice, or without `start`."""
        await self.history.stop()
        await self._levels.stop()

    def watch(self, card: Card) -> Stream:
        """See `Maintenance.watch`."""
        return self._streams[card]()

    async def choose(self, kind: str, backend: str, device: str) -> None:
        """See `Maintenance.choose`."""
        await self._choice.choose(kind, backend, device)

    async def withdraw_choice(self, kind: str) -> None:
        """See `Maintenance.withdraw_choice`."""
        await self._choice.withdraw(kind)

    async def withdraw(self, key: str) -> None:
        """See `Maintenance.withdraw`."""
        await self._config.withdraw(key)

    def restart(self, sure: bool) -> None:
        """See `Maintenance.restart`."""
        if self._desk is None:
            raise Refused("This device was begun for one call: nobody would begin it anew.")
        state = self._device.state()
        others = sum(one.get("id") != state.member_id for one in state.members)
        if others and not sure:
            raise Refused("Somebody else is in the call: say that you are sure.")
        self._desk.restart()

    async def bundle(self) -> bytes:
        """See `Maintenance.bundle`."""
        # With all that a doctor knows, which a device in good health does not load.
        from appliance.service.bundle import bundle

        # One after the other: each takes a second of a small processor.
        async with self._bundling:
            config = None if self._desk is None else self._desk.config()
            return await bundle(self._device, self.history, self._ring, config)

    async def _log(self) -> Stream:
        last = 0
        with Wake(self._ring.subscribe) as wake:
            while True:
                lines = self._ring.since(last)[:LOG_PIECE]
                if not lines:
                    await wake.wait()
                    continue
                missed = lines[0].number - last - 1 if last else 0
                last = lines[-1].number
                yield {"lines": [_line(one) for one in lines], "missed": missed}
                await asyncio.sleep(LOG_PAUSE)

    async def _stats(self) -> Stream:
        samples, anew = [*self.history.samples], True
        with Wake(self.history.subscribe) as wake:
            while True:
                yield {
                    "every": self.history.every,
                    "kept": KEPT,
                    "anew": anew,
                    "samples": [_rounded(one) for one in samples],
                    "now": sizes(self._device),
                }
                await wake.wait()
                samples, anew = [self.history.samples[-1]], False


def counters(device: Device) -> dict[str, int | float]:
    """What `History` makes samples of."""
    session = device.presence.session
    return {
        **(session.stats() if session is not None else {}),
        "canvas_fps": device.canvas.fps,
        "camera_frames": device.camera.frames,
        "microphone_xruns": device.microphone.xruns,
        "speaker_xruns": device.speaker.xruns,
    }


def sizes(device: Device) -> dict[str, Any]:
    """What does not go up and down: sizes of pictures, and faults of the sound since the start."""
    received, camera = device.display.shown, device.camera
    sends = not camera.suspended and device.camera_gate.is_open
    return {
        "received": None if received is None else f"{received.width} x {received.height}",
        "sent": f"{camera.format.width} x {camera.format.height}" if sends else None,
        "microphone_xruns": device.microphone.xruns,
        "speaker_xruns": device.speaker.xruns,
    }


def _rounded(sample: Sample) -> Sample:
    return {name: None if one is None else round(one, 2) for name, one in sample.items()}


def _line(line: Line) -> dict[str, Any]:
    return {
        "number": line.number,
        "time": round(line.time, 3),
        "level": logging.getLevelName(line.level).lower(),
        "logger": line.logger,
        "text": line.text,
    }
