"""The tally light and the gates that it speaks for.

It is red only while every one of them is closed.  Each gate's change drives it on the changing
thread, under that gate's lock; `_lock` orders the changes of several.  No gate but the changing
one is touched meanwhile, so that two threads cannot wait for each other.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from appliance.media.gate import SAFETY, Gate, MicGate, Party
from hal.controls import Controls, Tally
from hal.errors import DeviceUnplugged, HalError

log = logging.getLogger(__name__)


class TallyLight:
    """Drives the light of `controls` for the gate of the microphone, and for others beside it.

    `shown` is what it shows, FAULT where it could not be driven; `error` says why.  `on_change`
    is called after each change of the gates, on any thread.  `on_failure` is called when the
    light has failed, on any thread and under the lock of a gate.
    """

    def __init__(self, controls: Controls, microphone: MicGate) -> None:
        """The light does not work before `mended`."""
        self.shown = Tally.OFF
        self.error: HalError | None = None
        self.works = False
        self.on_change: Callable[[], None] | None = None
        self.on_failure: Callable[[], None] | None = None
        self._controls = controls
        self._microphone: Final = microphone
        self._others: tuple[MicGate, ...] = ()
        self._opening: set[Gate] = set()
        self._driven: Tally | None = None
        self._silent = False
        self._lock = threading.RLock()
        self._end = self._bind(microphone)

    def hold(self, why: str) -> None:
        """Close every gate that it speaks for, until `mended`."""
        for gate in (self._microphone, *self._others):
            gate.mute(Party.WATCHDOG, why)

    def change(self, controls: Controls) -> None:
        """Drive the light of other controls from now on; it does not work before `mended`.  To be
        called after `hold`, while the light of the others is out."""
        with self._lock:
            self._controls, self.works, self._driven = controls, False, None
            self.shown = Tally.FAULT

    def watch(self, gate: MicGate) -> Callable[[], None]:
        """Speak for one more gate, which is closed now.  Returns what ends it."""
        with self._lock:
            self._others += (gate,)
        unbind = self._bind(gate)

        def end() -> None:
            unbind()
            gate.before_open = None
            with self._lock:
                self._others = tuple(one for one in self._others if one is not gate)
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
        """The controls are open: show what is true, and let the gate open again."""
        with self._lock:
            before, self.error = self.error, None
            self.works, self._driven = True, None
            gates = (self._microphone, *self._others)
        if before is not None:
            log.warning("the controls are back")
        # Drives the light to the truth; where that fails, the gate is held again.
        for gate in gates:
            gate.unmute(Party.WATCHDOG, "the light works")
        self._show_truth()

    def fail(self, error: HalError) -> None:
        """The light cannot be trusted any more; on any thread."""
        with self._lock:
            if self.error is None:
                log.error("the microphone stays closed without its tally light: %s", error)
            self.error = error
            self.works, self._driven = False, None
            self.shown = Tally.FAULT
            # Whatever of it still obeys may say so.
            with contextlib.suppress(Exception):
                self._controls.set_tally(Tally.FAULT)
        if self.on_failure is not None:
            self.on_failure()

    def close(self) -> None:
        """Hold the gate for good and follow it no longer."""
        self._end()
        self.works = False
        self._microphone.mute(Party.WATCHDOG, "the light is put out")

    def _bind(self, gate: MicGate) -> Callable[[], None]:
        gate.before_open = partial(self._before_open, gate)
        return gate.subscribe(self._gate_changed)

    def _before_open(self, gate: MicGate) -> None:
        with self._lock:
            # Another gate that closes now must not turn the light red under this one.
            self._opening.add(gate)
            try:
                self._drive(Tally.LIVE)
            except BaseException:
                self._opening.discard(gate)
                raise

    def _gate_changed(self, gate: Gate) -> None:
        with self._lock:
            self._opening.discard(gate)
        if self._silent:
            return
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
            gates = (self._microphone, *self._others)
            live = any(gate.is_open or gate in self._opening for gate in gates)
            self._drive(Tally.LIVE if live else _closed(self._microphone.closers))

    def _drive(self, tally: Tally) -> None:
        """Under the lock.  Raises HalError."""
        if tally is self._driven:
            return
        if not self.works:
            raise self.error or DeviceUnplugged("the controls are not open yet; wait")
        try:
            self._controls.set_tally(tally)
        except Exception as error:
            # Whatever it is: the light may show anything now.
            if isinstance(error, HalError):
                self.fail(error)
                raise
            failure = DeviceUnplugged(str(error))
            self.fail(failure)
            raise failure from error
        self._driven = self.shown = tally


def _closed(closers: frozenset[Party]) -> Tally:
    """What the light has to show while nothing passes.

    The start holds the gate whenever the device is not in a call, and until the first state of
    a call is known.
    """
    if closers & SAFETY:
        return Tally.FAULT
    return Tally.OFF if Party.START in closers else Tally.MUTED
