"""One SQLite database, and the thread that alone touches it.

The loop never waits for the disk: who needs an answer awaits it, and what only has to be kept is
noted, in order, and written when its turn comes. A note that cannot be written is lost, and said
once; nothing that goes on in a room depends on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from appliance.hub.errors import DataError, StoreError
from appliance.hub.migrations import migrate

__all__ = ["Database"]

log = logging.getLogger(__name__)

T = TypeVar("T")

PENDING_MAX: Final = 10_000
"""Notes that may wait for a slow disk; what comes beyond is lost."""

BUSY_TIMEOUT: Final = 5.0
"""Seconds to wait for another program, such as a backup, that holds the database."""

Work = Callable[[sqlite3.Connection], T]


class Database:
    """A database file. `open` comes first, `close` last; all else in between."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self._executor: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        self._lock_file: int | None = None
        self._guard = threading.Lock()
        self._pending = 0
        self._lost = 0
        # On the database's thread only.
        self._failing = False

    async def open(self) -> None:
        """Open the file, made now if need be, and bring its tables up to date. Raises DataError."""
        self._lock_file = _lock(self.path)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="hub store")
        try:
            await self._run(self._connect)
        except DataError:
            await self.close()
            raise
        except (sqlite3.Error, OSError) as error:
            await self.close()
            raise _data_error(self.path, error) from error

    async def close(self) -> None:
        """Write what is noted, and close the file. Safe to call twice, or without open()."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.submit(self._disconnect)
            await asyncio.to_thread(executor.shutdown)
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    async def read(self, work: Work[T]) -> T:
        """What `work` finds; all notes that came before are in it. Raises StoreError."""
        return await self._do(work)

    async def change(self, work: Work[T]) -> T:
        """Do `work` whole or not at all, and give what it returns. It is on the disk by then.

        Raises StoreError.
        """

        def whole(connection: sqlite3.Connection) -> T:
            with _transaction(connection):
                return work(connection)

        return await self._do(whole)

    def note(self, work: Work[object]) -> None:
        """Do `work` whole or not at all, as soon as its turn comes. Never fails, never waits."""
        executor = self._executor
        with self._guard:
            if executor is None or self._pending >= PENDING_MAX:
                self._lost += 1
                return
            self._pending += 1
        executor.submit(self._noted, work)

    async def _do(self, work: Work[T]) -> T:
        try:
            return await self._run(lambda: work(self._opened))
        except sqlite3.Error as error:
            raise StoreError(_sentence(self.path, error)) from error

    async def _run(self, work: Callable[[], T]) -> T:
        if self._executor is None:
            raise StoreError(f"{self.path} is closed")
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    # On the database's thread

    @property
    def _opened(self) -> sqlite3.Connection:
        assert self._connection is not None, "the database is not open"
        return self._connection

    def _connect(self) -> None:
        # SQLite gives its other files the rights of this one.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT, isolation_level=None)
        self._connection = connection
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        # What is said to be kept is kept, also when the power fails. Only this thread waits.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        migrate(connection, self.path)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _noted(self, work: Work[object]) -> None:
        with self._guard:
            self._pending -= 1
            lost, self._lost = self._lost, 0
        if lost:
            log.warning("%s is too slow: %d changes are not kept", self.path, lost)
        try:
            with _transaction(self._opened):
                work(self._opened)
        except sqlite3.Error as error:
            if not self._failing:
                self._failing = True
                text = "%s; the rooms go on, but what happens in them is not kept"
                log.warning(text, _sentence(self.path, error))
        except Exception:
            log.exception("a change was not kept in %s", self.path)
        else:
            if self._failing:
                self._failing = False
                log.warning("%s can be written again", self.path)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A failed COMMIT, of a full disk for one, has often rolled back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _lock(path: Path) -> int:
    """Make sure that no other hub works on the same database. Raises DataError."""
    try:
        descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _data_error(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DataError(
            f"another hub uses the data directory {path.parent}; end it,"
            " or choose another with --data"
        ) from None
    except OSError as error:
        # A file system without locks; there the operator has to take care.
        log.info("%s cannot be locked: %s", path, error.strerror)
    return descriptor


def _sentence(path: Path, error: sqlite3.Error) -> str:
    """What is wrong with the database, in one line, with the remedy."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    remedies = {
        sqlite3.SQLITE_FULL: f"the disk of {path} is full; free some space",
        sqlite3.SQLITE_READONLY: f"{path} cannot be written; mend its rights",
        sqlite3.SQLITE_CANTOPEN: f"{path} cannot be opened; mend its rights",
        sqlite3.SQLITE_PERM: f"{path} cannot be opened; mend its rights",
        sqlite3.SQLITE_BUSY: f"another program holds {path}; end it",
        sqlite3.SQLITE_LOCKED: f"another program holds {path}; end it",
        sqlite3.SQLITE_IOERR: f"the disk of {path} fails to read or write; look at the disk",
        sqlite3.SQLITE_CORRUPT: f"{path} is damaged; restore it, or move it away for a new one",
        sqlite3.SQLITE_NOTADB: f"{path} is no database; restore it, or move it away for a new one",
    }
    return remedies.get(code, f"{path} cannot be used ({' '.join(str(error).split())})")


def _data_error(path: Path, error: sqlite3.Error | OSError) -> DataError:
    if isinstance(error, sqlite3.Error):
        return DataError(_sentence(path, error))
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataError(f"the disk of {path} is full; free some space")
    reason = (error.strerror or "cannot be used").lower()
    return DataError(f"{path}: {reason}; mend it, or choose another directory with --data")
