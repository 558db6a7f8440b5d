"""A fleet passes from one key to the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.provisioning.collecting import rotation_name
from appliance.provisioning.errors import Refused
from appliance.provisioning.minisign import SecretKey
from appliance.provisioning.provisioner import Provisioner
from tests.appliance.provisioning.conftest import FLEET, FleetFolder, kept, make_device, refused
from tests.appliance.provisioning.static_server import Authority, StaticServer


async def test_a_fleet_changes_its_key(
    tmp_path: Path, device: Provisioner, fleet: FleetFolder, server: StaticServer
) -> None:
    fleet.put("fleet.toml", FLEET)
    await device.fetch()
    first, second, third = fleet.key, SecretKey.generate(), SecretKey.generate()
    # The next key comes signed with the one before; so does the one after it.
    fleet.put(rotation_name(first.public), second.public.file)
    fleet.put(rotation_name(second.public), third.public.file, key=second)
    # The old files stand until they are signed anew.
    assert await device.fetch() is None
    fleet.put("fleet.toml", FLEET.replace("15", "20"), key=first)
    with pytest.raises(Refused, match=f"not {third.public.name}"):
        await device.fetch()
    fleet.put("fleet.toml", FLEET.replace("15", "30"), key=third)
    assert await device.fetch() == 2
    # A device that slept through all of it comes along.
    late = make_device(tmp_path / "late", [server.url], Authority(tmp_path / "x"), fleet)
    late.places.image.write_text(device.places.image.read_text())
    assert await late.fetch() == 1
    # The chain may go from the server: the device has come to know the key.
    for path in fleet.folder.glob("*.next.pub*"):
        path.unlink()
    fleet.put("fleet.toml", FLEET.replace("15", "25"), key=third)
    assert await device.fetch() == 3
    # A key of which a person says so at the device begins anew.
    fresh = SecretKey.generate()
    text = device.places.image.read_text()
    device.places.image.write_text(text.replace(str(first.public), str(fresh.public)))
    fleet.put("fleet.toml", FLEET.replace("15", "26"), key=fresh)
    assert await device.fetch() == 5


async def test_a_forged_change_of_key_is_refused(device: Provisioner, fleet: FleetFolder) -> None:
    fleet.put("fleet.toml", FLEET)
    await device.fetch()
    kept(device)
    thief = SecretKey.generate()
    fleet.put(rotation_name(fleet.key.public), thief.public.file, key=thief)
    await refused(device, "is signed with key")
    fleet.put(rotation_name(fleet.key.public), "rubbish")
    await refused(device, "is not a minisign public key")
    # Keys that go round in a circle come to an end.
    other = SecretKey.generate()
    fleet.put(rotation_name(fleet.key.public), other.public.file)
    fleet.put(rotation_name(other.public), fleet.key.public.file, key=other)
    await refused(device, "keys follow each other")
