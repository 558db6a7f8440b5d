"""No task is lost, none outlives its owner, and what one fails of is said."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import pytest

from appliance.hub.tasks import Tasks
from tests.appliance.hub.hub_client import DEADLINE


class Work:
    """Waits until it may end, and tells how far it came."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.may_end = asyncio.Event()
        self.cancelled = False
        self.done = False

    async def run(self) -> None:
        self.began.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        self.done = True


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]


async def begun(*works: Work) -> None:
    async with asyncio.timeout(DEADLINE):
        for work in works:
            await work.began.wait()


async def test_one_is_kept_while_it_runs_under_its_name() -> None:
    tasks, work = Tasks(), Work()
    task = tasks.start(work.run(), "a name")
    assert (task.get_name(), len(tasks), work.began.is_set()) == ("a name", 1, False)
    await begun(work)
    assert len(tasks) == 1
    work.may_end.set()
    async with asyncio.timeout(DEADLINE):
        await task
    assert (work.done, len(tasks)) == (True, 0)


async def test_what_one_fails_of_is_logged_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        raise ValueError("the disk is full")

    tasks, other = Tasks(), Work()
    tasks.start(other.run(), "the other")
    failing = tasks.start(fail(), "the first")
    async with asyncio.timeout(DEADLINE):
        await asyncio.wait({failing})
    await begun(other)
    assert errors(caplog) == ["the first failed: the disk is full"]
    assert caplog.records[0].exc_info is not None
    assert len(tasks) == 1
    await tasks.close()


async def test_one_that_its_starter_cancels_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tasks, work = Tasks(), Work()
    task = tasks.start(work.run(), "a name")
    await begun(work)
    task.cancel()
    async with asyncio.timeout(DEADLINE):
        await tasks.drain()
    assert (work.cancelled, len(tasks), errors(caplog)) == (True, 0, [])


async def test_to_drain_is_to_wait_also_for_those_that_are_started_meanwhile() -> None:
    tasks, first, second = Tasks(), Work(), Work()

    async def lead() -> None:
        await first.run()
        tasks.start(second.run(), "second")

    tasks.start(lead(), "first")
    await begun(first)
    drained = asyncio.create_task(tasks.drain())
    first.may_end.set()
    await begun(second)
    assert not drained.done()
    second.may_end.set()
    async with asyncio.timeout(DEADLINE):
        await drained
    assert (second.done, len(tasks)) == (True, 0)


async def test_a_drain_that_is_given_up_leaves_them_alone() -> None:
    tasks, work = Tasks(), Work()
    tasks.start(work.run(), "a name")
    await begun(work)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await tasks.drain()
    assert (work.cancelled, len(tasks)) == (False, 1)
    # What is started now still runs.
    work.may_end.set()
    more = Work()
    more.may_end.set()
    tasks.start(more.run(), "more")
    async with asyncio.timeout(DEADLINE):
        await tasks.drain()
    assert (work.done, more.done) == (True, True)


async def test_where_there_is_none_nothing_is_waited_for() -> None:
    tasks = Tasks()
    async with asyncio.timeout(0):
        await tasks.drain()
        await tasks.close()
        await tasks.close()


async def test_to_close_is_to_cancel_and_to_wait_for_what_they_do_at_their_end() -> None:
    tasks, work, farewell = Tasks(), Work(), Work()

    async def careful() -> None:
        try:
            await work.run()
        finally:
            await farewell.run()

    tasks.start(careful(), "careful")
    await begun(work)
    closed = asyncio.create_task(tasks.close())
    await begun(farewell)
    assert work.cancelled
    assert not closed.done()
    farewell.may_end.set()
    async with asyncio.timeout(DEADLINE):
        await closed
    # Once only: its farewell was not cut short.
    assert (farewell.done, farewell.cancelled, len(tasks)) == (True, False, 0)


async def test_what_one_starts_at_its_end_does_not_outlive_the_close() -> None:
    tasks, work, late = Tasks(), Work(), Work()

    async def careful() -> None:
        try:
            await work.run()
        finally:
            tasks.start(late.run(), "late")

    tasks.start(careful(), "careful")
    await begun(work)
    async with asyncio.timeout(DEADLINE):
        await tasks.close()
    assert (late.began.is_set(), len(tasks)) == (False, 0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_of_a_closed_owner_nothing_is_begun(recwarn: pytest.WarningsRecorder) -> None:
    tasks, work = Tasks(), Work()
    await tasks.close()
    task = tasks.start(work.run(), "late")
    async with asyncio.timeout(DEADLINE):
        await asyncio.wait({task})
    assert (task.cancelled(), work.began.is_set(), len(tasks)) == (True, False, 0)
    del task
    # A coroutine that is never run would be one that was forgotten.
    assert [str(one.message) for one in recwarn] == []


async def test_two_may_close_at_once_and_both_wait() -> None:
    tasks, work, farewell = Tasks(), Work(), Work()

    async def careful() -> None:
        try:
            await work.run()
        finally:
            # A second cancellation, as two closers send, ends this wait and not the work.
            while not farewell.may_end.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await farewell.run()

    tasks.start(careful(), "careful")
    await begun(work)
    closes = [asyncio.create_task(tasks.close()) for _ in range(2)]
    await begun(farewell)
    assert not any(one.done() for one in closes)
    farewell.may_end.set()
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(*closes)
    assert len(tasks) == 0


async def test_a_failure_at_the_close_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    tasks, work = Tasks(), Work()

    async def clumsy() -> None:
        try:
            await work.run()
        finally:
            raise OSError("it does not close")

    tasks.start(clumsy(), "clumsy")
    await begun(work)
    async with asyncio.timeout(DEADLINE):
        await tasks.close()
    assert errors(caplog) == ["clumsy failed: it does not close"]


async def test_a_close_that_is_cancelled_has_still_cancelled_all() -> None:
    tasks, works = Tasks(), [Work() for _ in range(3)]
    for number, work in enumerate(works):
        tasks.start(work.run(), f"work {number}")
    await begun(*works)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await tasks.close()
    async with asyncio.timeout(DEADLINE):
        await tasks.drain()
    assert all(work.cancelled for work in works)
