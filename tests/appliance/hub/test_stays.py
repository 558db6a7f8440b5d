"""Members whose time is over are removed, each at its own time."""

from __future__ import annotations

import asyncio
import time

from appliance.hub.admission import Rules
from appliance.hub.stays import Stays
from appliance.hub.tokens import TokenOptions

TOKEN = TokenOptions(room_name="demo")


def timers() -> Stays:
    return Stays(Rules(50))


async def removed(event: asyncio.Event) -> None:
    async with asyncio.timeout(20):
        await event.wait()


async def test_by_the_token_and_by_the_room() -> None:
    stays, first, second = timers(), asyncio.Event(), asyncio.Event()
    begin = time.monotonic()
    token = TokenOptions(room_name="demo", remove_after_seconds_elapsed=1)
    stays.begin("first", token, first.set)
    await removed(first)
    assert time.monotonic() - begin >= 0.99
    stays.begin("second", TOKEN, second.set)
    stays.rules = Rules(50, remove_at=time.time() + 0.1)
    await removed(second)


async def test_who_left_is_not_removed() -> None:
    stays, gone, there = timers(), asyncio.Event(), asyncio.Event()
    stays.rules = Rules(50, remove_at=time.time() + 0.1)
    stays.begin("gone", TOKEN, gone.set)
    stays.begin("there", TOKEN, there.set)
    stays.end("gone")
    stays.end("nobody")
    await removed(there)
    assert not gone.is_set()


async def test_a_limit_that_is_lifted() -> None:
    stays, freed, witness = timers(), asyncio.Event(), asyncio.Event()
    stays.rules = Rules(50, remove_at=time.time() + 0.1)
    stays.begin("freed", TOKEN, freed.set)
    stays.rules = Rules(50)
    asyncio.get_running_loop().call_later(0.2, witness.set)
    await removed(witness)
    assert not freed.is_set()


async def test_after_the_end_of_the_room_nobody_is_removed() -> None:
    stays, late, witness = timers(), asyncio.Event(), asyncio.Event()
    stays.rules = Rules(50, remove_at=time.time() + 0.1)
    stays.begin("late", TOKEN, late.set)
    stays.close()
    asyncio.get_running_loop().call_later(0.2, witness.set)
    await removed(witness)
    assert not late.is_set()
