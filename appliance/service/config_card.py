"""The configuration that a device goes by, each value with its source, for its panel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final

from appliance.panel import Refused
from appliance.provisioning import Config
from appliance.provisioning.layers import PANEL, Layers
from appliance.provisioning.overrides import leaves
from appliance.provisioning.showing import Entry, entries
from appliance.provisioning.source import dotted
from appliance.service import journal
from appliance.service.choice import KEYS, SOURCES
from appliance.service.desk import Desk
from appliance.service.device import Device
from appliance.service.wake import Wake

LOOK_EVERY: Final = 2.0
"""Seconds between two looks at whether the program can be begun anew, while somebody watches."""


class ConfigCard:
    """That of one device; without a `desk` nothing can be taken back."""

    def __init__(self, device: Device, desk: Desk | None) -> None:
        self._device = device
        self._desk = desk

    async def watch(self) -> AsyncGenerator[dict[str, Any]]:
        """The values now, and anew with another configuration."""
        told: tuple[Any, ...] = ()
        with Wake(self._device.subscribe) as wake:
            while True:
                present = (self._device.config, self._changes(), self._hindrance())
                # To find the places of all values takes a while: not for each word that is said.
                if present != told:
                    told = present
                    values = await asyncio.to_thread(self._values)
                    yield {"values": values, "changes": present[1], "hindrance": present[2]}
                await wake.wait(LOOK_EVERY)

    async def withdraw(self, key: str) -> None:
        """Take a change back that was made at the device.  Raises Refused."""
        if self._desk is None:
            raise Refused("This device was begun for one call: nothing was changed at it.")
        found = next((one for one in leaves(self._desk.changes()) if dotted(one) == key), None)
        if found is None:
            raise Refused(f"{key[:60]} is not changed here any more.")
        if found[0] in SOURCES and found[1] in KEYS:
            # One device: its parts make no sense without each other.
            await self._desk.change({(found[0], name): None for name in KEYS})
        else:
            await self._desk.change({found: None})

    def _changes(self) -> list[str]:
        return [] if self._desk is None else [dotted(key) for key in leaves(self._desk.changes())]

    def _hindrance(self) -> str:
        return "This device was begun for one call." if self._desk is None else self._desk.hindrance

    def _values(self) -> list[dict[str, Any]]:
        config = self._device.config if self._desk is None else self._desk.config()
        return [
            {
                "section": one.section,
                "key": one.key,
                "value": journal.SECRETS.blacken(one.value),
                "source": _source(config, one),
                "here": one.origin is not None and one.origin.layer == PANEL,
            }
            for one in entries(config, config.layers or Layers([]))
        ]


def _source(config: Config, entry: Entry) -> str:
    if entry.origin is not None:
        return journal.SECRETS.blacken(str(entry.origin))
    return "built-in" if config.layers is not None else ""
