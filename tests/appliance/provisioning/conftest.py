from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.provisioning import Health, Verdict
from appliance.provisioning.errors import Refused
from appliance.provisioning.identity import Identity
from appliance.provisioning.minisign import SecretKey
from appliance.provisioning.mirror import Mirror
from appliance.provisioning.places import Places
from appliance.provisioning.provisioner import Provisioner, Running
from tests.appliance.provisioning.static_server import Authority, StaticServer

FLEET = """
[room]
host = "ws://hub.local:8080"
name = "demo"
guest = true
[camera]
backend = "synthetic"
rate = 15
"""


class FleetFolder:
    """The folder of a fleet's files, and the key that signs them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = SecretKey.generate()
        self.serial = 100
        folder.mkdir()

    def put(
        self,
        name: str,
        text: str | bytes,
        *,
        serial: int | None = None,
        key: SecretKey | None = None,
        signed_as: str | None = None,
    ) -> None:
        """Sign and publish a file; `serial` by default counts on."""
        if serial is None:
            self.serial += 1
            serial = self.serial
        data = text.encode() if isinstance(text, str) else text
        (self.folder / name).write_bytes(data)
        signature = (key or self.key).sign(data, signed_as or name, serial)
        (self.folder / f"{name}.minisig").write_text(signature)


@pytest.fixture
def fleet(tmp_path: Path) -> FleetFolder:
    return FleetFolder(tmp_path / "www")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def server(fleet: FleetFolder, authority: Authority) -> AsyncIterator[StaticServer]:
    async with StaticServer(fleet.folder, authority.context()) as server:
        yield server


def make_device(
    root: Path, urls: list[str], authority: Authority, fleet: FleetFolder, more: str = ""
) -> Provisioner:
    """A device that knows its fleet's servers and key, and no room yet."""
    places = Places.under(root)
    places.image.parent.mkdir(parents=True)
    listed = ", ".join(f'"{url}"' for url in urls)
    places.image.write_text(
        f'[provisioning]\nurls = [{listed}]\npublic_key = "{fleet.key.public}"\n'
        f'ca_file = "{authority.file}"\n{more}'
    )
    return Provisioner(places, Identity("abc", ("dc-a6-32-01-02-03",)))


@pytest.fixture
def device(
    tmp_path: Path, server: StaticServer, authority: Authority, fleet: FleetFolder
) -> Provisioner:
    return make_device(tmp_path / "device", [server.url], authority, fleet)


def kept(device: Provisioner) -> Running:
    running = device.begin()
    trial = device.probation(running)
    if trial is not None:
        assert trial.observe(Health(True), trial.deadline) is Verdict.KEEP
        device.keep(running)
    return running


async def refused(device: Provisioner, says: str, kind: type[Exception] = Refused) -> None:
    """The device takes nothing, says why, and goes on as it was."""
    before = device.reload()
    held = Mirror(device.places.mirror).read()
    with pytest.raises(kind, match=says) as caught:
        await device.fetch()
    assert "\n" not in str(caught.value)
    after = device.reload()
    assert (after.generation, after.config.camera) == (before.generation, before.config.camera)
    now = Mirror(device.places.mirror).read()
    assert (now.web.files, now.web.serials, now.key) == (held.web.files, held.web.serials, held.key)
