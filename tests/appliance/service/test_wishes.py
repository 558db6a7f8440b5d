from __future__ import annotations

import asyncio

import pytest

from appliance.panel import Refused
from appliance.provisioning.overrides import Changes
from appliance.service.wishes import MOST, Wishes


def louder(volume: int) -> Changes:
    return {("speaker", "volume"): volume}


def wished(wishes: Wishes, volume: int) -> asyncio.Task[None]:
    return asyncio.create_task(wishes.make(louder(volume)))


async def test_they_are_taken_in_their_order_and_told_what_became_of_them() -> None:
    wishes = Wishes()
    assert wishes.take() is None
    first, second = wished(wishes, 1), wished(wishes, 2)
    await wishes.wait()
    one, two = wishes.take(), wishes.take()
    assert one is not None
    assert two is not None
    assert (one.changes, two.changes) == (louder(1), louder(2))
    one.settle()
    two.settle(Refused("no"))
    await first
    with pytest.raises(Refused, match="no"):
        await second
    assert wishes.take() is None


async def test_who_has_gone_wishes_for_nothing() -> None:
    wishes = Wishes()
    pages = [wished(wishes, volume) for volume in range(MOST)]
    await wishes.wait()
    last = pages.pop()
    for page in pages:
        page.cancel()
    # Before any of them has had a turn.
    wish = wishes.take()
    assert wish is not None
    assert wish.changes == louder(MOST - 1)
    last.cancel()
    await asyncio.wait([*pages, last])
    wish.settle()
    assert wishes.take() is None
    # Nor do they keep others out.
    later = wished(wishes, 50)
    await asyncio.sleep(0)
    found = wishes.take()
    assert found is not None
    found.settle()
    await later


async def test_more_than_can_be_made_soon_are_refused() -> None:
    wishes = Wishes()
    pages = [wished(wishes, volume) for volume in range(MOST)]
    await asyncio.sleep(0)
    with pytest.raises(Refused, match="Too many changes"):
        await wishes.make(louder(99))
    wishes.close()
    assert all(
        isinstance(one, Refused) for one in await asyncio.gather(*pages, return_exceptions=True)
    )
    with pytest.raises(Refused, match="about to end"):
        await wishes.make(louder(1))
