"""The loop of a command."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from appliance.cli.loop import run_until_signal


@pytest.fixture(autouse=True)
def _thaw() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_the_collector_looks_only_at_what_came_after_the_start() -> None:
    before = ["loaded before"]

    async def work(_stop: asyncio.Event) -> list[int]:
        after = ["made by the work"]
        return [sum(one is each for each in gc.get_objects()) for one in (before, after)]

    assert run_until_signal(work) == [0, 1]
