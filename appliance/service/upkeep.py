"""Updates and restarts of the machine, which wait until nobody would miss the device.

Who wants to update holds a lock (`flock`) on one file.  The device lets it begin by its state
`updating`: then it is out of its room, and stays out until the lock is free again.  A lock goes
with the process that holds it, so an updater that is killed keeps no device from its room.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from appliance.provisioning.config import UpdatesConfig
from appliance.service import state_file
from appliance.service.errors import ServiceError
from appliance.service.hours import within
from hal.controls import Status

log = logging.getLogger(__name__)

LOCK: Final = Path("/run/roomlet-updating")
"""The file; tmpfiles.d makes it."""

REST: Final = 60.0
"""Seconds alone in its room, or on the way there, after which nobody would miss the device."""


class RebootRefused(ServiceError):
    """The configuration lets nobody restart the machine."""


class Upkeep:
    """What a device does about updates.  Lives on the loop."""

    def __init__(self, config: UpdatesConfig, lock: Path = LOCK) -> None:
        self.config = config
        self.granted = False
        """Whether an update is under way."""
        self._lock = lock

    def look(self, wall: dt.datetime, *, resting: bool) -> bool:
        """Whether the device stays out of its room for an update, at the local time `wall`.

        One begins within its hours and while the device is `resting`; then it takes its time.
        """
        if not self._is_wanted():
            ended, self.granted = self.granted, False
            if ended:
                log.info("the update is over")
        elif not self.granted and resting and self._in_window(wall.time()):
            self.granted = True
            log.info("an update begins")
        return self.granted

    def _in_window(self, at: dt.time) -> bool:
        begin, end = self.config.window_from, self.config.window_until
        return begin is None or end is None or within(at, begin, end)

    def _is_wanted(self) -> bool:
        try:
            with self._lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            pass  # no file, no updater
        return False


@contextlib.contextmanager
def wish(lock: Path = LOCK) -> Iterator[int]:
    """Wish for an update for as long as this lasts, or a process has the descriptor that it gives;
    waits for other updaters.  Raises OSError."""
    with lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def may_begin(folder: Path, *, reboot: bool = False) -> bool:
    """Whether the device whose runtime directory that is lets the update begin that is wished for.

    One that does not run lets anything begin.  Raises RebootRefused for a restart that it never
    allows.
    """
    found = state_file.read(folder / state_file.NAME)
    if not _is_alive(found.get("pid")):
        return True
    if reboot and found.get("reboot") == "never":
        raise RebootRefused("this device is not restarted; set updates.reboot to when_idle")
    return bool(found.get("status") == Status.UPDATING.value)


def _is_alive(pid: Any) -> bool:
    if not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's, and there
    return True
