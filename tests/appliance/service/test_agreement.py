from __future__ import annotations

import asyncio

import pytest

from appliance.service import agreement
from appliance.service.agreement import Agreement


async def test_a_difference_is_told_only_when_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "LOOK_EVERY", 0.005)
    looks: list[bool] = [True, False, True, False, False]
    told: list[tuple[int, bool]] = []
    asked = 0

    def agreed() -> bool:
        nonlocal asked
        asked += 1
        # After those, all is well for good.
        return looks[asked - 1] if asked <= len(looks) else True

    one = Agreement(agreed, lambda: told.append((asked, one.holds)))
    one.start()
    async with asyncio.timeout(30):
        while asked < len(looks) + 2:
            await asyncio.sleep(0.005)
    await one.stop()
    assert told == [(5, False), (6, True)]
    await one.stop()
