from __future__ import annotations

import asyncio
import threading

import pytest

from appliance.service.doctor.check import (
    Check,
    Finding,
    Verdict,
    examine,
    ok,
    on_thread,
)
from hal.errors import DeviceBusy, DeviceNotFound

DEADLINE = 30.0


async def found(error: Exception, *, in_service: bool = False) -> Finding:
    async def look() -> Finding:
        raise error

    outcome = await examine(Check("camera", look), in_service=in_service)
    assert outcome.name == "camera"
    return outcome.finding


async def test_an_error_of_ours_is_a_failure_with_its_remedy() -> None:
    finding = await found(DeviceNotFound("camera 7 is not there (gone; away); plug it in"))
    assert finding == Finding(Verdict.FAIL, "camera 7 is not there (gone; away)", "plug it in")


async def test_a_long_reason_does_not_cost_the_remedy() -> None:
    finding = await found(DeviceNotFound(f"none of {'these, ' * 200} is there; plug one in"))
    assert finding.text.startswith("none of these, ")
    assert len(finding.text) < 400
    assert finding.remedy == "plug one in"


async def test_a_check_that_breaks_off_is_one_line() -> None:
    finding = await found(RuntimeError("one\ntwo"))
    assert finding.verdict is Verdict.FAIL
    assert finding.text == "the check itself broke off (RuntimeError: one two)"


async def test_what_the_service_uses_is_not_broken() -> None:
    busy = DeviceBusy("camera 7 is in use by another program; stop that program")
    assert (await found(busy)).verdict is Verdict.FAIL
    used = await found(busy, in_service=True)
    assert (used.verdict, used.text) == (Verdict.SKIPPED, "in use by the running service")


async def test_a_check_is_given_up_at_its_deadline_though_its_driver_hangs() -> None:
    release, told = threading.Event(), threading.Event()

    def hang(stop: threading.Event) -> Finding:
        # As a driver in the kernel: it hears nothing.
        release.wait(DEADLINE)
        if stop.is_set():
            told.set()
        return ok("late")

    outcome = await examine(Check("camera", lambda: on_thread(hang), deadline=0.2))
    assert outcome.failed
    assert outcome.finding.text == "gave no answer within 0.2 s"
    # What it gives too late disturbs nobody.
    release.set()
    assert await asyncio.to_thread(told.wait, DEADLINE)


async def test_a_timeout_within_is_not_that_of_the_check() -> None:
    finding = await found(TimeoutError("of its own"))
    assert "broke off (TimeoutError: of its own)" in finding.text


async def test_work_on_a_thread_gives_its_result_or_its_error() -> None:
    assert await on_thread(lambda stop: stop.is_set()) is False

    def broken(_: threading.Event) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await on_thread(broken)
