"""Reads a calendar in a process of its own, with bounds on its time and memory.

A rule of recurrence is a small program: one that never comes to an end would hold a thread, and
Python's lock with it, for ever.  A process can be ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from appliance.service.calendar.meeting import Meeting
from appliance.service.errors import ServiceError

CPU_S: Final = 20
"""Seconds of processor time, whatever is in the calendar."""

WALL_S: Final = 60.0
"""Seconds until it is ended, on a machine with other work."""

MEMORY: Final = 512 * 1024 * 1024
"""Bytes of address space."""


class CalendarError(ServiceError):
    """There is no agenda to be had from the calendar now."""


async def read(
    data: bytes, begin: dt.datetime, end: dt.datetime, zone: str | None, address: str | None = None
) -> tuple[tuple[Meeting, ...], int]:
    """As `agenda.read_agenda`: the meetings, and how many events were passed over.

    `zone` is a name of the IANA's, None for this machine's own zone.  Raises CalendarError.
    """
    times = {"begin": begin.isoformat(), "end": end.isoformat()}
    head = {**times, "zone": zone, "address": address}
    answer = await _run(head, data)
    return tuple(Meeting.from_json(one) for one in answer["meetings"]), answer["skipped"]


async def shortened(data: bytes, key: str, until: dt.datetime) -> bytes | None:
    """As `release.shorten`, in this machine's zone.  Raises CalendarError."""
    head = {"key": key, "until": until.isoformat(timespec="seconds"), "zone": None}
    text: str | None = (await _run(head, data))["text"]
    return None if text is None else text.encode()


async def _run(head: dict[str, Any], data: bytes) -> dict[str, Any]:
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            # Nothing that lies in the working directory is imported.
            "-P",
            "-m",
            __name__,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CalendarError(
            f"the calendar cannot be read: no process for it can be started ({reason})"
        ) from None
    try:
        async with asyncio.timeout(WALL_S):
            out, _ = await process.communicate(json.dumps(head).encode() + b"\n" + data)
    except TimeoutError:
        raise CalendarError(_TOO_MUCH) from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    try:
        answer: dict[str, Any] = json.loads(out)
    except ValueError:
        # Ended from outside, most likely by its limits.
        raise CalendarError(_TOO_MUCH) from None
    if answer["error"]:
        raise CalendarError(f"the calendar cannot be read: {answer['error']}; check calendar.url")
    return answer


_TOO_MUCH: Final = (
    "the calendar cannot be read: it takes too much time or memory;"
    " look for events that repeat without end"
)


def local_zone() -> dt.tzinfo:
    """This machine's zone, with its rules: an offset alone would be wrong after the next change."""
    try:
        with Path("/etc/localtime").open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return dt.UTC


def _main() -> None:
    try:
        print(json.dumps({"error": ""} | _answer()))
    except MemoryError:
        sys.exit(1)
    except Exception as error:
        from appliance.service.calendar.agenda import NoCalendar

        # Anything else is what nobody thought of.
        known = isinstance(error, NoCalendar)
        text = (
            str(error) if known else f"there is something unheard of in it ({type(error).__name__})"
        )
        print(json.dumps({"error": text}))


@contextlib.contextmanager
def _bounded(seconds: float) -> Iterator[None]:
    """See `agenda.Bounded`; on the main thread."""
    from appliance.service.calendar.agenda import Endless

    def end(*_: object) -> None:
        raise Endless

    signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _answer() -> dict[str, Any]:
    with contextlib.suppress(OSError):
        # Behind sound and picture in all that is scarce.
        os.nice(10)
        Path("/proc/self/oom_score_adj").write_text("800")
    for limit, value in (
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    # Only here: a device without a calendar never loads the libraries.
    from appliance.service.calendar.agenda import read_agenda

    head = json.loads(sys.stdin.buffer.readline())
    data = sys.stdin.buffer.read()
    zone = local_zone() if head["zone"] is None else ZoneInfo(head["zone"])
    if "key" in head:
        from appliance.service.calendar.release import shorten

        text = shorten(data, head["key"], dt.datetime.fromisoformat(head["until"]), zone)
        return {"text": None if text is None else text.decode()}
    begin, end = (dt.datetime.fromisoformat(head[name]) for name in ("begin", "end"))
    reading = read_agenda(data, begin, end, zone, head["address"], bounded=_bounded)
    meetings = [one.to_json() for one in reading.meetings]
    return {"meetings": meetings, "skipped": reading.skipped}


if __name__ == "__main__":
    _main()
