"""Hubs for the tests, on the loopback and on a port of their own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.hub.config import HubConfig
from appliance.hub.gateway import Limits
from appliance.hub.room import Room
from appliance.hub.server import HubServer
from appliance.hub.store import Store
from tests.appliance.hub.caller import Caller, Join
from tests.appliance.hub.hub_client import FakePeer, FakeStage, until


class TestHub(HubServer):
    """A hub without media, which keeps the stand-ins that it made."""

    __test__ = False

    def __init__(self, config: HubConfig, limits: Limits) -> None:
        self.peers: list[FakePeer] = []
        self.stages: list[FakeStage] = []
        super().__init__(
            config, limits=limits, environment={}, stage=self._new_stage, peer=self._new_peer
        )

    def _new_stage(self, room: Room) -> FakeStage:
        self.stages.append(FakeStage(room))
        return self.stages[-1]

    def _new_peer(self) -> FakePeer:
        self.peers.append(FakePeer())
        return self.peers[-1]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store of its own, below `tmp_path`."""
    store = Store(tmp_path)
    await store.open()
    yield store
    await store.close()


def new_threads(before: set[threading.Thread]) -> set[str]:
    """The names of the threads since then; the loop's own pool stays for the next time."""
    threads = set(threading.enumerate()) - before
    return {thread.name for thread in threads if "asyncio" not in thread.name}


MakeHub = Callable[..., Awaitable[TestHub]]


@pytest.fixture
async def make_hub(tmp_path: Path) -> AsyncIterator[MakeHub]:
    """Start a hub; settings of `Limits` by `limits`, of `HubConfig` by name."""
    hubs: list[TestHub] = []
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())

    async def make(limits: Limits | None = None, **settings: Any) -> TestHub:
        settings = {"auto_create_rooms": True, "data": tmp_path / "hub", **settings}
        config = HubConfig(listen="127.0.0.1:0", **settings)
        hubs.append(TestHub(config, limits or Limits()))
        await hubs[-1].start()
        return hubs[-1]

    yield make
    for hub in hubs:
        await hub.stop()
    assert all(stage.closed for hub in hubs for stage in hub.stages)
    left = {task for task in asyncio.all_tasks() - tasks if task.get_name().startswith("hub")}
    assert not left, "tasks have outlived the hub"
    # What a thread says last may be heard before it is gone.
    with contextlib.suppress(TimeoutError):
        await until(lambda: not new_threads(threads))
    assert not new_threads(threads), "threads have outlived the hub"


@pytest.fixture
async def hub(make_hub: MakeHub) -> TestHub:
    return await make_hub()


@pytest.fixture
async def live_hub(tmp_path: Path) -> AsyncIterator[HubServer]:
    """A hub with real media, on a small canvas."""
    threads = set(threading.enumerate())
    config = HubConfig(
        listen="127.0.0.1:0",
        data=tmp_path / "hub",
        auto_create_rooms=True,
        width=640,
        height=360,
        rate=15,
    )
    server = HubServer(config, environment={})
    await server.start()
    yield server
    await server.stop()

    # A decoder ends by itself, a picture later than its member.
    with contextlib.suppress(TimeoutError):
        await until(lambda: not new_threads(threads))
    assert not new_threads(threads), "threads have outlived the hub"


@pytest.fixture
async def join(live_hub: HubServer) -> AsyncIterator[Join]:
    """Bring members with media into the room of the live hub."""
    callers: list[Caller] = []

    async def enter(name: str, **options: Any) -> Caller:
        callers.append(await Caller.call(live_hub, name, **options))
        return callers[-1]

    yield enter
    for caller in callers:
        await caller.hang_up()
