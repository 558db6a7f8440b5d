"""The integrator's side: a table and a template become signed files."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import pytest

from appliance.provisioning.errors import ConfigErrors, Refusals, Refused
from appliance.provisioning.fleet import bundle, sign, verify
from appliance.provisioning.identity import Identity
from appliance.provisioning.minisign import SecretKey
from appliance.provisioning.places import Places
from appliance.provisioning.provisioner import Provisioner
from appliance.provisioning.rotation import rotate
from tests.appliance.provisioning.two_rooms import rendered, rooms

__all__ = ["rooms"]


def test_only_what_is_new_is_signed(rooms: Path) -> None:
    key, folder = SecretKey.generate(), rooms / "fleet"
    rendered(rooms).write(folder)
    names = ["abc1.toml", "dc-a6-32-01-02-03.toml", "fleet.toml"]
    assert sign(folder, key) == names
    before = verify(folder, key.public)
    assert list(before) == names
    assert sign(folder, key) == []
    (folder / "abc1.toml").write_text("[speaker]\nvolume = 1\n")
    with pytest.raises(Refused, match=r"abc1\.toml does not fit its signature"):
        verify(folder, key.public)
    assert sign(folder, key) == ["abc1.toml"]
    after = verify(folder, key.public)
    # Newer also on a machine whose clock went back.
    assert after["abc1.toml"] > before["abc1.toml"]
    assert after["fleet.toml"] == before["fleet.toml"]
    (folder / "fleet.toml.minisig").unlink()
    with pytest.raises(Refused, match=r"fleet\.toml is not signed"):
        verify(folder, key.public)
    with pytest.raises(Refused, match="is signed with key"):
        verify(folder, SecretKey.generate().public)
    with pytest.raises(Refused, match="no files of a fleet"):
        verify(rooms / "nothing", key.public)
    (folder / "bad.toml").write_text("a = = 1\n")
    (folder / "worse.toml").write_text("[a\n")
    (folder / "abc1.toml").write_text("")
    with pytest.raises(ConfigErrors) as caught:
        sign(folder, key)
    assert [error.path.name for error in caught.value.errors if error.path] == [
        "bad.toml",
        "worse.toml",
    ]
    with pytest.raises(Refused, match=r"abc1\.toml does not fit its signature"):
        verify(folder, key.public)
    # What is signed by somebody else's tool is no better for it.
    for name in ("bad", "worse", "abc1", "fleet"):
        data = (folder / f"{name}.toml").read_bytes()
        (folder / f"{name}.toml.minisig").write_text(key.sign(data, f"{name}.toml", 10**10))
    with pytest.raises(Refusals) as refused:
        verify(folder, key.public)
    assert [str(error).partition(", line")[0] for error in refused.value.errors] == [
        "bad.toml",
        "worse.toml",
    ]


def test_all_that_a_device_would_refuse_is_told_and_the_same_once(tmp_path: Path) -> None:
    key, other = SecretKey.generate(), SecretKey.generate()
    for number in range(9):
        (tmp_path / f"r{number}.toml").write_text('include = "site.toml"\n')
    sign(tmp_path, key)
    for number in range(4):
        (tmp_path / f"r{number}.toml.minisig").unlink()
    (tmp_path / "r4.toml").write_text("changed = 1\n")
    (tmp_path / "r5.toml.minisig").unlink()
    (tmp_path / "other.toml").write_text("")
    (tmp_path / "other.toml.minisig").write_text(other.sign(b"", "other.toml", 1))
    with pytest.raises(Refusals) as caught:
        verify(tmp_path, key.public)
    lines = [re.split(" with key|, choose one of", str(error))[0] for error in caught.value.errors]
    assert lines == [
        "other.toml is signed",
        "r0.toml is not signed; run roomlet provision sign"
        " (5 of 10 files: r0.toml, r1.toml, r2.toml, ...)",
        "r0.toml, line 1, column 1: include: site.toml: there is no such file; check its name"
        " (8 of 10 files: r0.toml, r1.toml, r2.toml, ...)",
        "r4.toml does not fit its signature; sign it again",
        "r4.toml, line 1, column 1: changed: unknown key",
    ]
    assert str(caught.value) == str(caught.value.errors[0])


def refusals(folder: Path, **files: str) -> list[str]:
    """What is said of signed files of these texts, by `verify` and by `bundle` alike."""
    key, target = SecretKey.generate(), folder.parent / "fleet.tar.gz"
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)
    sign(folder, key)
    with pytest.raises(Refusals) as caught:
        verify(folder, key.public)
    lines = [str(error) for error in caught.value.errors]
    with pytest.raises(Refusals) as caught:
        bundle(folder, key.public, target)
    assert [str(error) for error in caught.value.errors] == lines
    assert not target.exists()
    return lines


def test_what_a_device_would_not_take_for_what_it_says_is_refused(tmp_path: Path) -> None:
    assert refusals(
        tmp_path,
        fleet='include = "site.toml"\n[camera]\nbackend = "nope"\n',
        site='[room]\nhost = "ws://hub"\nname = "demo"\n[log]\nlevel = 7\n',
        r1="[room]\nguest = true\n[speaker]\nvolume = 140\n",
        r2="[room]\nguest = true\n[speaker]\nvolume = 140\n",
        r3="[speaker]\nvolume = 40\n",
        r4='include = "more.toml"\n[room]\nguest = true\n',
        more=f'[provisioning]\npublic_key = "{SecretKey.generate().public}"\n',
    ) == [
        "fleet.toml, line 3, column 1: camera.backend: no camera backend 'nope';"
        " choose one of synthetic, file, picamera2, v4l2, x11",
        "more.toml, line 2, column 1: provisioning.public_key: a fleet's key does not come with the"
        " fleet's files; see roomlet provision rotate (1 of 4 devices: r4.toml)",
        "r1.toml, line 4, column 1: speaker.volume: must be at most 100,"
        " not 140 (2 of 7 files: r1.toml, r2.toml)",
        "site.toml, line 5, column 1: log.level:"
        " must be 'debug', 'info', 'warning' or 'error', not 7",
    ]


def test_what_a_devices_own_file_may_say_is_not_missing(tmp_path: Path) -> None:
    key = SecretKey.generate()
    (tmp_path / "fleet.toml").write_text('[room]\nhost = "ws://hub"\n[controls]\nbackend="gpio"\n')
    sign(tmp_path, key)
    assert list(verify(tmp_path, key.public)) == ["fleet.toml"]
    # Its token stays on the device, in /etc/roomlet/device.toml.
    (tmp_path / "r1.toml").write_text('[room]\nname = "oak"\n')
    (tmp_path / "r2.toml").write_text("")
    sign(tmp_path, key)
    assert list(verify(tmp_path, key.public)) == ["fleet.toml", "r1.toml", "r2.toml"]
    assert refusals(tmp_path, fleet="[speaker]\nvolume = 140\n") == [
        "fleet.toml, line 2, column 1: speaker.volume: must be at most 100, not 140"
    ]


def test_files_that_include_each_other_are_refused(tmp_path: Path) -> None:
    assert refusals(tmp_path, a='include = "b.toml"\n', b='include = "a.toml"\n') == [
        "a.toml, line 1, column 1: include: goes round in a circle:"
        " b.toml includes a.toml includes b.toml; break it",
        "b.toml, line 1, column 1: include: goes round in a circle:"
        " a.toml includes b.toml includes a.toml; break it",
    ]


def test_what_only_the_device_has_is_not_looked_for(tmp_path: Path) -> None:
    key = SecretKey.generate()
    (tmp_path / "fleet.toml").write_text('[panel]\npin_file = "panel.pin"\n')
    (tmp_path / "r1.toml").write_text(
        '[room]\nhost = "ws://hub"\ntoken_file = "room.token"\n'
        '[camera]\nbackend = "v4l2"\ndevice = "/dev/video7"\n'
        '[calendar]\nurl = "https://hub/"\nuser = "oak"\npassword_credential = "calendar"\n'
    )
    sign(tmp_path, key)
    assert list(verify(tmp_path, key.public)) == ["fleet.toml", "r1.toml"]


def test_a_serial_of_ones_own(rooms: Path) -> None:
    key, folder = SecretKey.generate(), rooms / "fleet"
    sign(folder, key, 7)
    assert verify(folder, key.public) == {"fleet.toml": 7}


def test_a_bundle_holds_the_same_bytes_each_time(rooms: Path) -> None:
    key, folder = SecretKey.generate(), rooms / "fleet"
    with pytest.raises(Refused, match="not signed"):
        bundle(folder, key.public, rooms / "fleet.tar.gz")
    assert not (rooms / "fleet.tar.gz").exists()
    following = SecretKey.generate()
    rotate(folder, key, following.public)
    sign(folder, following)
    (folder / "notes.txt").write_text("not for devices")
    names = bundle(folder, key.public, rooms / "fleet.tar.gz")
    first = (rooms / "fleet.tar.gz").read_bytes()
    bundle(folder, key.public, rooms / "fleet.tar.gz")
    assert (rooms / "fleet.tar.gz").read_bytes() == first
    with tarfile.open(rooms / "fleet.tar.gz") as archive:
        assert archive.getnames() == names
        archive.extractall(rooms / "out")
    assert verify(rooms / "out", key.public).keys() == verify(folder, key.public).keys()
    assert "notes.txt" not in names


async def test_what_the_tools_make_a_device_takes(rooms: Path) -> None:
    key, folder = SecretKey.generate(), rooms / "fleet"
    rendered(rooms).write(folder)
    sign(folder, key)
    places = Places.under(rooms / "device")
    places.boot.parent.mkdir(parents=True)
    places.boot.write_text(f'[provisioning]\nusb = true\npublic_key = "{key.public}"\n')
    device = Provisioner(places, Identity(None, ("dc-a6-32-01-02-03",)))
    assert await device.take(folder) == 1
    config = device.begin().config
    assert (config.room.user_name, config.speaker.volume) == ('Ash, "big" \\ ${x}', 50)


def test_a_folder_without_files_is_not_signed_in_silence(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="render some first"):
        sign(tmp_path / "nowhere", SecretKey.generate())


def test_a_signature_that_is_no_text(rooms: Path) -> None:
    (rooms / "fleet/fleet.toml.minisig").write_bytes(b"\xff\xfe")
    with pytest.raises(Refused, match="is no text"):
        verify(rooms / "fleet", SecretKey.generate().public)
