"""A fetched configuration is tried, whoever makes the daemon notice it."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from appliance.hub.server import HubServer
from appliance.provisioning.identity import identify
from appliance.provisioning.provisioner import Provisioner
from appliance.service.settings import ProvisionedSettings
from tests.appliance.service.conftest import DEADLINE
from tests.appliance.service.provisioned import Provisioned, patient

VOLUME = ("speaker", "volume")


class Tried(Provisioned):
    """A device whose first configuration has proved itself, with a clock of its own."""

    time = 0.0

    async def begin(self) -> None:
        whole = Provisioner(self.places, identify(self.folder), now=lambda: self.time)
        await self.start(ProvisionedSettings(whole))
        self.time += 90
        await self.until(lambda: not self.store_says().on_trial)

    def store_says(self) -> Any:
        return self.provisioner.store.state()

    def fetch(self, **sections: Any) -> int:
        """Put a new generation in force, as another process does."""
        values = tomllib.loads(self.file.read_text())
        for section, table in sections.items():
            values[section] = values.get(section, {}) | table
        self.file.write_text(tomli_w.dumps(values))
        generation = self.provisioner.propose()
        assert generation is not None
        assert self.store_says().on_trial
        return generation

    async def until(self, holds: Callable[[], bool]) -> None:
        assert self.task is not None
        async with asyncio.timeout(2 * DEADLINE):
            while not holds():
                assert not self.task.done(), self.task
                await asyncio.sleep(0.02)


@pytest.fixture
async def oak(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Tried]:
    patient(monkeypatch)
    oak = Tried(hub, tmp_path)
    await oak.begin()
    yield oak
    await oak.end()


async def test_a_change_at_the_panel_leaves_a_fetched_configuration_on_trial(oak: Tried) -> None:
    generation = oak.fetch(policy={"leave_empty_minutes": 3})
    await oak.daemon.change({VOLUME: 41})
    config = oak.daemon.appliance.config
    assert (config.policy.leave_empty_minutes, config.speaker.volume) == (3, 41)
    assert oak.store_says().on_trial
    oak.time += 90
    await oak.until(lambda: not oak.store_says().on_trial)
    assert oak.store_says().last_good == generation


async def test_one_that_leads_nowhere_is_given_back_after_a_change_at_the_panel(
    oak: Tried,
) -> None:
    oak.fetch(room={"host": "ws://127.0.0.1:9"})
    await oak.daemon.change({VOLUME: 41})
    oak.time += 90
    await oak.until(lambda: oak.device.state().status == "in_room")
    assert oak.daemon.appliance.config.room.host != "ws://127.0.0.1:9"
    assert oak.daemon.appliance.config.speaker.volume == 41
    assert not oak.store_says().on_trial
    assert any("a new configuration failed" in one for one in oak.device.state().errors)


async def test_one_that_does_not_work_is_no_fault_of_the_change(oak: Tried) -> None:
    oak.fetch(camera={"backend": "file", "device": "/nowhere/at/all.mp4", "options": {}})
    await oak.daemon.change({VOLUME: 41})
    config = oak.daemon.appliance.config
    assert (config.camera.backend, config.speaker.volume) == ("synthetic", 41)
    assert not oak.store_says().on_trial


async def test_one_that_changes_nothing_is_kept_too(oak: Tried) -> None:
    await oak.daemon.change({VOLUME: 41})
    generation = oak.fetch(speaker={"volume": 5})
    oak.reload.set()
    await oak.until(lambda: not oak.reload.is_set())
    oak.time += 90
    await oak.until(lambda: oak.store_says().last_good == generation)
    assert oak.daemon.appliance.config.speaker.volume == 41
