"""Which camera, microphone and loudspeaker a device goes by, and the choice of others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Any, Final, Literal

from appliance.panel import Refused
from appliance.provisioning import Config, ConfigError
from appliance.provisioning.devices import SourceConfig
from appliance.provisioning.layers import AUTO, PANEL
from appliance.provisioning.overrides import beneath
from appliance.service.desk import Desk
from appliance.service.device import Device
from appliance.service.wake import Wake
from hal import registry
from hal.device import Device as HalDevice
from hal.errors import HalError
from hal.hotplug import Finder

log = logging.getLogger(__name__)

Source = Literal["camera", "microphone", "speaker"]
SOURCES: Final[tuple[Source, ...]] = ("camera", "microphone", "speaker")

KEYS: Final = ("backend", "device", "options")
"""What of a section a choice may change."""

LOOK_EVERY: Final = 5.0
"""Seconds between two looks at what there is, while somebody watches."""

_MADE_UP: Final = "synthetic"
"""The backend of devices that nobody looks for, unless they are in use."""


class Choice:
    """That of one device.  `find` lists what there is of a class; by default whatever real devices
    there are, and those of the backend that is configured.  What the files name is listed in any
    case, so that there is a way back to it."""

    def __init__(self, device: Device, desk: Desk | None, *, find: Finder | None = None) -> None:
        self._device = device
        self._desk = desk
        self._find = find or self._found

    async def watch(self) -> AsyncGenerator[dict[str, Any]]:
        """The devices of each class now, and anew when something has changed."""
        loop = asyncio.get_running_loop()
        told: dict[str, Any] | None = None
        with Wake(self._device.subscribe) as wake:
            found, looked = await self._look(), loop.time()
            while True:
                if loop.time() - looked >= LOOK_EVERY:
                    found, looked = await self._look(), loop.time()
                present = self._told(found)
                if present != told:
                    told = present
                    yield present
                await wake.wait(looked + LOOK_EVERY - loop.time())

    async def choose(self, kind: str, backend: str, device: str) -> None:
        """Go by another device from now on.  Raises Refused."""
        source, desk = _source(kind), self._at_desk()
        found = await self._listed(source)
        wanted = next((one for one in found if (one.backend, one.id) == (backend, device)), None)
        if wanted is None:
            raise Refused(f"There is no such {source} any more: choose from the new list.")
        # Options stay the matter of the files below; those that an older program kept here go.
        wish = {"backend": wanted.backend, "device": wanted.id, "options": None}
        await desk.change({(source, key): value for key, value in wish.items()})

    async def withdraw(self, kind: str) -> None:
        """Go by what the configuration says again.  Raises Refused."""
        source = _source(kind)
        await self._at_desk().change({(source, key): None for key in KEYS})

    def _at_desk(self) -> Desk:
        if self._desk is None:
            raise Refused("This device was begun for one call: begin it anew with other devices.")
        return self._desk

    async def _look(self) -> dict[Source, list[HalDevice]]:
        return {source: await self._listed(source) for source in SOURCES}

    async def _listed(self, source: Source) -> list[HalDevice]:
        # Looking for devices reads files and asks libraries: not on the loop.
        try:
            found = await asyncio.to_thread(self._find, source)
        except HalError as error:
            log.warning("the devices of class %s cannot be listed: %s", source, error)
            found = []
        below = await asyncio.to_thread(self._below, source)
        # What comes in by HDMI is no camera that looks at the room.
        shared = self._device.config.screen_share.device
        listed = [one for one in found if one.id != shared]
        for known in (below, self._home(source), self._device.workers[source].device):
            # One that was never opened may stand for whatever is found first: that is none yet.
            if known is None or not known.id:
                continue
            if (known.backend, known.id) not in [(one.backend, one.id) for one in listed]:
                listed.append(known)
        return listed

    def _found(self, kind: str) -> list[HalDevice]:
        source = _source(kind)
        looked_for = {name for name, _ in registry.AUTO[source]} - {_MADE_UP}
        named = {getattr(config, source).backend for config in (self._device.config, self._files())}
        return registry.list_devices(source, looked_for | named - {AUTO})

    def _below(self, source: Source) -> HalDevice | None:
        """The device that the files name, whatever was chosen above them: no look may find it.
        None where they name none.  One without an id stands for whatever is found first."""
        section: SourceConfig = getattr(self._files(), source)
        if section.backend == AUTO:
            return None
        try:
            return registry.create(source, section.backend, **section.arguments).device
        except HalError as error:
            log.debug("the %s of the files cannot be listed: %s", source, error)
            return None

    def _files(self) -> Config:
        """The configuration without what was changed here."""
        config = self._device.config
        if config.layers is None or all(part.layer != PANEL for part in config.layers.parts):
            return config
        try:
            return Config.from_layers(beneath(config.layers))
        except ConfigError as error:
            log.debug("without what was changed here the configuration is none: %s", error)
            return config

    def _home(self, source: Source) -> HalDevice:
        found: HalDevice = self._device.parts.home(source)
        return found

    def _told(self, found: dict[Source, list[HalDevice]]) -> dict[str, Any]:
        changes = {} if self._desk is None else self._desk.changes()
        return {
            "lasting": self._desk is not None and self._desk.lasting,
            "fixed": self._desk is None,
            "kinds": [
                {
                    "kind": source,
                    "devices": [
                        {"backend": one.backend, "id": one.id, "label": one.label}
                        for one in self._with_used(source, found[source])
                    ],
                    "used": _named(self._device.workers[source].device),
                    "wanted": _named(self._home(source)) | {"label": self._home(source).label},
                    "changed": any(key in changes.get(source, {}) for key in KEYS),
                    "error": str(self._device.workers[source].error or ""),
                }
                for source in SOURCES
            ],
        }

    def _with_used(self, source: Source, found: list[HalDevice]) -> list[HalDevice]:
        """Between two looks another one may be used than was listed."""
        used = self._device.workers[source].device
        known = any((one.backend, one.id) == (used.backend, used.id) for one in found)
        return found if known else [*found, used]


def _source(kind: str) -> Source:
    for source in SOURCES:
        if source == kind:
            return source
    raise Refused(f"There is nothing to choose of class {kind[:40]!r}.")


def _named(device: HalDevice) -> dict[str, str]:
    return {"backend": device.backend, "id": device.id}
