"""Whether a new configuration leads to a working device.  Pure: no clock, no files, no tasks.

A configuration has the whole of its time to come up, and must be well at the end of it: joined, or
idle where it is meant to be, and its devices open.  What is plainly broken need not be waited for.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

STARTS: Final = 3
"""Starts of the service within one probation; one more, and it is the configuration that kills
it.  A power cut or two are forgiven."""


@dataclass(frozen=True, slots=True)
class Health:
    """How the device is, as the service sees it."""

    well: bool
    """In its room, or idle where the configuration says so, and its devices are open."""
    reason: str = ""
    """What is amiss, for people."""
    hopeless: bool = False
    """It will not become well: a configuration that the hardware or the room cannot take."""


class Verdict(Enum):
    """What is to be done with the configuration."""

    WAIT = "wait"
    KEEP = "keep"
    ROLL_BACK = "roll back"


class Probation:
    """One configuration on trial.

    `now` is in seconds of any clock that does not jump; `duration` is in seconds.
    """

    def __init__(self, *, now: float, duration: float = 90.0, starts: int = 1) -> None:
        self.deadline: Final = now + duration
        self.duration: Final = duration
        self.reason = ""
        """Why it failed, for people; empty until it has."""
        self._verdict = Verdict.WAIT
        if starts > STARTS:
            self._fail(f"the service ended {starts - 1} times with it")

    @property
    def verdict(self) -> Verdict:
        """The last word so far; it does not change once it is not WAIT."""
        return self._verdict

    def observe(self, health: Health, now: float) -> Verdict:
        """Take note of the device's health; to be called when it changes, and at `deadline`."""
        if self._verdict is not Verdict.WAIT:
            return self._verdict
        if health.hopeless:
            self._fail(health.reason or "the device cannot work with it")
        elif now >= self.deadline:
            if health.well:
                self._verdict = Verdict.KEEP
            else:
                reason = health.reason or "the device is not well"
                self._fail(f"after {self.duration:.0f} s: {reason}")
        return self._verdict

    def _fail(self, reason: str) -> None:
        self.reason, self._verdict = reason, Verdict.ROLL_BACK
