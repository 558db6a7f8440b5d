"""How loud it is at the microphone and at the loudspeaker, for whoever looks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final

from appliance.media.meter import Meter
from appliance.service.device import Device

EVERY: Final = 0.1
"""Seconds from one look to the next."""


class Levels:
    """The levels of one device, measured only while somebody watches, and once for all of them."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._meters: Final = {"microphone": Meter(), "speaker": Meter()}
        self._present: dict[str, Any] = {}
        self._wakes: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None

    async def watch(self) -> AsyncGenerator[dict[str, Any]]:
        """`microphone` and `speaker` in dBFS, None where no sound passes, and `microphone_state`:
        `sent`; `held`, by a closed gate; `closed`; `failed`.  Ten times a second."""
        wake = asyncio.Event()
        self._wakes.add(wake)
        if self._task is None:
            self._measure(True)
            self._task = asyncio.create_task(self._run(), name="levels")
        try:
            while True:
                await wake.wait()
                wake.clear()
                yield self._present
        finally:
            self._wakes.discard(wake)
            if not self._wakes:
                await self.stop()

    async def stop(self) -> None:
        """Measure no longer.  Safe to call twice."""
        task, self._task = self._task, None
        if task is not None:
            self._measure(False)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _measure(self, wanted: bool) -> None:
        self._device.microphone.meter = self._meters["microphone"] if wanted else None
        self._device.speaker.meter = self._meters["speaker"] if wanted else None

    async def _run(self) -> None:
        for meter in self._meters.values():
            meter.take()  # what is left of the last time
        while True:
            await asyncio.sleep(EVERY)
            levels = {name: meter.take() for name, meter in self._meters.items()}
            state = self._state()
            if state in ("closed", "failed"):
                levels["microphone"] = None  # what came before that says nothing of now
            self._present = {
                **{name: None if one is None else round(one, 1) for name, one in levels.items()},
                "microphone_state": state,
            }
            for wake in self._wakes:
                wake.set()

    def _state(self) -> str:
        microphone = self._device.microphone
        if microphone.failed:
            return "failed"
        if microphone.suspended:
            return "closed"
        return "sent" if microphone.gate.is_open else "held"
