"""Devices that come and go.

The kernel's events tell that something has changed; what, is found by listing the devices
and comparing with the list before.  So an event and the slow look that takes its place on a
machine without udev lead to the same answer, in the ids that the rest of Roomlet uses.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

from hal.device import Device, Kind
from hal.errors import BackendUnavailable
from hal.optional import require
from hal.registry import list_devices

log = logging.getLogger(__name__)

SUBSYSTEMS: Final[dict[str, tuple[Kind, ...]]] = {
    "video4linux": ("camera",),
    "sound": ("microphone", "speaker"),
    "input": ("controls",),
}
"""Which device classes an event of a kernel subsystem can be about."""

SETTLE_S: Final = 0.5
"""A device announces itself in parts: a card, its PCMs, its keys.  This long after the last
of them it is complete."""

POLL_S: Final = 2.0
"""How often to look where udev does not tell."""


@dataclass(frozen=True, slots=True)
class Change:
    """A device was plugged in or pulled out."""

    action: Literal["plugged", "unplugged"]
    device: Device


class _Event(Protocol):
    """The part of `pyudev.Device` that is used here."""

    @property
    def action(self) -> str | None: ...
    @property
    def subsystem(self) -> str | None: ...


class Monitor(Protocol):
    """The part of `pyudev.Monitor` that is used here."""

    def fileno(self) -> int: ...
    def start(self) -> None: ...
    def filter_by(self, subsystem: str) -> None: ...
    def poll(self, timeout: float | None = None) -> _Event | None: ...


Handler = Callable[[Change], None]
Finder = Callable[[Kind], list[Device]]


def udev_monitor() -> Monitor:
    """What udev tells of devices, not yet started.

    Raises BackendUnavailable where there is no libudev or no udev that runs.
    """
    pyudev = require("pyudev", "install the Python package pyudev and libudev")
    try:
        context = pyudev.Context()
        running = Path(context.run_path, "control").exists()
        monitor: Monitor = pyudev.Monitor.from_netlink(context)
    except (ImportError, OSError) as error:
        raise BackendUnavailable(f"udev cannot be asked ({error}); install libudev1") from error
    if not running:
        raise BackendUnavailable("udev does not run here; start systemd-udevd")
    return monitor


class DeviceWatcher:
    """Calls a handler on the loop with each device that comes or goes.

    `devices` is what is there now.  The look at the devices itself happens in a thread; udev
    is read on the loop.  A device that is pulled and back between two looks is not told of:
    with udev a look follows each event at once.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        kinds: Iterable[Kind] = ("camera", "microphone", "speaker", "controls"),
        find: Finder = list_devices,
        monitor: Callable[[], Monitor] = udev_monitor,
        settle_s: float = SETTLE_S,
        poll_s: float = POLL_S,
    ) -> None:
        self._handler = handler
        self._kinds = tuple(kinds)
        self._find = find
        self._make_monitor = monitor
        self._settle_s = settle_s
        self._poll_s = poll_s
        self._known: dict[Kind, list[Device]] = {}
        self._monitor: Monitor | None = None
        self._told: set[Kind] = set()
        self._stirred = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def devices(self) -> list[Device]:
        """What was there at the last look, in the order of the device classes."""
        return [device for kind in self._kinds for device in self._known.get(kind, [])]

    @property
    def polling(self) -> bool:
        """Whether it looks by itself now and then, because nobody tells."""
        return self._monitor is None

    async def start(self) -> None:
        """Look for the first time, without calling the handler, and begin to watch."""
        if self._task is not None:
            return
        try:
            monitor = self._make_monitor()
            for subsystem, kinds in SUBSYSTEMS.items():
                if set(kinds) & set(self._kinds):
                    monitor.filter_by(subsystem)
            # Before the first look, so that nothing can happen in between.
            monitor.start()
        except (BackendUnavailable, OSError) as error:
            log.warning("devices are looked for every %g s: %s", self._poll_s, error)
        else:
            self._monitor = monitor
            asyncio.get_running_loop().add_reader(monitor.fileno(), self._readable)
        for kind in self._kinds:
            self._known[kind] = await self._look(kind)
        self._task = asyncio.create_task(self._watch(), name="device watcher")

    def look(self) -> None:
        """Look anew: `find` may give others now."""
        self._told |= set(self._kinds)
        self._stirred.set()

    async def close(self) -> None:
        """Stop watching.  Safe to call twice."""
        task, self._task = self._task, None
        self._silence()
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _readable(self) -> None:
        """The one place where udev's events come in; on the loop, which watches its socket."""
        assert self._monitor is not None
        try:
            while (event := self._monitor.poll(0)) is not None:
                log.debug("udev: %s in %s", event.action, event.subsystem)
                self._told |= set(SUBSYSTEMS.get(event.subsystem or "", ())) & set(self._kinds)
        except OSError as error:
            log.warning("udev fails, devices are looked for every %g s: %s", self._poll_s, error)
            self._silence()
            self._told |= set(self._kinds)
        if self._told:
            self._stirred.set()

    def _silence(self) -> None:
        monitor, self._monitor = self._monitor, None
        if monitor is not None:
            asyncio.get_running_loop().remove_reader(monitor.fileno())

    async def _watch(self) -> None:
        while True:
            await self._wait(None if not self.polling else self._poll_s)
            kinds = self._take() or set(self._kinds)
            # At once, for what was pulled is gone already; then again, for what was plugged
            # in may still be incomplete.
            await self._compare(kinds)
            if not self.polling:
                while await self._wait(self._settle_s):
                    kinds |= self._take()
                await self._compare(kinds)

    async def _wait(self, seconds: float | None) -> bool:
        """Wait for udev to tell something, at most so long.  Returns whether it has."""
        try:
            # Not wait_for: before Python 3.12 it loses a cancellation that comes with the news.
            async with asyncio.timeout(seconds):
                await self._stirred.wait()
        except TimeoutError:
            return False
        return True

    def _take(self) -> set[Kind]:
        self._stirred.clear()
        told, self._told = self._told, set()
        return told

    async def _compare(self, kinds: Iterable[Kind]) -> None:
        for kind in [one for one in self._kinds if one in set(kinds)]:
            before, now = self._known[kind], await self._look(kind)
            self._known[kind] = now
            gone, come = _missing(before, now), _missing(now, before)
            for device in gone:
                self._tell(Change("unplugged", device))
            for device in come:
                self._tell(Change("plugged", device))

    async def _look(self, kind: Kind) -> list[Device]:
        try:
            return await asyncio.to_thread(self._find, kind)
        except Exception:
            # One bad look is not the end of watching: nothing has changed, as far as we know.
            log.exception("the devices of class %s could not be listed", kind)
            return self._known.get(kind, [])

    def _tell(self, change: Change) -> None:
        log.info("%s %s: %s", change.device.kind, change.action, change.device.label)
        try:
            self._handler(change)
        except Exception:
            log.exception("the news of %s could not be handled", change.device.id)


def _missing(these: list[Device], those: list[Device]) -> list[Device]:
    """Which of `these` are not among `those`, by backend and id; a label may change."""
    names = {(device.backend, device.id) for device in those}
    return [device for device in these if (device.backend, device.id) not in names]
