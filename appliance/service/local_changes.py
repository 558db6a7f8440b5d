"""What people set at the device itself, which outlives a restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, Protocol

from appliance.provisioning import ConfigError, ProvisioningError
from appliance.provisioning.source import Key, dotted

log = logging.getLogger(__name__)

LOOK_EVERY: Final = 2.0
"""Seconds between two looks.  What is still moving is not kept yet: a turn is one change, and a
flash memory is spared the rest."""

VOLUME: Final = ("speaker", "volume")

Keep = Callable[[Key, Any], None]
"""Keeps a value above all files; blocks.  Raises ConfigError and ProvisioningError."""


class Adjustable(Protocol):
    """What is adjusted: `Device`."""

    volume: int


class LocalChanges:
    """Has `keep` keep the volume of a device, where that is not `volume` any more."""

    def __init__(
        self, device: Adjustable, keep: Keep, volume: int, *, every: float = LOOK_EVERY
    ) -> None:
        self._device = device
        self._keep = keep
        self._kept = volume
        self._every = every
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running loop."""
        self._task = asyncio.create_task(self._run(), name="local changes")

    async def stop(self) -> None:
        """Keep what there is, and end.  Safe to call twice, or without `start`."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self._take(self._device.volume)

    def adopt(self, volume: int) -> None:
        """The configuration has this volume now."""
        self._kept = volume

    async def _run(self) -> None:
        last = self._device.volume
        while True:
            await asyncio.sleep(self._every)
            last, before = self._device.volume, last
            if last == before:
                await self._take(last)

    async def _take(self, volume: int) -> None:
        if volume == self._kept:
            return
        # Once, even where it cannot be: what is set holds until the next restart then.
        self._kept = volume
        try:
            await asyncio.to_thread(self._keep, VOLUME, volume)
        except (ConfigError, ProvisioningError) as error:
            log.warning("%s is not kept: %s", dotted(VOLUME), error)
