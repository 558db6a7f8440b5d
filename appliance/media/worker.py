"""A device that one thread keeps open and busy.

Captures and playouts are workers.  A worker reaches the loop in one place, `Worker._to_loop`.
A device that fails is reported and tried again until it is back; another one may take its
place while the worker goes on.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Final

from hal.device import Device
from hal.errors import DeviceStalled, HalError

log = logging.getLogger(__name__)

RETRY: Final = 1.0
"""Seconds between attempts to open a device that failed."""

Observer = Callable[[HalError | None], None]
"""Called on the loop with each failure of the device, and with None when it works again or
another one has taken its place."""


class Worker(ABC):
    """What captures and playouts have in common.

    `on_error` belongs to whoever made the worker; others `observe`.
    """

    def __init__(self) -> None:
        self.on_error: Observer | None = None
        self.turned = time.monotonic()
        """`time.monotonic` of the thread's last turn: what hangs in a driver turns no more."""
        self._observers: tuple[Observer, ...] = ()
        self._place_observers: tuple[Callable[[], None], ...] = ()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._opened: asyncio.Event | None = None
        self._changing = asyncio.Lock()
        self._error: HalError | None = None
        self._trying = False

    @property
    @abstractmethod
    def device(self) -> Device:
        """The device that is worked with."""

    @property
    def suspended(self) -> bool:
        """Whether the device is closed now."""
        return self._thread is None

    @property
    def failed(self) -> bool:
        """Whether the device gave an error and has not come back yet."""
        return self._error is not None

    @property
    def error(self) -> HalError | None:
        """The last error of a device that has failed, None while it works."""
        return self._error

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Call `observer` as `on_error`, and beside it.  Returns what ends that."""
        self._observers += (observer,)

        def end() -> None:
            self._observers = tuple(one for one in self._observers if one is not observer)

        return end

    @property
    def trying(self) -> bool:
        """Whether `device` is one that is only tried, and may give way to the one before."""
        return self._trying

    def observe_place(self, observer: Callable[[], None]) -> Callable[[], None]:
        """Call `observer` on the loop when `device` or `trying` may have changed: before a device
        that was put in place is opened, when it is open, and when the trial is over.  Nothing that
        it gives leaves ahead of that.  Returns what ends it."""
        self._place_observers += (observer,)

        def end() -> None:
            left = tuple(one for one in self._place_observers if one is not observer)
            self._place_observers = left

        return end

    @property
    def _about(self) -> dict[str, str]:
        """The field of a log entry that is about the device."""
        return {"DEVICE": self.device.id}

    async def start(self) -> None:
        """Open the device and begin; waits until it is open or has failed once."""
        async with self._changing:
            await self._launch()

    def gone(self, error: HalError) -> None:
        """Take note that the device was pulled, which a worker that rests does not see."""
        if self._error is None and not self._trying:
            self._error = error
            self._tell(error)

    async def _launch(self) -> None:
        """Begin, under `_changing`."""
        if self._thread is not None and not self._stopping.is_set():
            return
        # One whose end was not waited for: two threads must never have one device.
        await self._halt()
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._opened = asyncio.Event()
        self.turned = time.monotonic()
        self._thread = threading.Thread(
            target=self._run, args=(self._stopping,), name=type(self).__name__, daemon=True
        )
        self._thread.start()
        await self._opened.wait()

    async def _halt(self) -> None:
        """Close the device and end the thread, under `_changing`."""
        thread = self._thread
        if thread is not None:
            self._stopping.set()
            self._wake()
            await asyncio.to_thread(thread.join)
            # Only now: a wait that is cancelled leaves the thread to the next change.
            self._thread = None

    async def _exchange(
        self,
        put: Callable[[], Awaitable[None]],
        back: Callable[[], None],
        check: Callable[[], None] | None = None,
    ) -> None:
        """Go on with what `put` puts in place of the present device, which is closed by then.

        The new one is opened in any case; where the worker rests, only to see that it can be.
        When it does not open, or `put` or `check` raises, `back` undoes the change, the worker
        goes on as before, and the error is raised.
        """
        async with self._changing:
            running, before = self._thread is not None, self._error
            await self._halt()
            self._trying = True
            try:
                await put()
                self._placed()
                await self._launch()
                if self._error is not None:
                    raise self._error
                if check is not None:
                    check()
            except BaseException:
                await self._halt()
                back()
                self._trying = False
                self._error = before
                self._placed()
                if running:
                    await self._launch()
                raise
            self._trying = False
            if not running:
                await self._halt()
            self._placed()
            self._tell(None)

    def _wake(self) -> None:
        """Let the thread see at once that it should end."""

    def _to_loop(self, function: Callable[..., None], *args: object) -> None:
        """The one place where the thread reaches the loop."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            # The loop has closed under a thread that is about to end.
            self._stopping.set()

    def _report(self, error: HalError | None) -> None:
        if self._opened is not None:
            self._opened.set()
        self._error = error
        if error is None:
            # Some devices are known only once they are open.  What the thread reads is behind this.
            self._placed()
        if not self._trying:
            self._tell(error)

    def _placed(self) -> None:
        for observer in self._place_observers:
            observer()

    def _tell(self, error: HalError | None) -> None:
        for observer in (self.on_error, *self._observers):
            if observer is not None:
                observer(error)

    def _run(self, stopping: threading.Event) -> None:
        """The thread's work until `stopping`; reports to `_report` on the loop."""
        # What was said before it was begun anew needs no repetition.
        failed = self._error is not None
        while not stopping.is_set():
            self.turned = time.monotonic()
            problem: HalError | None = None
            try:
                self._open()
                if failed:
                    log.warning("%s is back", self.device.label, extra=self._about)
                failed = False
                self._to_loop(self._report, None)
                while not stopping.is_set():
                    self.turned = time.monotonic()
                    self._work()
            except HalError as error:
                problem = error
                if not failed:
                    log.warning("%s", error, extra=self._about)
            except Exception as error:
                # A fault of a driver or of ours must not end the device for good, unnoticed.
                problem = HalError(f"{self.device.label} failed: {error}; trying again")
                log.exception("%s failed", self.device.label, extra=self._about)
            finally:
                self._shut()
            if problem is not None:
                failed = True
                self._to_loop(self._report, problem)
                if not isinstance(problem, DeviceStalled):
                    stopping.wait(RETRY)

    def _shut(self) -> None:
        try:
            self._close()
        except Exception:
            log.exception("%s did not close", self.device.label, extra=self._about)

    @abstractmethod
    def _open(self) -> None:
        """Open the device."""

    @abstractmethod
    def _work(self) -> None:
        """Do one period's or one picture's work."""

    @abstractmethod
    def _close(self) -> None:
        """Close the device, open or not."""
