"""Real-time priority for the thread that feeds or empties a card."""

from __future__ import annotations

import logging
import os
import threading

log = logging.getLogger(__name__)


class Priority:
    """Puts one thread before all that has no such priority, and back.

    Users need leave for it (RLIMIT_RTPRIO); without, the thread stays as it is and only the
    log at level debug says so.  Children that the thread starts do not inherit it.  A thread
    that has such a priority already keeps what it has.
    """

    def __init__(self, level: int) -> None:
        """`level` of SCHED_FIFO, 1 to 99; 0 leaves every thread as it is."""
        self.level = level
        self.granted = False
        """Whether a thread has the priority now."""
        self._thread: int | None = None
        self._before: tuple[int, os.sched_param] | None = None

    def take(self) -> None:
        """Raise the calling thread.  Quick when it is raised, or was refused, before."""
        thread = threading.get_native_id()
        if self.level == 0 or thread == self._thread:
            return
        self.release()
        self._thread = thread
        try:
            before = (os.sched_getscheduler(0), os.sched_getparam(0))
            if before[0] & ~os.SCHED_RESET_ON_FORK in (os.SCHED_FIFO, os.SCHED_RR):
                self.granted = True
                return
            policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
            os.sched_setscheduler(0, policy, os.sched_param(self.level))
        except OSError as error:
            log.debug("no real-time priority for thread %d: %s", thread, error)
            return
        self._before = before
        self.granted = True

    def release(self) -> None:
        """Put the raised thread back.  From any thread; safe to call twice."""
        thread, self._thread = self._thread, None
        before, self._before = self._before, None
        self.granted = False
        if thread is None or before is None:
            return
        try:
            # A thread without leave could not undo this flag, nor does it matter to it.
            os.sched_setscheduler(thread, before[0] | os.SCHED_RESET_ON_FORK, before[1])
        except OSError as error:
            log.debug("thread %d has gone with its priority: %s", thread, error)
