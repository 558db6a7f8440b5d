"""Processes that end with the one that started them, however that ends."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from appliance.service.errors import DemoFailed

log = logging.getLogger(__name__)

PARENT: Final = "ROOMLET_PARENT"
"""Environment variable with the id of the process that a child must not outlive."""

PATIENCE: Final = 5.0
"""Seconds between the polite signal and the one that cannot be refused."""

_PR_SET_PDEATHSIG: Final = 1


def end_with_parent() -> None:
    """Be ended together with the parent named in the environment, if one is.

    To be called by a child as early as it can; a parent that is gone by then ends it at once.
    """
    parent = os.environ.pop(PARENT, "")
    if not parent.isdecimal():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        log.warning(
            "the end of the parent will not be heard of: %s", os.strerror(ctypes.get_errno())
        )
    if os.getppid() != int(parent):
        sys.exit(0)


class Child:
    """One `roomlet` command in a process and a process group of its own.

    Its words go to `log_path`, what it has to remember into a folder beside that; the first line on
    its standard output says that it is ready.
    """

    def __init__(self, name: str, arguments: Sequence[str], log_path: Path) -> None:
        self.name: Final = name
        self.log_path: Final = log_path
        self._state = str(log_path.with_suffix(".state"))
        self._arguments = tuple(arguments)
        self._process: asyncio.subprocess.Process | None = None
        self._drain: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The process; only after `start`."""
        assert self._process is not None, "the child is not started"
        return self._process.pid

    async def start(self, timeout: float) -> str:
        """Start it and return its first line.

        Raises DemoFailed when it ends before, or says nothing for `timeout` seconds.
        """
        with self.log_path.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "appliance",
                *self._arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
                # What a device remembers is no other one's, and no user's own.
                env={**os.environ, PARENT: str(os.getpid()), "STATE_DIRECTORY": self._state},
            )
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(timeout):
                line = (await self._process.stdout.readline()).decode(errors="replace").strip()
        except TimeoutError:
            raise DemoFailed(
                f"{self.name} was not ready within {timeout:.0f} s; see {self.log_path}"
            ) from None
        if not line:
            await self._process.wait()
            raise DemoFailed(f"{self.name} did not start: {self.last_words()}")
        self._drain = asyncio.create_task(self._keep(self._process.stdout), name=self.name)
        return line

    async def wait(self) -> None:
        """Wait until it ends by itself, which it should not.  Raises DemoFailed then."""
        assert self._process is not None, "the child is not started"
        await self._process.wait()
        raise DemoFailed(f"{self.name} has ended by itself: {self.last_words()}")

    async def stop(self) -> None:
        """End it and its group: politely, then for certain.  Safe to call twice."""
        process = self._process
        if process is None:
            return
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(PATIENCE):
                await process.wait()
        except TimeoutError:
            log.warning("%s does not end by itself; it is killed", self.name)
        finally:
            # The group may hold more than its leader.
            self._signal(signal.SIGKILL)
        await process.wait()
        if self._drain is not None:
            await self._drain

    def last_words(self) -> str:
        """The last line of its log."""
        try:
            lines = self.log_path.read_text(errors="replace").split("\n")
        except OSError:
            lines = []
        return next((line for line in reversed(lines) if line.strip()), "it said nothing")

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        # Gone already, the better.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    async def _keep(self, stream: asyncio.StreamReader) -> None:
        with self.log_path.open("ab") as file:
            while line := await stream.readline():
                file.write(line)
                file.flush()
