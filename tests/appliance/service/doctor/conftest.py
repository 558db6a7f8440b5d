"""A hub, and configurations of simulated devices for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from appliance.hub.config import HubConfig
from appliance.hub.server import HubServer
from appliance.hub.tokens import TokenOptions, mint
from appliance.provisioning import Config

ROOM = {"host": "ws://127.0.0.1:1", "token": "c4n4ry-token"}
VIRTUAL: dict[str, Any] = {
    "camera": {"backend": "synthetic", "width": 160, "height": 90, "rate": 5},
    "microphone": {"backend": "synthetic", "options": {"pattern": "continuous"}},
    "speaker": {"backend": "synthetic"},
    "controls": {"backend": "virtual"},
    "display": {"backend": "memory"},
}


def config(**sections: Any) -> Config:
    return Config.model_validate({"room": ROOM, **VIRTUAL, **sections})


def token_of(hub: HubServer, **options: Any) -> str:
    values = TokenOptions.model_validate({"room_name": "demo", **options})
    return mint(values, hub.keys.signing_key, project=hub.keys.project)


def for_hub(hub: HubServer, **options: Any) -> Config:
    return config(room={"host": hub.websocket_url, "token": token_of(hub, **options)})


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[HubServer]:
    settings = HubConfig(listen="127.0.0.1:0", data=tmp_path / "hub", open_rooms=("demo",))
    hub = HubServer(settings, environment={})
    await hub.start()
    yield hub
    await hub.stop()
