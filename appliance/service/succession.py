"""Which device of a class is in use: the preferred one, or another while that one is pulled."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from appliance.media.gate import Gate, Party
from appliance.media.worker import RETRY, Worker
from hal.device import Device, Kind
from hal.errors import DeviceNotFound, DeviceUnplugged, HalError
from hal.registry import AUTO

log = logging.getLogger(__name__)

AGAIN: Final = 3
"""How often one that is there and does not open is tried again, while another serves.  What has
just been plugged in may not be ready, or another program looks at it; but each try takes the device
that serves from the call for a moment."""

_LAST: Final = 1_000_000


class Order:
    """The preference among the devices of one class.

    Named ones come in the order of their ids, before all others.  Where no further one is named,
    others of the same backend will do, or of any real backend where the backend is `auto`; a
    made-up device never, for it would only hide that one is missing.
    """

    def __init__(self, home: Device, backend: str, device: str | None, others: Sequence[str]):
        """`home` is what was made of the configuration, of which the rest is a part."""
        self.home: Final = home
        self._backend = backend
        self._device, self._others = device, others
        self._named = [*([device or home.id]), *others]
        self._any = not others
        self._real = [name for name, _ in AUTO[home.kind][:-1]]
        self._made_up = backend == "auto" and home.backend not in self._real

    def known(self, home: Device) -> Order:
        """The same, now that it is known which device the configuration leads to."""
        return Order(home, self._backend, self._device, self._others)

    def rank(self, device: Device) -> int | None:
        """The smaller the better; None for one that is never taken."""
        if device.id in self._named and not (device == self.home and self._made_up):
            return self._named.index(device.id)
        if device == self.home:
            return _LAST
        if not self._any or device.backend not in self._real:
            return None
        if self._backend == "auto":
            return len(self._named) + self._real.index(device.backend)
        return len(self._named) if device.backend == self.home.backend else None

    def candidates(self, listed: Sequence[Device]) -> list[Device]:
        """Those that may be there, best first; of equals, as they are listed."""
        ids = {device.id for device in listed} | {self.home.id}
        unlisted = [
            Device(name, name, self.home.kind, self.home.backend)
            for name in self._named
            if name not in ids
        ]
        known = {device.id: device for device in [*unlisted, *listed, self.home]}
        ranked = [(self.rank(device), device) for device in known.values()]
        usable = [(rank, device) for rank, device in ranked if rank is not None]
        return [device for _, device in sorted(usable, key=lambda pair: pair[0])]


class Succession:
    """Keeps one worker on the best device that there is.

    A device that was pulled gives way to the next one at once, and takes its place back when
    it returns.  While there is none, `gate` is held closed on behalf of `Party.UNPLUGGED`, so
    that the light and the room show that nothing is heard or seen.

    `swap` puts a device behind the worker, or raises HalError.  `listed` says what is there.
    `home` is what was made of the configuration as it is now: one that names no device leads to
    the first one, and which that is shows only (in its id) once it was opened.
    `on_change` is called with each change of `missing` and of the device.
    """

    def __init__(
        self,
        worker: Worker,
        order: Order,
        swap: Callable[[Device], Awaitable[None]],
        listed: Callable[[Kind], list[Device]],
        *,
        home: Callable[[], Device] | None = None,
        gate: Gate | None = None,
        on_change: Callable[[], None] = lambda: None,
        retry: float = RETRY,
    ) -> None:
        self.missing = False
        self._worker = worker
        self._given = order
        self._home = home
        self._swap = swap
        self._listed = listed
        self._gate = gate
        self._on_change = on_change
        self._retry = retry
        self._lost = False
        self._plugged = False
        self._stirred = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._unobserve: Callable[[], None] | None = None

    @property
    def kind(self) -> Kind:
        """The class of its devices."""
        return self._given.home.kind

    @property
    def _order(self) -> Order:
        if not self._given.home.id and self._home is not None:
            self._given = self._given.known(self._home())
        return self._given

    @property
    def note(self) -> str | None:
        """What the people in the room should know, if anything."""
        if self.missing:
            return f"the {self.kind} has gone, and there is no other one; plug it in"
        if self._worker.device.id != self._order.home.id:
            label = self._worker.device.label
            return f"{self._order.home.label} has gone; the {self.kind} is now {label}"
        return None

    def start(self) -> None:
        """Begin to follow the worker."""
        self._unobserve = self._worker.observe(self._observe)
        self._task = asyncio.create_task(self._run(), name=f"succession of the {self.kind}")
        if self._worker.error is not None:
            self._observe(self._worker.error)

    async def stop(self) -> None:
        """Follow it no longer.  Safe to call twice, or without `start`."""
        if self._unobserve is not None:
            self._unobserve()
            self._unobserve = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def change(
        self,
        order: Order,
        swap: Callable[[Device], Awaitable[None]],
        home: Callable[[], Device],
        put: Callable[[], Awaitable[None]],
    ) -> None:
        """Go by another order from now on, once `put` has put its device behind the worker.

        Raises what `put` raises; all is as before then.
        """
        follows = self._task is not None
        await self.stop()
        try:
            await put()
            self._given, self._swap, self._home = order, swap, home
            if not self._worker.failed:
                self._lost = False
                self._set_missing(False)
        finally:
            # Whatever has come or gone meanwhile.
            self.plugged()
            if follows:
                self.start()
        self._on_change()

    def plugged(self) -> None:
        """A device of the class has come."""
        self._plugged = True
        self._stirred.set()

    def unplugged(self, device: Device) -> None:
        """A device of the class has gone.  A worker that reads it finds out by itself."""
        if device.id == self._worker.device.id and self._worker.suspended:
            self._worker.gone(DeviceUnplugged(f"{device.label} has gone; plug it in again"))

    def _observe(self, error: HalError | None) -> None:
        if isinstance(error, DeviceUnplugged | DeviceNotFound):
            self._lost = True
            self._stirred.set()
        elif error is None:
            self._lost = False
            self._set_missing(False)
            self._on_change()

    async def _run(self) -> None:
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            refused, left = False, AGAIN
            while self._lost or self._plugged or refused:
                if self._lost or self._plugged:
                    left = AGAIN
                self._plugged = False
                refused = await self._move() and left > 0
                left -= 1
                if self._lost or refused:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._retry):
                            await self._stirred.wait()
                    self._stirred.clear()

    async def _move(self) -> bool:
        """Go to the best device that opens, if it is better than what there is.

        Returns whether a better one that is there did not open.
        """
        before, listed = self._worker.device, self._listed(self.kind)
        there, refused = {device.id for device in listed}, False
        for device in self._order.candidates(listed):
            if not self._lost and not self._better(device, before):
                return refused
            try:
                await self._swap(device)
            except HalError as error:
                log.debug("%s is passed over: %s", device.label, error)
                refused = refused or device.id in there
            else:
                if device.id != before.id:
                    log.warning("%s: going on with %s", self.kind, device.label)
                return refused
        if self._lost:
            self._set_missing(True)
        return refused

    def _better(self, device: Device, than: Device) -> bool:
        new, old = self._order.rank(device), self._order.rank(than)
        return new is not None and (old is None or new < old)

    def _set_missing(self, missing: bool) -> None:
        if missing == self.missing:
            return
        self.missing = missing
        if self._gate is not None:
            if missing:
                self._gate.mute(Party.UNPLUGGED, f"the {self.kind} has gone")
            else:
                self._gate.unmute(Party.UNPLUGGED, f"there is a {self.kind} again")
        if missing:
            log.warning("there is no %s any more; plug one in", self.kind)
        self._on_change()
