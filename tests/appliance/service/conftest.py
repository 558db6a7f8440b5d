"""A real hub, and real devices whose hardware is simulated."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from appliance.hub.config import HubConfig
from appliance.hub.server import HubServer
from appliance.hub.tokens import TokenOptions, mint
from appliance.provisioning import Config
from appliance.service.demo import PERMISSIONS
from appliance.service.device import Device
from appliance.service.hardware import build
from appliance.service.tones import MEMORY_S
from appliance.service.upkeep import Upkeep
from hal.audio.spectrum import SILENCE
from hal.device import Device as HalDevice
from hal.device import Kind
from hal.hotplug import Finder

if TYPE_CHECKING:
    from tests.appliance.service.provisioned import Provisioned

DEADLINE = 30.0
"""Seconds for anything to happen on a machine with other work."""


def nothing_else(kind: Kind) -> list[HalDevice]:
    """What is plugged in beside the devices of a test: the machine's own are not its matter."""
    return []


MakeDevice = Callable[..., Awaitable[Device]]


@pytest.fixture
def hub_config(tmp_path: Path) -> HubConfig:
    return HubConfig(
        listen="127.0.0.1:0", data=tmp_path / "hub", open_rooms=("demo", "attic", "loft")
    )


@pytest.fixture
async def hub(hub_config: HubConfig) -> AsyncIterator[HubServer]:
    hub = HubServer(hub_config, environment={})
    await hub.start()
    yield hub
    await hub.stop()


def token_for(hub: HubServer, name: str, **options: Any) -> str:
    values = {"room_name": "demo", "user_name": name, "permissions": list(PERMISSIONS), **options}
    return mint(TokenOptions(**values), hub.keys.signing_key, project=hub.keys.project)


def settings(hub: HubServer, name: str, number: int, **sections: Any) -> Config:
    """A simulated device that speaks a steady tone of 1000, 1500... Hz."""
    synthetic = {"backend": "synthetic", "options": {"device_id": number}}
    steady = {"device_id": number, "pattern": "continuous"}
    values: dict[str, Any] = {
        "room": {"host": hub.url, "token": token_for(hub, name), "user_name": name},
        "camera": {**synthetic, "width": 320, "height": 180, "rate": 15},
        "microphone": {**synthetic, "options": steady},
        "speaker": synthetic,
        "controls": {"backend": "virtual"},
        "display": {"backend": "memory", "options": {"width": 320, "height": 180}},
        "probe": {"enabled": True, "tones": [1000.0, 1500.0]},
        **sections,
    }
    return Config.model_validate(values)


@pytest.fixture
async def make_device(hub: HubServer, tmp_path: Path) -> AsyncIterator[MakeDevice]:
    """Start a device and wait until it is in the room, unless `joined` is False.  It knows nothing
    of updates of the machine that the tests run on."""
    devices: list[Device] = []

    async def make(
        name: str = "Oak",
        number: int = 1,
        *,
        joined: bool = True,
        find: Finder = nothing_else,
        lease: float = DEADLINE,
        upkeep: Upkeep | None = None,
        **sections: Any,
    ) -> Device:
        config = settings(hub, name, number, **sections)
        if upkeep is None:
            upkeep = Upkeep(config.updates, tmp_path / "no-updates")
        device = Device(config, build(config), find=find, lease=lease, upkeep=upkeep)
        devices.append(device)
        await device.start()
        if joined:
            await until(device, lambda state: state.status == "in_room" and bool(state.members))
        return device

    yield make
    await asyncio.gather(*(device.stop() for device in devices))


@pytest.fixture
async def oak(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Provisioned]:
    """A device whose configuration is provisioned, not started yet."""
    from tests.appliance.service.provisioned import Provisioned, patient

    patient(monkeypatch)
    oak = Provisioned(hub, tmp_path)
    yield oak
    await oak.end()


async def told(
    news: AsyncGenerator[dict[str, Any]], holds: Callable[[dict[str, Any]], bool] = bool
) -> dict[str, Any]:
    """What a card tells, once it says so."""
    async with asyncio.timeout(DEADLINE), contextlib.aclosing(news):
        async for piece in news:
            if holds(piece):
                return piece
    raise AssertionError("it ended")


def usual_level(device: Device, tone: float) -> float:
    """The level of a steady tone in dBFS, in most periods of the last second that it played.

    A busy machine tears holes into whatever else is heard, and for the period of a hole that sounds
    at all frequencies, up to -39 dBFS.  The loudest period tells of those as well.
    """
    assert device.probe is not None
    (listener,) = [one for one in device.probe._listeners if one.frequency == tone]
    now = time.monotonic()
    with listener._lock:
        recent = [level for at, level in listener._levels if at >= now - MEMORY_S]
    return statistics.median(recent) if recent else SILENCE


def gone(device: Device, tone: float) -> bool:
    """Whether a steady tone of -12 dBFS is no more heard: not for one period, holes or not."""
    loudest = device.report()["tones"][f"{tone:g}"]["level_dbfs"]
    return loudest < -30 and usual_level(device, tone) < -60


async def until(device: Device, holds: Callable[[Any], bool]) -> None:
    """Wait for a state of a device."""
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()
    unsubscribe = device.subscribe(lambda: loop.call_soon_threadsafe(changed.set))
    end = loop.time() + DEADLINE
    try:
        while not holds(device.state()):
            assert loop.time() < end, f"not within {DEADLINE} s: {device.state()}"
            changed.clear()
            # Figures such as the rate of pictures change without a word.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), 0.2)
    finally:
        unsubscribe()
