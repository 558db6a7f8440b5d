"""One thing that is tried, and what was found."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from appliance.media.errors import MediaError
from appliance.provisioning.errors import ConfigError, ProvisioningError
from appliance.room import RoomError
from appliance.service.errors import ServiceError
from appliance.signaling.errors import SignalingError, one_line
from hal.errors import DeviceBusy, HalError

log = logging.getLogger(__name__)

T = TypeVar("T")

_KNOWN = (HalError, SignalingError, RoomError, MediaError, ServiceError, ProvisioningError)
"""Errors whose text is one line with cause and remedy."""


class Verdict(Enum):
    """How it stands with one thing."""

    OK = "ok"
    WARN = "warn"
    """It works, and something about it should be seen to."""
    FAIL = "fail"
    SKIPPED = "skipped"
    """It was not tried; the text says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict, what was seen, and what to do about it; each text is one line."""

    verdict: Verdict
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """Something to try.  `look` is given up after `deadline` seconds."""

    name: str
    look: Callable[[], Awaitable[Finding]]
    deadline: float = 15.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check found, and in how many seconds."""

    name: str
    finding: Finding
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether it does not work."""
        return self.finding.verdict is Verdict.FAIL

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "name": self.name,
            "verdict": self.finding.verdict.value,
            "text": self.finding.text,
            "remedy": self.finding.remedy,
            "seconds": round(self.seconds, 2),
        }


def ok(text: str) -> Finding:
    """All is well."""
    return Finding(Verdict.OK, text)


def warn(text: str, remedy: str) -> Finding:
    """It works so far."""
    return Finding(Verdict.WARN, text, remedy)


def fail(text: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(Verdict.FAIL, text, remedy)


def skipped(text: str, remedy: str = "") -> Finding:
    """It was not tried."""
    return Finding(Verdict.SKIPPED, text, remedy)


def failure(error: Exception) -> Finding:
    """An error of ours, whose text is `what; remedy`."""
    what, _, remedy = str(error).rpartition("; ")
    if not what:
        what, remedy = remedy, "see docs/troubleshooting.md"
    # Each for itself: a long reason is cut off, and not what there is to do.
    return fail(one_line(what), one_line(remedy))


async def examine(check: Check, *, in_service: bool = False) -> Outcome:
    """Try one thing.  Whatever happens is an outcome.

    With `in_service`, a device that is in use is used by the service, as it should be.
    """
    began = time.monotonic()
    patience = asyncio.timeout(check.deadline)
    try:
        async with patience:
            finding = await check.look()
    except DeviceBusy as error:
        finding = failure(error)
        if in_service:
            finding = skipped("in use by the running service", "systemctl stop roomlet, to try it")
    except (*_KNOWN, ConfigError) as error:
        finding = failure(error)
    except Exception as error:
        if patience.expired():
            finding = fail(f"gave no answer within {check.deadline:g} s", _hung(check.name))
        else:
            log.debug("the check %s has failed", check.name, exc_info=True)
            why = one_line(f"{type(error).__name__}: {error}").rstrip(": ")
            finding = fail(f"the check itself broke off ({why})", "run roomlet --debug doctor")
    return Outcome(check.name, finding, time.monotonic() - began)


def _hung(name: str) -> str:
    return f"something below {name} hangs: try again, then restart the machine"


async def on_thread(work: Callable[[threading.Event], T]) -> T:
    """Do blocking `work` on a thread of its own, and wait for it.

    Cancelled, it sets the event that `work` was given and waits no longer: a driver may hang
    for ever, and must hold up neither the other checks nor the end of the process.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    stop = threading.Event()

    def finish(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failed = None, None
        try:
            result = work(stop)
        except BaseException as error:
            failed = error
        # The one place where the thread crosses to the loop, which may have ended meanwhile.
        try:
            loop.call_soon_threadsafe(finish, result, failed)
        except RuntimeError:
            log.debug("a check has ended too late", exc_info=failed)

    threading.Thread(target=run, name="doctor", daemon=True).start()
    try:
        return await done
    finally:
        stop.set()
