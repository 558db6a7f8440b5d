"""When a device looks for a new configuration next.

Times are seconds since the machine's start, which the wall clock's jumps do not touch; after
another start they mean nothing, and the device looks at once.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from appliance.provisioning.files import write_whole

FIRST: Final = 60.0
"""Seconds that the wait after the first missing answer grows from: a network that is still coming
up must not cost a quarter of an hour."""

LONGEST: Final = 6 * 3600.0
"""Seconds between two looks at most, however long no server has answered."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Schedule(BaseModel):
    """The next look."""

    boot: str = ""
    due: float = 0.0
    failures: int = 0

    def is_due(self, boot: str, now: float) -> bool:
        """Whether to look now."""
        return boot != self.boot or now >= self.due

    def after(
        self, boot: str, now: float, interval: float, *, answered: bool, rng: random.Random
    ) -> Schedule:
        """The schedule after a look.

        A tenth either way parts devices that were switched on together; without an answer the
        wait doubles from `FIRST` up to `LONGEST`, and varies by half.
        """
        if answered:
            return Schedule(boot=boot, due=now + interval * rng.uniform(0.9, 1.1))
        failures = self.failures + 1
        wait = min(FIRST * 2.0 ** min(failures, 16), max(LONGEST, interval))
        return Schedule(boot=boot, due=now + wait * rng.uniform(0.5, 1.0), failures=failures)


def read_schedule(path: Path) -> Schedule:
    """What was written last; a new one if that cannot be read."""
    try:
        return Schedule.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return Schedule()


def write_schedule(path: Path, schedule: Schedule) -> None:
    """Keep it, for as long as the machine runs.  Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, schedule.model_dump_json().encode(), durable=False)


def uptime() -> float:
    """Seconds since the machine's start, the time asleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """What is another after each start of the machine."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
