"""One device and the signed files of its fleet."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.provisioning import ConfigError
from appliance.provisioning.errors import Refused, Unreachable
from appliance.provisioning.minisign import SecretKey
from appliance.provisioning.mirror import Mirror
from appliance.provisioning.provisioner import Provisioner
from tests.appliance.provisioning.conftest import FLEET, FleetFolder, kept, make_device, refused
from tests.appliance.provisioning.static_server import Authority, StaticServer


async def test_takes_the_files_of_its_fleet_and_its_own(
    device: Provisioner, fleet: FleetFolder, server: StaticServer
) -> None:
    fleet.put("fleet.toml", 'include = "site.toml"\n[speaker]\nvolume = 10\n')
    fleet.put("site.toml", FLEET)
    fleet.put("abc.toml", "[speaker]\nvolume = 20\n")
    fleet.put("dc-a6-32-01-02-03.toml", '[room]\nuser_name = "Oak"\n')
    assert await device.fetch() == 1
    running = kept(device)
    config = running.config
    assert (config.speaker.volume, config.room.user_name, config.camera.rate) == (20, "Oak", 15)
    assert str(running.layers.origin(("camera", "rate"))) == "fleet: web/site.toml, line 8"
    # Nothing new: nothing is sent.
    sent = server.sent.total()
    assert await device.fetch() is None
    assert server.sent.total() == sent
    # One file is new: that file and its signature are sent, no more.
    fleet.put("abc.toml", "[speaker]\nvolume = 21\n")
    assert await device.fetch() == 2
    assert server.sent.total() == sent + 2
    assert device.reload().config.speaker.volume == 21


async def test_a_server_that_knows_only_dates_is_asked_by_dates(
    device: Provisioner, fleet: FleetFolder, server: StaticServer
) -> None:
    server.modified_only = True
    fleet.put("fleet.toml", FLEET)
    assert await device.fetch() == 1
    sent = server.sent.total()
    assert await device.fetch() is None
    assert server.sent.total() == sent


async def test_what_is_not_signed_rightly_is_refused(
    device: Provisioner, fleet: FleetFolder, server: StaticServer
) -> None:
    fleet.put("fleet.toml", FLEET)
    await device.fetch()
    kept(device)
    new = FLEET.replace("15", "30")
    fleet.put("fleet.toml", new, key=SecretKey.generate())
    sent = server.sent["fleet.toml"]
    await refused(device, "is signed with key")
    # It was not even asked for.
    assert server.sent["fleet.toml"] == sent
    forged = SecretKey(fleet.key.key_id, SecretKey.generate().seed)
    fleet.put("fleet.toml", new, key=forged)
    await refused(device, "does not fit its signature")
    fleet.put("fleet.toml", new)
    (fleet.folder / "fleet.toml").write_text(new.replace("30", "31"))
    await refused(device, "does not fit its signature")
    fleet.put("fleet.toml", new, signed_as="abc.toml")
    await refused(device, "is the signature of abc.toml")
    (fleet.folder / "fleet.toml.minisig").write_bytes(b"\xff\xfe\0")
    await refused(device, "sign the file again")
    (fleet.folder / "fleet.toml.minisig").write_text("rubbish\n")
    await refused(device, "is no minisign signature")
    fleet.put("fleet.toml", new)
    assert await device.fetch() is not None


async def test_an_old_configuration_replayed_is_refused_unless_a_person_forces_it(
    device: Provisioner, fleet: FleetFolder
) -> None:
    fleet.put("fleet.toml", FLEET, serial=5)
    old = {path: path.read_bytes() for path in fleet.folder.iterdir()}
    await device.fetch()
    kept(device)
    fleet.put("fleet.toml", FLEET.replace("15", "30"), serial=6)
    await device.fetch()
    kept(device)
    for path, data in old.items():
        path.write_bytes(data)
    await refused(device, "has serial 5, older than 6")
    assert await device.fetch(force=True) is not None
    assert device.reload().config.camera.rate == 15


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[room]\nhost = 'ws://hu", "fleet.toml, line 2"),
        (b"\x7fELF\xff\0", "no UTF-8"),
        (b"a = " + b"[" * 5000, "larger than any that is meant"),
    ],
)
async def test_signed_rubbish_is_refused_before_it_is_held(
    device: Provisioner, fleet: FleetFolder, text: str | bytes, says: str
) -> None:
    fleet.put("fleet.toml", FLEET)
    await device.fetch()
    kept(device)
    fleet.put("fleet.toml", text)
    await refused(device, says)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (FLEET + "[speaker]\nvolume = 'x'\n", "web/fleet.toml, line 10, column 1: speaker.volume"),
        (FLEET + "[speakre]\nvolume = 1\n", "did you mean speaker?"),
        ('include = "gone.toml"\n' + FLEET, "is included, but not there"),
        ('include = "fleet.toml"\n' + FLEET, "goes round in a circle"),
        ('include = "../../etc/x.toml"\n' + FLEET, "plain name"),
        (FLEET + f'[provisioning]\npublic_key = "{SecretKey.generate().public}"\n', "rotate"),
    ],
)
async def test_a_signed_mistake_is_refused_once_and_for_all_told(
    device: Provisioner, fleet: FleetFolder, server: StaticServer, text: str, says: str
) -> None:
    fleet.put("fleet.toml", FLEET)
    await device.fetch()
    kept(device)
    fleet.put("fleet.toml", text)
    with pytest.raises((ConfigError, Refused)) as caught:
        await device.fetch()
    assert says in str(caught.value)
    sent = server.sent.total()
    with pytest.raises((ConfigError, Refused)):
        await device.fetch()
    # It is held, and not fetched again.
    assert server.sent.total() == sent
    running = device.begin()
    assert (running.generation, running.on_trial) == (1, False)
    assert says in running.notes[0]
    assert len(device.status().refusals) == 1
    fleet.put("fleet.toml", FLEET.replace("15", "30"))
    assert await device.fetch() == 2


async def test_what_no_command_on_the_device_finds_is_not_pointed_at_and_no_password_told(
    device: Provisioner, fleet: FleetFolder, caplog: pytest.LogCaptureFixture
) -> None:
    fleet.put("fleet.toml", FLEET)
    await device.fetch()
    kept(device)
    wrong = 'turn_url = "turn:alice:c4n4ry@relay:3478"\nstun_url = "x"\n'
    fleet.put("fleet.toml", f"{FLEET}[network]\n{wrong}")
    with caplog.at_level("DEBUG"), pytest.raises(ConfigError) as caught:
        await device.fetch()
    (refusal,) = device.status().refusals
    (note,) = device.begin().notes
    assert str(caught.value) == refusal.reason
    assert refusal.reason.startswith("web/fleet.toml, line 10, column 1: network.turn_url: must be")
    assert refusal.reason.endswith(", not 'turn:...@relay:3478'")
    assert "c4n4ry" not in note + caplog.text
    # With the same in a file of the device one can look.
    fleet.put("fleet.toml", FLEET)
    device.places.local.mkdir(parents=True)
    (device.places.local / "device.toml").write_text(f"[network]\n{wrong}")
    with pytest.raises(ConfigError, match=r"\(and more, which roomlet config check names\)$"):
        await device.fetch()


async def test_fifty_mebibytes_are_not_taken(
    device: Provisioner, fleet: FleetFolder, server: StaticServer
) -> None:
    fleet.put("fleet.toml", FLEET)
    await device.fetch()
    kept(device)
    fleet.put("fleet.toml", FLEET + "# new\n")
    server.endless.add("fleet.toml")
    await refused(device, "more than 65536 bytes")
    assert server.endless_bytes < 20 * 2**20
    server.endless = {"fleet.toml.minisig"}
    await refused(device, "more than 4096 bytes")


async def test_half_an_upload_changes_nothing(
    device: Provisioner, fleet: FleetFolder, server: StaticServer
) -> None:
    fleet.put("fleet.toml", FLEET)
    fleet.put("abc.toml", "[speaker]\nvolume = 1\n")
    await device.fetch()
    kept(device)
    fleet.put("fleet.toml", FLEET.replace("15", "30"))
    fleet.put("abc.toml", "[speaker]\nvolume = 2\n")
    (fleet.folder / "abc.toml").unlink()
    await refused(device, "abc.toml is signed, but not there")
    assert device.reload().config.speaker.volume == 1
    # What was whole of it is not fetched again.
    sent = server.sent["fleet.toml"]
    (fleet.folder / "abc.toml").write_text("[speaker]\nvolume = 2\n")
    assert await device.fetch() == 2
    assert server.sent["fleet.toml"] == sent
    running = device.reload()
    assert (running.config.speaker.volume, running.config.camera.rate) == (2, 30)
    assert Mirror(device.places.mirror).read().web.spare == {}


async def test_what_is_gone_from_the_server_is_kept(
    device: Provisioner, fleet: FleetFolder, server: StaticServer
) -> None:
    fleet.put("fleet.toml", FLEET)
    fleet.put("abc.toml", "[speaker]\nvolume = 1\n")
    await device.fetch()
    kept(device)
    for path in fleet.folder.glob("abc.toml*"):
        path.unlink()
    assert await device.fetch() is None
    # An object store says 403 of what is not there.
    server.statuses = {"abc.toml.minisig": 403, f"{fleet.key.public.name}.next.pub.minisig": 403}
    assert await device.fetch() is None
    assert device.begin().config.speaker.volume == 1


async def test_a_device_whose_server_is_gone_runs_on(
    device: Provisioner, fleet: FleetFolder, server: StaticServer
) -> None:
    fleet.put("fleet.toml", FLEET)
    await device.fetch()
    kept(device)
    await server.stop()
    await refused(device, "127.0.0.1.*cannot be asked", Unreachable)
    assert device.begin().config.camera.rate == 15
    await server.start()
    for status in (500, 301):
        server.statuses["fleet.toml.minisig"] = status
        await refused(device, f"answers {status}", Unreachable)
    server.statuses.clear()
    fleet.put("fleet.toml", FLEET.replace("15", "30"))
    server.stop_after = server.asked.total() + 3
    await refused(device, "cannot be asked", Unreachable)


async def test_mirrors_are_asked_in_their_order(
    tmp_path: Path, fleet: FleetFolder, authority: Authority
) -> None:
    late = FleetFolder(tmp_path / "late")
    late.key = fleet.key
    fleet.put("fleet.toml", FLEET, serial=5)
    late.put("fleet.toml", FLEET, serial=5)
    async with (
        StaticServer(fleet.folder, authority.context()) as first,
        StaticServer(late.folder, authority.context()) as second,
    ):
        device = make_device(tmp_path / "device", [first.url, second.url], authority, fleet)
        assert await device.fetch() == 1
        assert second.asked.total() == 0
        await first.stop()
        # The same file from another mirror is not fetched again.
        assert await device.fetch() is None
        assert second.sent["fleet.toml"] == 0
        # A mirror that offers what nobody signed is passed over.
        await first.start()
        fleet.put("fleet.toml", FLEET.replace("15", "40"), key=SecretKey.generate())
        late.put("fleet.toml", FLEET.replace("15", "30"), serial=6)
        assert await device.fetch() == 2
        assert device.reload().config.camera.rate == 30
        await second.stop()
        with pytest.raises(Refused, match=rf"{first.port}/fleet/: .*; .*{second.port}/fleet/: "):
            await device.fetch()


async def test_only_the_named_authority_is_believed(
    tmp_path: Path, fleet: FleetFolder, authority: Authority
) -> None:
    fleet.put("fleet.toml", FLEET)
    stranger = Authority(tmp_path / "stranger")
    async with StaticServer(fleet.folder, stranger.context()) as server:
        device = make_device(tmp_path / "device", [server.url], authority, fleet)
        with pytest.raises(Unreachable, match="certificate verify failed"):
            await device.fetch()
        assert server.asked.total() == 0


async def test_a_clock_in_1970_is_no_reason_to_stay_without_a_configuration(
    tmp_path: Path, fleet: FleetFolder, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.put("fleet.toml", FLEET)
    # To a clock that was never set no certificate is valid; one that has ended stands for it.
    async with StaticServer(fleet.folder, authority.context(days=-1)) as server:
        device = make_device(tmp_path / "device", [server.url], authority, fleet)
        with pytest.raises(Unreachable, match="certificate has expired"):
            await device.fetch()
        monkeypatch.setattr("appliance.provisioning.web.time.time", lambda: 120.0)
        assert await device.fetch() == 1
        assert device.begin().config.camera.rate == 15
    # All else of a certificate is looked at then, too.
    stranger = Authority(tmp_path / "stranger")
    async with StaticServer(fleet.folder, stranger.context(days=-1)) as server:
        device = make_device(tmp_path / "other", [server.url], authority, fleet)
        with pytest.raises(Unreachable, match="certificate verify failed"):
            await device.fetch()


async def test_a_failed_configuration_of_the_fleet_waits_for_a_new_one(
    device: Provisioner, fleet: FleetFolder, server: StaticServer
) -> None:
    fleet.put("fleet.toml", FLEET)
    await device.fetch()
    kept(device)
    fleet.put("fleet.toml", FLEET.replace("15", "30"))
    assert await device.fetch() == 2
    running = device.begin()
    back = device.roll_back(running, "not in its room")
    assert (back.generation, back.config.camera.rate) == (1, 15)
    sent = server.sent.total()
    assert await device.fetch() is None
    assert server.sent.total() == sent
    fleet.put("fleet.toml", FLEET.replace("15", "25"))
    assert await device.fetch() == 3


async def test_a_timer_looks_when_the_time_has_come(
    tmp_path: Path, server: StaticServer, authority: Authority, fleet: FleetFolder
) -> None:
    now = 50.0
    device = make_device(tmp_path / "device", [server.url], authority, fleet, "interval = 600\n")
    device.now, device.boot = lambda: now, lambda: "boot"
    fleet.put("fleet.toml", FLEET)
    assert await device.fetch(when_due=True) == 1
    asked = server.asked.total()
    fleet.put("fleet.toml", FLEET.replace("15", "30"))
    now = 500.0
    assert await device.fetch(when_due=True) is None
    assert server.asked.total() == asked
    now = 750.0
    assert await device.fetch(when_due=True) == 2
    # After the machine's next start it looks at once.
    device.boot = lambda: "other"
    asked = server.asked.total()
    assert await device.fetch(when_due=True) is None
    assert server.asked.total() > asked


async def test_a_stick_is_taken_only_where_it_is_allowed(
    tmp_path: Path, authority: Authority, fleet: FleetFolder
) -> None:
    fleet.put("fleet.toml", FLEET)
    fleet.put("abc.toml", "[speaker]\nvolume = 5\n")
    device = make_device(tmp_path / "device", [], authority, fleet)
    with pytest.raises(Refused, match="usb = true"):
        await device.take(fleet.folder)
    device = make_device(tmp_path / "open", [], authority, fleet, "usb = true\n")
    assert await device.take(fleet.folder) == 1
    kept(device)
    # Pulled out, it still counts; over the boot partition.
    device.places.boot.parent.mkdir(parents=True)
    device.places.boot.write_text("[speaker]\nvolume = 6\n[camera]\nwidth = 640\n")
    running = device.reload()
    assert (running.config.speaker.volume, running.config.camera.width) == (5, 640)
    assert str(running.layers.origin(("speaker", "volume"))) == "usb: usb/abc.toml, line 2"
    forged = SecretKey.generate()
    fleet.put("abc.toml", "[speaker]\nvolume = 7\n", key=forged)
    with pytest.raises(Refused, match="is signed with key"):
        await device.take(fleet.folder)
    with pytest.raises(Unreachable, match=r"no signed fleet\.toml"):
        await make_device(tmp_path / "third", [], authority, fleet, "usb = true\n").take(tmp_path)
    assert device.reload().config.speaker.volume == 5


async def test_secrets_of_an_address_stay_out_of_messages(
    tmp_path: Path, authority: Authority, fleet: FleetFolder, server: StaticServer
) -> None:
    url = server.url.replace("https://", "https://fleet:c4n4ry@")
    device = make_device(tmp_path / "device", [url], authority, fleet)
    server.statuses["fleet.toml.minisig"] = 500
    with pytest.raises(Unreachable) as caught:
        await device.fetch()
    assert "c4n4ry" not in str(caught.value)


async def test_a_stick_does_not_lead_elsewhere(
    tmp_path: Path, authority: Authority, fleet: FleetFolder
) -> None:
    device = make_device(tmp_path / "device", [], authority, fleet, "usb = true\n")
    fleet.put("fleet.toml", FLEET)
    fleet.put("abc.toml", "")
    (fleet.folder / "abc.toml").rename(tmp_path / "elsewhere")
    (fleet.folder / "abc.toml").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="is a link"):
        await device.take(fleet.folder)
    (fleet.folder / "abc.toml").unlink()
    os.mkfifo(fleet.folder / "abc.toml")
    with pytest.raises(Refused, match="is no plain file"):
        await device.take(fleet.folder)


async def test_a_validator_that_cannot_be_sent_back_is_left(
    device: Provisioner, fleet: FleetFolder, server: StaticServer
) -> None:
    server.more["ETag"] = '"\u00e9"'
    fleet.put("fleet.toml", FLEET)
    assert await device.fetch() == 1
    assert await device.fetch() is None
    assert not any(v.etag for v in Mirror(device.places.mirror).read().web.validators.values())
