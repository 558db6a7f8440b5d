"""A fleet passes from one key to the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.provisioning.errors import Refusals, Refused
from appliance.provisioning.fleet import sign, verify
from appliance.provisioning.identity import Identity
from appliance.provisioning.minisign import PublicKey, SecretKey, Signature
from appliance.provisioning.places import Places
from appliance.provisioning.provisioner import Provisioner
from appliance.provisioning.rotation import rotate, rotation_name
from tests.appliance.provisioning.conftest import FLEET, FleetFolder, kept, make_device, refused
from tests.appliance.provisioning.static_server import Authority, StaticServer
from tests.appliance.provisioning.two_rooms import rooms

__all__ = ["rooms"]


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


def test_the_file_that_leads_to_the_next_key(rooms: Path) -> None:
    old, new, folder = SecretKey.generate(), SecretKey.generate(), rooms / "fleet"
    name = rotate(folder, old, new.public)
    assert name == f"{old.public.name}.next.pub"
    assert PublicKey.parse((folder / name).read_text()) == new.public
    signature = Signature.parse((folder / f"{name}.minisig").read_text())
    signature.verify((folder / name).read_bytes(), old.public)


async def test_who_knows_the_old_key_takes_what_is_signed_with_the_next(rooms: Path) -> None:
    old, new, folder = SecretKey.generate(), SecretKey.generate(), rooms / "fleet"
    sign(folder, old)
    name = rotate(folder, old, new.public)
    # What the old key signed counts no more, and it signs nothing more.
    with pytest.raises(Refusals, match=f"^fleet.toml is signed with key .*, not {new.public.name}"):
        verify(folder, old.public)
    with pytest.raises(Refused, match="to the next one; sign with that"):
        sign(folder, old)
    assert sign(folder, new) == ["fleet.toml"]
    assert sign(folder, new) == []
    for key in (old, new):
        assert set(verify(folder, key.public)) == {name, "fleet.toml"}
    places = Places.under(rooms / "device")
    places.boot.parent.mkdir(parents=True)
    places.boot.write_text(f'[provisioning]\nusb = true\npublic_key = "{old.public}"\n')
    device = Provisioner(places, Identity("abc1", ()))
    assert await device.take(folder) == 1


def test_what_leads_nowhere_is_told_before_a_device_sees_it(rooms: Path) -> None:
    first, second, third = (SecretKey.generate() for _ in range(3))
    folder = rooms / "fleet"
    name = rotate(folder, first, second.public)
    rotate(folder, second, third.public)
    sign(folder, third)
    for key in (first, second, third):
        assert len(verify(folder, key.public)) == 3
    signature = folder / f"{name}.minisig"
    whole = signature.read_bytes()
    signature.write_text(second.sign((folder / name).read_bytes(), name))
    for key in (first, second, third):
        with pytest.raises(
            Refusals, match=f"with key {second.public.name}, not .*make it anew.*rotate$"
        ):
            verify(folder, key.public)
    signature.unlink()
    with pytest.raises(Refusals, match=f"^{name} is not signed; make it anew"):
        verify(folder, third.public)
    signature.write_bytes(b"\xff")
    with pytest.raises(Refusals, match=f"^{name}.minisig is no text"):
        verify(folder, third.public)
    # Who signed it is known to its end where the key is: not from the name alone.
    signature.write_bytes(whole)
    (folder / name).write_text(third.public.file)
    verify(folder, third.public)
    with pytest.raises(Refusals, match=f"^{name} "):
        verify(folder, first.public)
    (folder / name).write_text("rubbish")
    with pytest.raises(Refusals, match=f"^{name} cannot be read .*make it anew"):
        verify(folder, third.public)


def test_keys_in_a_ring_are_no_fleets(rooms: Path) -> None:
    first, second, folder = SecretKey.generate(), SecretKey.generate(), rooms / "fleet"
    sign(folder, first)
    rotate(folder, first, second.public)
    rotate(folder, second, first.public)
    with pytest.raises(Refused, match="keys follow each other"):
        verify(folder, first.public)
