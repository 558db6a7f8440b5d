"""Debouncing as a state machine without clock or pins.

The first edge after a quiet time acts at once.  Then comes a lock-out, in which edges are
ignored; at its end the level is read again, so that a contact that bounced, was held or
was let go meanwhile never leaves a wrong state.  A level that turns out different counts
as an edge and begins a lock-out of its own.
"""

from __future__ import annotations


class Debounce:
    """One contact.  All times are seconds of one clock that never goes back."""

    def __init__(self, level: bool, lockout: float) -> None:
        """`level` is the contact's state now; `lockout` is 0 or more."""
        self.level = level
        """The level that was last reported."""

        self.recheck_at: float | None = None
        """When `settle` is to be called with the level read anew; None: not at all."""

        self._lockout = lockout

    def edge(self, level: bool, now: float) -> bool:
        """An edge to `level` was seen.  Returns whether `level` is to be reported now."""
        if self.recheck_at is not None:
            return False
        # An edge to the level that we know means that one was missed; look again.
        self.recheck_at = now + self._lockout
        changed = level != self.level
        self.level = level
        return changed

    def settle(self, level: bool, now: float) -> bool:
        """The level was read at or after `recheck_at`.  Returns whether to report it."""
        if self.recheck_at is None or now < self.recheck_at:
            return False
        self.recheck_at = None
        return level != self.level and self.edge(level, now)
