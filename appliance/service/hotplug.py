"""The devices of one appliance as they are pulled and plugged in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from appliance.media.worker import RETRY, Worker
from appliance.provisioning import Config
from appliance.provisioning.devices import SourceConfig
from appliance.service.succession import Order, Succession
from hal.device import Device, Kind
from hal.hotplug import Change, DeviceWatcher, Finder
from hal.registry import list_devices


class _Hal(Protocol):
    @property
    def device(self) -> Device: ...


class HotPlug:
    """Follows what is plugged in, for each class of which there may be several devices.

    `on_change` is called when `missing` or `notes` may have changed, `on_controls` when buttons
    or lights have come or gone.
    """

    def __init__(
        self,
        config: Config,
        *,
        find: Finder | None = None,
        retry: float = RETRY,
        on_change: Callable[[], None] = lambda: None,
        on_controls: Callable[[], None] = lambda: None,
    ) -> None:
        self._config = config
        self._retry = retry
        self._on_change = on_change
        self._on_controls = on_controls
        self._successions: dict[Kind, Succession] = {}
        self._watcher: Final = DeviceWatcher(self._changed, find=find or self._find)

    @property
    def missing(self) -> frozenset[Kind]:
        """The classes of which there is no device."""
        return frozenset(kind for kind, one in self._successions.items() if one.missing)

    @property
    def notes(self) -> list[str]:
        """What the people in the room should know."""
        notes = [one.note for one in self._successions.values()]
        return [note for note in notes if note is not None]

    def follow(self, worker: Any, home: _Hal, make: Callable[[Config, Device], Any]) -> None:
        """Keep a worker on the best device of its class.

        `home` is the hal device that it has now, `make` makes another one, and the worker has
        `swap`, and a `gate` if it captures.
        """
        assert isinstance(worker, Worker)
        self._successions[home.device.kind] = Succession(
            worker,
            _order(self._config, home),
            _swapper(self._config, worker, home, make),
            self._listed,
            home=lambda: home.device,
            gate=getattr(worker, "gate", None),
            on_change=self._on_change,
            retry=self._retry,
        )

    def adopt(self, config: Config) -> None:
        """Look for what another configuration may take, from now on."""
        self._config = config
        self._watcher.look()

    async def change(
        self,
        config: Config,
        worker: Any,
        home: _Hal,
        make: Callable[[Config, Device], Any],
        put: Callable[[], Awaitable[None]],
    ) -> None:
        """Keep a worker that is followed on the best device of another configuration, once `put`
        has put that one's own, `home`, behind it.  Raises what `put` raises; all is as before then.
        """
        await self._successions[home.device.kind].change(
            _order(config, home),
            _swapper(config, worker, home, make),
            lambda: home.device,
            put,
        )

    async def start(self) -> None:
        """Look at what is there, and begin to follow it."""
        await self._watcher.start()
        for succession in self._successions.values():
            succession.start()

    async def stop(self) -> None:
        """Follow no longer.  Safe to call twice, or without `start`."""
        await self._watcher.close()
        for succession in self._successions.values():
            await succession.stop()

    def _find(self, kind: Kind) -> list[Device]:
        """What could be taken: no other backend is stirred every now and then."""
        section = getattr(self._config, kind)
        if getattr(section, "fallback", ()):
            return list_devices(kind)  # those may be anybody's
        return list_devices(kind, {section.backend, *getattr(section, "also", ())})

    def _listed(self, kind: Kind) -> list[Device]:
        # What comes in by HDMI is no camera that looks at the room.
        shared = self._config.screen_share.device
        return [one for one in self._watcher.devices if one.kind == kind and one.id != shared]

    def _changed(self, change: Change) -> None:
        succession = self._successions.get(change.device.kind)
        if succession is None:
            self._on_controls()
        elif change.action == "plugged":
            succession.plugged()
        else:
            succession.unplugged(change.device)


def _order(config: Config, home: _Hal) -> Order:
    section: SourceConfig = getattr(config, home.device.kind)
    return Order(home.device, section.backend, section.device, section.fallback)


def _swapper(
    config: Config, worker: Any, home: _Hal, make: Callable[[Config, Device], Any]
) -> Callable[[Device], Awaitable[None]]:
    keep: dict[str, Any] = {home.device.id: home}

    async def swap(device: Device) -> None:
        if device.id not in keep:
            keep[device.id] = await asyncio.to_thread(make, config, device)
        await worker.swap(keep[device.id])

    return swap
