"""A pin of gpiozero's mock factory whose driver can break."""

from __future__ import annotations

from collections.abc import Callable

from gpiozero.pins.mock import MockPin


class FaultyPin(MockPin):
    """Where `fault` is set, driving it raises ("raises"), or nothing happens ("stuck").

    `on_level` is told each level that it is driven to, on any thread.
    """

    fault: str | None = None
    on_level: Callable[[bool], None] | None = None

    def _set_state(self, value: bool) -> None:
        if self.fault == "raises":
            raise OSError(5, "Input/output error")
        if self.fault is None:
            super()._set_state(value)
            if self.on_level is not None:
                self.on_level(bool(value))
