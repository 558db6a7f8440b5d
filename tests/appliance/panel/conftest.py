from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from appliance.panel import Panel
from tests.appliance.panel.fake_device import FakeDevice


@pytest.fixture
async def device() -> FakeDevice:
    return FakeDevice()


@pytest.fixture
async def panel(device: FakeDevice) -> AsyncIterator[Panel]:
    async with Panel(device, "127.0.0.1:0") as panel:
        yield panel
