"""A light that says whether anything passes some gates, and never less than the truth.

Each gate's change drives it on the changing thread, under that gate's lock; `_lock` orders the
changes of several.  No gate but the changing one is touched meanwhile, so that two threads cannot
wait for each other.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from typing import ClassVar, Final, Generic, TypeVar

from appliance.media.gate import Gate, Party
from hal.controls import Controls
from hal.errors import DeviceUnplugged, HalError

log = logging.getLogger(__name__)

Shown = TypeVar("Shown")
"""What the light can show."""


class GateLight(ABC, Generic[Shown]):
    """Drives one light of `controls` for a gate, and for others beside it.

    It says that something may pass before the first gate opens, and the contrary only after all
    of them have closed.  `shown` is what it shows, `FAULT` where it could not be driven; `error`
    says why.  `on_change` is called after each change of the gates, on any thread.  `on_failure`
    is called when the light has failed, on any thread and under the lock of a gate.
    """

    OFF: Shown
    LIVE: Shown
    FAULT: Shown
    BACK: ClassVar[str]
    """For the log: what is back."""

    def __init__(self, controls: Controls, gate: Gate) -> None:
        """The light does not work before `mended`."""
        self.shown: Shown = self.OFF
        self.error: HalError | None = None
        self.works = False
        self.on_change: Callable[[], None] | None = None
        self.on_failure: Callable[[], None] | None = None
        self._controls = controls
        self._gate: Final = gate
        self._others: tuple[Gate, ...] = ()
        self._opening: set[Gate] = set()
        self._driven: Shown | None = None
        self._silent = False
        self._lock = threading.RLock()
        self._end = self._bind(gate)

    @property
    @abstractmethod
    def _closed_without(self) -> str:
        """For the log: what stays closed while the light fails."""

    @abstractmethod
    def _put(self, controls: Controls, shown: Shown) -> None:
        """Drive it.  Raises HalError."""

    @abstractmethod
    def _closed(self, closers: frozenset[Party]) -> Shown:
        """What it has to show while nothing passes."""

    def hold(self, why: str) -> None:
        """Close every gate that it speaks for, until `mended`."""
        for gate in (self._gate, *self._others):
            gate.mute(Party.WATCHDOG, why)

    def change(self, controls: Controls) -> None:
        """Drive the light of other controls from now on; it does not work before `mended`.  To be
        called after `hold`, while the light of the others is out."""
        with self._lock:
            self._controls, self.works, self._driven = controls, False, None
            self.shown = self.FAULT

    def watch(self, gate: Gate) -> Callable[[], None]:
        """Speak for one more gate; one that is open is closed where the light does not work.
        Returns what ends it."""
        with self._lock:
            self._others += (gate,)
        unbind = self._bind(gate)
        if gate.is_open:
            self._follow(gate)

        def end() -> None:
            unbind()
            gate.before_open = None
            with self._lock:
                self._others = tuple(one for one in self._others if one is not gate)
                self._opening.discard(gate)
            # Nobody else would ever withdraw it.
            gate.unmute(Party.WATCHDOG, "the light speaks for it no longer")
            self._show_truth()

        return end

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Do not follow the gates meanwhile; show what is true after it."""
        self._silent = True
        try:
            yield
        finally:
            self._silent = False
            if self.works:
                self._show_truth()

    def mended(self) -> None:
        """The controls are open: show what is true, and let the gates open again."""
        with self._lock:
            before, self.error = self.error, None
            self.works, self._driven = True, None
            gates = (self._gate, *self._others)
        if before is not None:
            log.warning(self.BACK)
        # Drives the light to the truth; where that fails, the gate is held again.
        for gate in gates:
            gate.unmute(Party.WATCHDOG, "the light works")
        self._show_truth()

    def fail(self, error: HalError) -> None:
        """The light cannot be trusted any more; on any thread."""
        with self._lock:
            if self.error is None:
                log.error("%s: %s", self._closed_without, error)
            self.error = error
            self._give_up()
        if self.on_failure is not None:
            self.on_failure()

    def _give_up(self) -> None:
        """Under the lock."""
        self.works, self._driven = False, None
        self.shown = self.FAULT
        # Whatever of it still obeys may say so.
        with contextlib.suppress(Exception):
            self._put(self._controls, self.FAULT)

    def close(self) -> None:
        """Hold the gate for good and follow it no longer."""
        self._end()
        self.works = False
        self._gate.mute(Party.WATCHDOG, "the light is put out")

    def _bind(self, gate: Gate) -> Callable[[], None]:
        gate.before_open = partial(self._before_open, gate)
        return gate.subscribe(self._gate_changed)

    def _before_open(self, gate: Gate) -> None:
        with self._lock:
            # Another gate that closes now must not turn the light over under this one.
            self._opening.add(gate)
            try:
                self._drive(self.LIVE)
            except BaseException:
                self._opening.discard(gate)
                raise

    def _gate_changed(self, gate: Gate) -> None:
        with self._lock:
            self._opening.discard(gate)
        if not self._silent:
            self._follow(gate)

    def _follow(self, gate: Gate) -> None:
        """Show the truth, of which `gate` is a new part; it is closed where that cannot be."""
        try:
            self._drive_truth()
        except Exception as error:
            gate.mute(Party.WATCHDOG, str(error))
        if self.on_change is not None:
            self.on_change()

    def _show_truth(self) -> None:
        with contextlib.suppress(HalError):
            self._drive_truth()
        if self.on_change is not None:
            self.on_change()

    def _drive_truth(self) -> None:
        with self._lock:
            gates = (self._gate, *self._others)
            live = any(gate.is_open or gate in self._opening for gate in gates)
            self._drive(self.LIVE if live else self._closed(self._gate.closers))

    def _drive(self, shown: Shown) -> None:
        """Under the lock.  Raises HalError."""
        if shown is self._driven:
            return
        if not self.works:
            raise self.error or DeviceUnplugged("the controls are not open yet; wait")
        try:
            self._put(self._controls, shown)
        except Exception as error:
            # Whatever it is: the light may show anything now.
            if isinstance(error, HalError):
                self.fail(error)
                raise
            failure = DeviceUnplugged(str(error))
            self.fail(failure)
            raise failure from error
        self._driven = self.shown = shown
