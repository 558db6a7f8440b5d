"""One LED on a pin: dark, or lit in a pattern of its own, at a brightness."""

from __future__ import annotations

import itertools
import logging
import threading
from typing import Any, Final, Protocol, TypeAlias, cast

log = logging.getLogger(__name__)

Pattern: TypeAlias = tuple[float, ...]
"""Seconds lit, dark, lit, dark ... from the beginning again; empty: steadily lit."""

FREQUENCY: Final = 200
"""Hz of the pulses that dim an LED: no eye sees them, and a thread can make them."""


class _Pin(Protocol):
    """The part of `gpiozero.Pin` that is used here."""

    frequency: float | None
    state: float


class _Led(Protocol):
    """The part of `gpiozero.LED` that is used here."""

    @property
    def pin(self) -> _Pin: ...
    @property
    def is_lit(self) -> bool: ...
    def on(self) -> None: ...
    def off(self) -> None: ...
    def close(self) -> None: ...


class Lamp:
    """One LED, dark at first.  The owner sees to it that one thread at a time calls it.

    A pin that is dimmed cannot be read back, so `put` drives it fully and `play` dims and blinks
    what is known to obey.  What the pin library raises passes through.
    """

    def __init__(self, gpiozero: Any, pin: int, *, active_high: bool, brightness: int) -> None:
        """Takes the pin.  `brightness` is percent, 1 to 100; only less than 100 needs pulses."""
        self._led: Final = cast("_Led", gpiozero.LED(pin, active_high=active_high))
        self._active_high: Final = active_high
        self._brightness: Final = brightness / 100
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        try:
            if self._dims:
                # Fails now, where the pin cannot do it, and not when it matters.
                self._led.pin.frequency = FREQUENCY
                self.put(lit=False)
        except BaseException:
            self._led.close()
            raise

    @property
    def is_lit(self) -> bool:
        """The level of the pin; to be asked after `put`."""
        return self._led.is_lit

    def put(self, *, lit: bool) -> None:
        """Light it fully and steadily, or put it out.  It is done when this returns."""
        self._halt()
        if self._dims and self._led.pin.frequency is not None:
            self._led.pin.frequency = None
            # The library's thread may be within a pulse, whose end must not undo what follows.
            threading.Event().wait(2 / FREQUENCY)
        if lit:
            self._led.on()
        else:
            self._led.off()

    def play(self, pattern: Pattern) -> None:
        """Go on from `put(lit=True)`: at its brightness, and in a pattern."""
        self._write(lit=True)
        if pattern:
            self._stop = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(pattern, self._stop), name="lamp", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Put it out and free the pin."""
        try:
            # A freed pin keeps its level.
            self.put(lit=False)
        finally:
            self._led.close()

    @property
    def _dims(self) -> bool:
        return self._brightness < 1

    def _halt(self) -> None:
        thread, self._thread = self._thread, None
        self._stop.set()
        if thread is not None:
            thread.join()

    def _run(self, pattern: Pattern, stop: threading.Event) -> None:
        # A thread of its own: the light must go on while the loop hangs.
        lit = True
        for seconds in itertools.cycle(pattern):
            if stop.wait(seconds):
                return
            lit = not lit
            try:
                self._write(lit=lit)
            except Exception as error:
                log.warning("an LED does not blink any more: %s", error)
                return

    def _write(self, *, lit: bool) -> None:
        if self._dims:
            duty = self._brightness if lit else 0.0
            if self._led.pin.frequency is None:
                self._led.pin.frequency = FREQUENCY
            self._led.pin.state = duty if self._active_high else 1 - duty
        elif lit:
            self._led.on()
        else:
            self._led.off()
