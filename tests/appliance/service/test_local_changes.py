from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.provisioning import ConfigError
from appliance.provisioning.provisioner import provisioner_under
from appliance.provisioning.source import Key
from appliance.service.local_changes import VOLUME, LocalChanges
from appliance.service.settings import ProvisionedSettings

EVERY = 0.02
ROOM = '[room]\nhost = "ws://hub"\nname = "demo"\nguest = true\n[speaker]\nvolume = 60\n'


class Device:
    volume = 60


class Kept:
    def __init__(self) -> None:
        self.values: list[tuple[Key, Any]] = []
        self.error: Exception | None = None

    def __call__(self, key: Key, value: Any) -> None:
        self.values.append((key, value))
        if self.error is not None:
            raise self.error

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                await asyncio.sleep(EVERY)


async def test_a_turn_is_kept_once_and_at_the_end_too() -> None:
    device, kept = Device(), Kept()
    changes = LocalChanges(device, kept, 60, every=EVERY)
    changes.start()
    device.volume = 61
    await kept.until(lambda: bool(kept.values))
    assert kept.values == [(VOLUME, 61)]
    # A reload says the same, and then something else, which is no change of anybody here.
    changes.adopt(61)
    device.volume = 40
    changes.adopt(40)
    device.volume = 41
    await changes.stop()
    await changes.stop()
    assert kept.values == [(VOLUME, 61), (VOLUME, 41)]


async def test_what_nobody_touches_is_not_kept() -> None:
    device, kept = Device(), Kept()
    changes = LocalChanges(device, kept, 60, every=EVERY)
    await changes.stop()
    changes.start()
    await changes.stop()
    assert kept.values == []


async def test_what_cannot_be_kept_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    device, kept = Device(), Kept()
    kept.error = ConfigError("the disk is full")
    changes = LocalChanges(device, kept, 60, every=EVERY)
    changes.start()
    device.volume = 61
    await kept.until(lambda: bool(caplog.records))
    await changes.stop()
    assert [r.getMessage() for r in caplog.records] == [
        "speaker.volume is not kept: the disk is full"
    ]


async def test_it_lies_over_the_files_outlives_a_restart_and_is_no_trial(tmp_path: Path) -> None:
    path = tmp_path / "etc/roomlet/device.toml"
    path.parent.mkdir(parents=True)
    path.write_text(ROOM)
    settings = ProvisionedSettings(provisioner_under(tmp_path))
    first = settings.begin()
    settings.keep()
    device = Device()
    # Somebody is writing a file meanwhile: that is not taken on this occasion.
    path.write_text(ROOM + "[camera]\nrate = 15\n")
    changes = LocalChanges(device, settings.change, first.speaker.volume, every=EVERY)
    changes.start()
    device.volume = 35
    await changes.stop()
    path.write_text(ROOM)
    again = ProvisionedSettings(provisioner_under(tmp_path))
    assert again.begin().speaker.volume == 35
    assert again.probation() is None
    path.write_text(ROOM.replace("60", "80"))
    assert again.reload().speaker.volume == 35
    provisioner_under(tmp_path).override(VOLUME, None)
    assert again.reload().speaker.volume == 80
