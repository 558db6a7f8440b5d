"""Telling a long press of a push button from a short one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from hal.controls import Button, Controls


class LongPress:
    """One button, on whichever of several controls it is pressed.  Lives on the loop.

    `on_long` is called once a press has lasted `seconds`, while the button is still down, with
    the value that was given to `begin`.
    """

    def __init__(self, button: Button, seconds: float, on_long: Callable[[bool], None]) -> None:
        self._button: Final = button
        self._seconds: Final = seconds
        self._on_long: Final = on_long
        self._held: dict[Controls, tuple[asyncio.TimerHandle, bool]] = {}

    def begin(self, part: Controls, pending: bool) -> None:
        """The button of `part` went down; `pending` is whether its act waits for the release."""
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._seconds, self._expire, part)
        self._held[part] = (timer, pending)

    def end(self, part: Controls) -> bool:
        """It came up.  Whether that ends a short press whose act has waited; what was pulled
        while it was held was not let go by anybody."""
        timer, pending = self._held.pop(part, (None, False))
        if timer is not None:
            timer.cancel()
        return pending and part.present

    def forget(self) -> None:
        """The controls are closed: whatever is held means nothing any more."""
        for timer, _ in self._held.values():
            timer.cancel()
        self._held.clear()

    def _expire(self, part: Controls) -> None:
        _, pending = self._held.pop(part)
        if part.present and part.pressed(self._button):
            self._on_long(pending)
