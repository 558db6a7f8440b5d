"""Who waits is woken by news of any thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from appliance.service.wake import Wake
from tests.appliance.service.conftest import DEADLINE


class Source:
    """Tells its news to whoever has subscribed."""

    def __init__(self) -> None:
        self.observers: list[Callable[[], None]] = []

    def subscribe(self, observer: Callable[[], None]) -> Callable[[], None]:
        self.observers.append(observer)
        return lambda: self.observers.remove(observer)

    def tell(self) -> None:
        for observer in self.observers:
            observer()


async def test_news_of_another_thread_wake() -> None:
    source = Source()
    with Wake(source.subscribe) as wake:
        waiting = asyncio.create_task(wake.wait())
        await asyncio.sleep(0)
        thread = threading.Thread(target=source.tell)
        thread.start()
        async with asyncio.timeout(DEADLINE):
            await waiting
        thread.join()
    assert source.observers == []


async def test_news_while_one_is_busy_are_not_lost_and_wake_once() -> None:
    source = Source()
    with Wake(source.subscribe) as wake:
        source.tell()
        source.tell()
        async with asyncio.timeout(DEADLINE):
            await wake.wait()
        waiting = asyncio.create_task(wake.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        source.tell()
        async with asyncio.timeout(DEADLINE):
            await waiting


async def test_without_news_it_waits_no_longer_than_it_is_told() -> None:
    source = Source()
    with Wake(source.subscribe) as wake:
        async with asyncio.timeout(DEADLINE):
            await wake.wait(0.01)
            await wake.wait(-1.0)


async def test_it_ends_its_subscription_with_a_task_that_is_cancelled() -> None:
    source = Source()
    inside = asyncio.Event()

    async def watch() -> None:
        with Wake(source.subscribe) as wake:
            inside.set()
            await wake.wait()

    task = asyncio.create_task(watch())
    await inside.wait()
    assert len(source.observers) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.observers == []


def test_news_after_the_loop_has_gone_do_no_harm() -> None:
    source = Source()

    async def enter() -> None:
        Wake(source.subscribe).__enter__()

    asyncio.run(enter())
    source.tell()
