"""What a process costs."""

from __future__ import annotations

import os
import time
from typing import Final

import psutil  # type: ignore[import-untyped]


class Usage:
    """CPU and memory of one process, since this object was made."""

    def __init__(self, pid: int | None = None) -> None:
        """`pid` defaults to this process.  Raises psutil.NoSuchProcess."""
        self._process: Final = psutil.Process(os.getpid() if pid is None else pid)
        self._began = time.monotonic()
        self._before = self._seconds()

    @property
    def cpu_percent(self) -> float:
        """User and system time of all threads, in percent of one core."""
        passed = max(time.monotonic() - self._began, 1e-3)
        return 100 * (self._seconds() - self._before) / passed

    @property
    def rss_mib(self) -> float:
        """Resident memory now, in MiB."""
        return float(self._process.memory_info().rss) / 2**20

    def reset(self) -> None:
        """Count from now on."""
        self._began = time.monotonic()
        self._before = self._seconds()

    def _seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)
