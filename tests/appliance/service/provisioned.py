"""A device with a provisioned configuration, and its daemon."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest
import tomli_w

from appliance.hub.server import HubServer
from appliance.provisioning.identity import identify
from appliance.provisioning.places import Places
from appliance.provisioning.provisioner import Provisioner
from appliance.provisioning.showing import show
from appliance.service.daemon import Daemon
from appliance.service.device import Device
from appliance.service.notify import Notifier
from appliance.service.settings import Settings
from appliance.service.state_file import StateFile
from tests.appliance.service.conftest import DEADLINE, nothing_else, settings, token_for, until


def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no daemon's device close its gates because the machine has other work, nor look at
    what is plugged in there."""
    unhurried = partial(Device, lease=DEADLINE, find=nothing_else)
    monkeypatch.setattr("appliance.service.appliance.Device", unhurried)


class Provisioned:
    """A daemon with a provisioned configuration, below a folder of its own."""

    def __init__(self, hub: HubServer, folder: Path, number: int = 1) -> None:
        self.places = Places.under(folder)
        self.stop, self.reload, self.ready = asyncio.Event(), asyncio.Event(), asyncio.Event()
        values = settings(hub, "Oak", number, panel={"listen": "127.0.0.1:0"})
        plain = values.model_dump(mode="json", exclude_unset=True, exclude_none=True)
        plain["room"]["token"] = token_for(hub, "Oak")
        self.file = self.places.local / "device.toml"
        self.file.parent.mkdir(parents=True)
        self.file.write_text(tomli_w.dumps(plain))
        self.file.chmod(0o600)
        self.folder = folder
        self.task: asyncio.Task[None] | None = None

    @property
    def provisioner(self) -> Provisioner:
        return Provisioner(self.places, identify(self.folder))

    async def start(self, settings: Settings) -> None:
        self.stop.clear()
        self.daemon = Daemon(
            settings,
            lambda _: self.ready.set(),
            notifier=Notifier({}),
            state_file=StateFile(None),
        )
        self.task = asyncio.create_task(self.daemon.run(self.stop, self.reload))
        async with asyncio.timeout(2 * DEADLINE):
            await self.ready.wait()
        await until(self.device, lambda state: state.status == "in_room" and bool(state.members))

    async def end(self) -> None:
        self.stop.set()
        self.ready.clear()
        if self.task is not None:
            await asyncio.gather(self.task, return_exceptions=True)

    @property
    def device(self) -> Device:
        return self.daemon.appliance.device

    def shown(self) -> str:
        running = self.provisioner.look()
        return show(running.config, running.layers)
