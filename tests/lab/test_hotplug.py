"""Devices of the kernel that come and go, told by udev."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from hal.device import Kind
from hal.hotplug import Change, DeviceWatcher
from tests.lab.kernel_devices import PlatformDevice
from tests.lab.speakerphone import NAME, Speakerphone

pytestmark = [pytest.mark.lab, pytest.mark.kernel]

DEADLINE = 60


class Watch:
    """A watcher, and what it told."""

    def __init__(self) -> None:
        self.changes: asyncio.Queue[Change] = asyncio.Queue()
        self.watcher = DeviceWatcher(self.changes.put_nowait)

    async def until(self, action: str, kind: Kind, part: str) -> str:
        """Wait for news of a device whose id or label has `part` in it; returns its id."""
        async with asyncio.timeout(DEADLINE):
            while True:
                change = await self.changes.get()
                device = change.device
                if (change.action, device.kind) == (action, kind) and (
                    part in device.id or part in device.label
                ):
                    return device.id


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    made = Watch()
    await made.watcher.start()
    assert not made.watcher.polling, "udev tells"
    yield made
    await made.watcher.close()


async def test_a_camera_goes_and_comes(watch: Watch, webcam: PlatformDevice) -> None:
    for _ in range(3):
        webcam.pull()
        gone = await watch.until("unplugged", "camera", "vivid")
        await asyncio.to_thread(webcam.put_back)
        assert await watch.until("plugged", "camera", "vivid") == gone


async def test_a_card_goes_and_comes(watch: Watch, desk: PlatformDevice) -> None:
    for _ in range(3):
        desk.pull()
        await watch.until("unplugged", "microphone", "CARD=Desk,DEV=1")
        await watch.until("unplugged", "speaker", "CARD=Desk,DEV=0")
        await asyncio.to_thread(desk.put_back)
        await watch.until("plugged", "microphone", "CARD=Desk,DEV=1")
        await watch.until("plugged", "speaker", "CARD=Desk,DEV=0")
    ids = [device.id for device in watch.watcher.devices]
    assert "plughw:CARD=Wall,DEV=1" in ids


async def test_a_speakerphones_keys_come_and_go(watch: Watch) -> None:
    speakerphone = Speakerphone()
    for _ in range(3):
        try:
            await asyncio.to_thread(speakerphone.plug)
            plugged = await watch.until("plugged", "controls", NAME)
        finally:
            speakerphone.pull()
        assert await watch.until("unplugged", "controls", NAME) == plugged


async def test_what_is_pulled_and_back_between_two_looks_is_there(
    watch: Watch, webcam: PlatformDevice
) -> None:
    before = sorted(device.id for device in watch.watcher.devices)
    webcam.pull()
    await asyncio.to_thread(webcam.put_back)
    async with asyncio.timeout(DEADLINE):
        while sorted(device.id for device in watch.watcher.devices) != before:
            await watch.changes.get()
