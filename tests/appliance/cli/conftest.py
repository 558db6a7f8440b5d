"""A hub for the commands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.hub.config import HubConfig
from appliance.hub.server import HubServer


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[HubServer]:
    config = HubConfig(listen="127.0.0.1:0", data=tmp_path / "hub", open_rooms=("demo",))
    hub = HubServer(config, environment={})
    await hub.start()
    yield hub
    await hub.stop()
