"""Updates and restarts of the machine, which wait until nobody would miss the device.

Who wants to update holds a lock (`flock`) on one file.  The device lets it begin by its state
`updating`: then it is out of its room, and stays out until the lock is free again, but no longer
than LONGEST.  A lock goes with the process that holds it, so one that is killed keeps no device
from its room.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from appliance.provisioning.config import UpdatesConfig
from appliance.service import state_file
from appliance.service.errors import ServiceError
from appliance.service.hours import within
from appliance.service.journal import Message
from hal.controls import Status

log = logging.getLogger(__name__)

LOCK: Final = Path("/run/roomlet-updating")
"""The file; tmpfiles.d makes it."""

REST: Final = 60.0
"""Seconds after the last use of a device until nobody would miss it."""

GONE: Final = 90.0
"""Seconds in which a service that ended comes back, if it does; its unit waits 15 s at the most."""


LONGEST: Final = 2 * 3600.0
"""Seconds that an update may take.  After them the device comes back, whoever holds the lock: one
that hangs must not cost people their room for days."""


class NoLock(ServiceError, FileNotFoundError):
    """Nobody has made the file of the lock."""


class RebootRefused(ServiceError):
    """The configuration lets nobody restart the machine."""


class Upkeep:
    """What a device does about updates.  Lives on the loop."""

    def __init__(
        self,
        config: UpdatesConfig,
        lock: Path = LOCK,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self.granted = False
        """Whether an update is under way."""
        self._lock = lock
        self._clock = clock
        self._used = -math.inf
        self._began = 0.0
        self._overdue = self._locked_out = False
        self._late = (
            f"an update has not ended within {LONGEST / 3600:.0f} h, and the device waits for it no"
            f" longer; look with lslocks who holds {lock}, and end it"
        )
        self._remark: Callable[[str | None], None] = lambda text: None

    def tell(self, remark: Callable[[str | None], None]) -> None:
        """Let this know what is wrong with an update, now and with each change; None if nothing."""
        self._remark = remark
        self._tell()

    def _tell(self) -> None:
        self._remark(self._late if self._overdue else None)

    def use(self) -> None:
        """Somebody has use of the device now."""
        self._used = self._clock()

    def resume(self, was: str) -> None:
        """Go on where a device stopped whose status was this one; empty for none.

        An update that restarts the service goes on.  Who was in a call comes back to it, and no
        update that waits may be there first.
        """
        if was == Status.UPDATING.value:
            self._grant()
        elif was:
            self.use()

    def look(self, wall: dt.datetime, *, in_use: bool) -> bool:
        """Whether the device stays out of its room for an update, at the local time `wall`.

        One begins within its hours, once the device has not been `in_use` for REST; then it takes
        its time, but for LONGEST at the most.
        """
        if in_use:
            self.use()
        resting = self._clock() - self._used >= REST
        if not self._is_wanted():
            ended = self.granted or self._overdue
            self.granted = self._overdue = False
            if ended:
                log.info("the update is over", extra=Message.UPDATE.extra)
                self._tell()
        elif self._overdue:
            pass
        elif self.granted and self._clock() - self._began >= LONGEST:
            self.granted, self._overdue = False, True
            log.error("%s", self._late, extra=Message.UPDATE.extra)
            self._tell()
        elif not self.granted and resting and self._in_window(wall.time()):
            self._grant()
            log.info("an update begins", extra=Message.UPDATE.extra)
        return self.granted

    def _grant(self) -> None:
        self.granted, self._began = True, self._clock()

    def _in_window(self, at: dt.time) -> bool:
        begin, end = self.config.window_from, self.config.window_until
        return begin is None or end is None or within(at, begin, end)

    def _is_wanted(self) -> bool:
        try:
            with self._lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except PermissionError as error:
            # Once: this is asked every second.
            if not self._locked_out:
                self._locked_out = True
                log.warning("%s: %s; no update can begin", self._lock, error.strerror)
        except OSError:
            pass  # no file, no updater
        return False


@contextlib.contextmanager
def wish(lock: Path = LOCK) -> Iterator[None]:
    """Wish for an update for as long as this lasts and this process lives; waits for other
    updaters.  No program that is run meanwhile has the lock: what an updater leaves running would
    hold it on.  Raises NoLock and OSError."""
    try:
        # Closed in whatever this process runs, as all that Python opens.
        file = lock.open("rb")
    except FileNotFoundError:
        raise NoLock(
            f"{lock} is not there, by which device and updater agree;"
            " run: systemd-tmpfiles --create roomlet.conf"
        ) from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Leave:
    """The leave to update a machine, of the device whose runtime directory that is.

    One that does not run gives it at once; one that has only ended, and is about to be begun anew,
    after `GONE`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        reboot: Callable[[], str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """With `reboot` it is one to restart the machine, and that tells what the configuration
        in force says of it, for where no device runs to say so."""
        self._file = folder / state_file.NAME
        self._reboot = reboot
        self._clock = clock
        self._gone_since: float | None = None

    def given(self) -> bool:
        """Whether the update may begin that is wished for.  Raises RebootRefused for a restart
        that is never allowed, and what `reboot` raises."""
        found = state_file.read(self._file)
        alive = bool(found) and _is_alive(found.get("pid"))
        if self._reboot is not None and "never" in (
            found.get("reboot"),
            None if alive else self._reboot(),
        ):
            raise RebootRefused("this device is not restarted; set updates.reboot to when_idle")
        if not found:
            return True
        if alive:
            self._gone_since = None
            return bool(found.get("status") == Status.UPDATING.value)
        if self._gone_since is None:
            self._gone_since = self._clock()
        return self._clock() - self._gone_since >= GONE


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
