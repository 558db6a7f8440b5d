"""Two hundred devices and one server of plain files."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.provisioning import Health, Verdict
from appliance.provisioning.errors import ProvisioningError
from appliance.provisioning.identity import Identity
from appliance.provisioning.minisign import SecretKey
from appliance.provisioning.places import Places
from appliance.provisioning.provisioner import Provisioner
from tests.appliance.provisioning.conftest import FLEET, FleetFolder
from tests.appliance.provisioning.static_server import Authority, StaticServer

DEVICES = 200
INTERVAL = 900
TICK = 150.0
"""Seconds between two runs of the timer."""
WINDOW = 1.1 * INTERVAL + TICK
"""Seconds in which each device has looked once."""


@dataclass
class Simulation:
    """The devices, and one time for all of them that no clock turns."""

    devices: list[Provisioner]
    now: float = 0.0
    names: set[str] = field(default_factory=set)
    """What the devices are called, when they were last settled."""

    async def run(self, seconds: float) -> Counter[str]:
        """Let the time pass; what the devices complained of, by kind."""
        complaints: Counter[str] = Counter()
        # As many processes as would run at once on as many devices; one machine stands for all.
        crowd = asyncio.Semaphore(16)

        async def look(device: Provisioner) -> None:
            async with crowd:
                try:
                    await device.fetch(when_due=True)
                except ProvisioningError as error:
                    complaints[type(error).__name__] += 1

        end = self.now + seconds
        while self.now < end:
            await asyncio.gather(*map(look, self.devices))
            self.now += TICK
        return complaints

    def settle(self) -> Counter[float]:
        """Every service reloads, and finds the configuration good; how many have which rate."""
        rates: Counter[float] = Counter()
        self.names.clear()
        for device in self.devices:
            running = device.reload()
            trial = device.probation(running)
            if trial is not None:
                assert trial.observe(Health(True), trial.deadline) is Verdict.KEEP
                device.keep(running)
            rates[running.config.camera.rate] += 1
            self.names.add(running.config.room.user_name)
        return rates


def make_devices(
    root: Path, server: StaticServer, authority: Authority, fleet: FleetFolder
) -> Simulation:
    simulation = Simulation([])
    for number in range(DEVICES):
        places = Places.under(root / str(number))
        places.image.parent.mkdir(parents=True)
        url = server.url.replace("https://", f"https://d{number}:x@")
        places.image.write_text(
            f'[provisioning]\nurls = ["{url}"]\npublic_key = "{fleet.key.public}"\n'
            f'ca_file = "{authority.file}"\ninterval = {INTERVAL}\n'
        )
        device = Provisioner(
            places,
            Identity(f"s{number}", ()),
            now=lambda: simulation.now,
            boot=lambda: "boot",
            rng=random.Random(number),
        )
        simulation.devices.append(device)
    return simulation


def fleet_file(rate: int) -> str:
    return FLEET.replace("15", str(rate))


async def test_a_fleet_follows_its_server_and_survives_it(
    tmp_path: Path,
    fleet: FleetFolder,
    server: StaticServer,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Two hundred devices have two hundred disks; test_store looks at what is synced.
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    fleet.put("fleet.toml", fleet_file(10))
    for number in range(DEVICES):
        fleet.put(f"s{number}.toml", f'[room]\nuser_name = "Room {number}"\n')
    simulation = make_devices(tmp_path / "devices", server, authority, fleet)
    assert not await simulation.run(TICK)
    assert simulation.settle() == {10: DEVICES}
    assert simulation.names == {f"Room {number}" for number in range(DEVICES)}

    # A new configuration: all have it within the window, each has fetched it once.
    server.sent_to.clear()
    server.sent.clear()
    fleet.put("fleet.toml", fleet_file(20))
    assert not await simulation.run(WINDOW)
    assert simulation.settle() == {20: DEVICES}
    assert server.sent == {"fleet.toml": DEVICES, "fleet.toml.minisig": DEVICES}
    assert set(server.sent_to.values()) == {1}

    # A forged signature, under the right key's name.
    server.sent.clear()
    thief = SecretKey(fleet.key.key_id, SecretKey.generate().seed)
    fleet.put("fleet.toml", fleet_file(30), key=thief)
    complaints = await simulation.run(WINDOW)
    assert set(complaints) == {"Refused"}
    assert complaints["Refused"] >= DEVICES
    assert simulation.settle() == {20: DEVICES}

    # The server vanishes when about half of them have had their turn.
    server.sent_to.clear()
    fleet.put("fleet.toml", fleet_file(25))
    half = DEVICES // 2 * 4
    server.stop_after = server.asked.total() + half
    complaints = await simulation.run(WINDOW)
    assert set(complaints) == {"Unreachable"}
    rates = simulation.settle()
    assert set(rates) == {20, 25}
    assert rates.total() == DEVICES
    assert 0 < rates[25] < DEVICES
    # They start from what they have.
    assert all(not device.begin().on_trial for device in simulation.devices[::10])

    # It comes back: so do they, and what they had already is not fetched again.
    server.stop_after = None
    await server.start()
    await simulation.run(WINDOW)
    assert simulation.settle() == {25: DEVICES}
    fetched = Counter(user for user, name in server.sent_to.elements() if name == "fleet.toml")
    assert set(fetched.values()) == {1}
    assert len(fetched) == DEVICES
