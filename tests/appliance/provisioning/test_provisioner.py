"""One device and its files, from its first start on."""

from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path

import pytest

from appliance.provisioning import ConfigError, Health, Verdict
from appliance.provisioning.errors import StoreError
from appliance.provisioning.identity import Identity
from appliance.provisioning.mirror import Mirror
from appliance.provisioning.places import Places
from appliance.provisioning.probation import STARTS
from appliance.provisioning.provisioner import Provisioner, changed_sections
from tests.appliance.provisioning.conftest import FLEET, FleetFolder, kept

ROOM = '[room]\nhost = "ws://hub"\nname = "demo"\nguest = true\n'


@pytest.fixture
def alone(tmp_path: Path) -> Provisioner:
    places = Places.under(tmp_path / "alone")
    places.local.mkdir(parents=True)
    return Provisioner(places, Identity("abc", ("dc-a6-32-01-02-03",)), now=lambda: 1000.0)


def device_file(device: Provisioner, text: str) -> None:
    (device.places.local / "device.toml").write_text(text)


# --- the files of the device itself


def test_every_layer_lies_over_those_before_it(alone: Provisioner) -> None:
    places = alone.places
    device_file(alone, ROOM)
    chain = [
        ("image", places.image),
        ("fleet", places.local / "fleet.toml"),
        ("device", places.local / "device.toml"),
        ("device", places.local / "abc.toml"),
        ("device", places.local / "dc-a6-32-01-02-03.toml"),
        ("boot", places.boot),
        ("panel", places.overrides),
    ]
    for volume, (layer, path) in enumerate(chain, 10):
        path.parent.mkdir(parents=True, exist_ok=True)
        text = f"[speaker]\nvolume = {volume}\n"
        path.write_text(text if path.name != "device.toml" else ROOM + text)
        running = alone.reload()
        assert running.config.speaker.volume == volume
        origin = running.layers.origin(("speaker", "volume"))
        assert origin is not None
        assert (origin.layer, origin.path) == (layer, path)
    # Not this device's.
    (places.local / "other.toml").write_text("[speaker]\nvolume = 99\n")
    assert alone.reload().config.speaker.volume == 16


def test_a_developer_says_it_in_the_environment(
    alone: Provisioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    device_file(alone, ROOM)
    monkeypatch.setenv("ROOMLET_CONFIG_SPEAKER_VOLUME", "7")
    monkeypatch.setenv("ROOMLET_CONFIG_ROOM_USER_NAME", 'a "b"')
    assert alone.reload().config.speaker.volume == 100
    monkeypatch.setenv("ROOMLET_DEVELOPMENT", "1")
    running = alone.reload()
    assert (running.config.speaker.volume, running.config.room.user_name) == (7, 'a "b"')
    assert str(running.layers.origin(("speaker", "volume"))).startswith("environment: ")


def test_without_any_file_it_is_said_where_one_was_looked_for_and_what_to_write(
    alone: Provisioner,
) -> None:
    places, names = alone.places, ", ".join(alone.identity.names)
    for look in (alone.begin, alone.look):
        with pytest.raises(ConfigError) as caught:
            look()
        assert str(caught.value) == (
            f"no configuration was found; write {places.local}/device.toml"
            " ('roomlet config example' shows one), or name another file on the command line:"
            f" looked for {places.image}, {places.boot},"
            f" and in {places.local} for fleet.toml, device.toml, {names}"
        )
    assert alone.store.state().current is None
    assert alone.store.state().refusals == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[speaker]\nvolume = 3\n", "no [room] is configured; write "),
        # These are told by themselves.
        ("[rom]\nhost = 'h'\n", "did you mean room?"),
        ("[speaker]\nvolume = 300\n", "must be at most 100"),
    ],
)
def test_of_files_without_a_room_it_is_said_which_they_are(
    alone: Provisioner, text: str, says: str
) -> None:
    device_file(alone, text)
    for look in (alone.begin, alone.look):
        with pytest.raises(ConfigError, match=re.escape(says)) as caught:
            look()
        assert str(alone.places.local / "device.toml") in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[room]\nhost = 'ws://hu", "line 2"),
        (b"[room]\nhost = 3\n", "room.host: must be a text, in quotes"),
        (ROOM.encode() + b"[camera]\nrtae = 3\n", "did you mean rate?"),
        (b"\x7fELF\x02\x01\x01\0\xff\xfe", "no UTF-8"),
        (b"# " + b"x" * 50 * 2**20, "more than 65536 bytes"),
        (b'include = "device.toml"\n' + ROOM.encode(), "goes round in a circle"),
        (b'include = "gone.toml"\n' + ROOM.encode(), "no such file"),
        (ROOM.encode() + b"[camera]\nbackend = 'v4l3'\n", "did you mean v4l2?"),
        (
            ROOM.encode() + b"[controls]\nbackend = 'gpio'\noptions = { mute_pin = 'x' }\n",
            "controls.options.mute_pin: must be a whole number, without quotes",
        ),
        (
            ROOM.encode() + b"[controls]\nbackend = 'gpio'\noptions = { mute_pni = 3 }\n",
            "did you mean mute_pin?",
        ),
        (
            ROOM.encode() + b"[controls]\nbackend = 'gpio'\nalso = ['virtual', 'hdi']\n",
            "controls.also: no controls backend 'hdi'",
        ),
    ],
)
def test_bad_input_is_refused_and_the_old_state_kept(
    alone: Provisioner, content: bytes, says: str
) -> None:
    device_file(alone, ROOM + "[speaker]\nvolume = 33\n")
    first = kept(alone)
    (alone.places.local / "device.toml").write_bytes(content)
    for _ in range(2):
        running = alone.begin()
        assert running.generation == first.generation
        assert not running.on_trial
        assert running.config.speaker.volume == 33
        (note,) = running.notes
        assert says in note
        assert "device.toml" in note
        assert "\n" not in note
    (refusal,) = alone.status().refusals
    assert refusal.reason in note
    # Mended, it is taken.
    device_file(alone, ROOM + "[speaker]\nvolume = 34\n")
    assert alone.reload().config.speaker.volume == 34


def test_a_change_on_the_device_is_tried_and_taken_back(
    alone: Provisioner, caplog: pytest.LogCaptureFixture
) -> None:
    device_file(alone, ROOM)
    old = kept(alone)
    device_file(
        alone, ROOM + "[camera]\nbackend = 'v4l2'\ndevice = 'gone'\n[speaker]\nvolume = 1\n"
    )
    new = alone.reload()
    assert (new.generation, new.on_trial) == (2, True)
    assert changed_sections(old.config, new.config) == {"camera", "speaker"}
    trial = alone.probation(new)
    assert trial is not None
    assert trial.deadline == 1090
    ill = Health(False, "no camera 'gone'", hopeless=True)
    assert trial.observe(ill, 1001) is Verdict.ROLL_BACK
    with caplog.at_level(logging.ERROR):
        back = alone.roll_back(new, trial.reason)
    assert (back.generation, back.on_trial) == (1, False)
    assert changed_sections(old.config, back.config) == frozenset()
    # Both are told.
    assert "configuration 2 failed (no camera 'gone'); configuration 1 is in force" in caplog.text
    (refusal,) = alone.status().refusals
    assert (refusal.generation, refusal.back_to) == (2, 1)
    # The same files are not tried for ever; another start changes nothing.
    assert alone.begin().generation == 1
    assert alone.propose() is None
    # Other files are.
    device_file(alone, ROOM + "[speaker]\nvolume = 2\n")
    assert alone.reload().generation == 3


def test_a_configuration_that_kills_the_service_is_taken_back_at_its_start(
    alone: Provisioner,
) -> None:
    device_file(alone, ROOM)
    kept(alone)
    device_file(alone, ROOM + "[speaker]\nvolume = 5\n")
    for _ in range(STARTS):
        running = alone.begin()
        trial = alone.probation(running)
        assert trial is not None
        assert trial.verdict is Verdict.WAIT
    running = alone.begin()
    trial = alone.probation(running)
    assert trial is not None
    assert trial.verdict is Verdict.ROLL_BACK
    assert alone.roll_back(running, trial.reason).config.speaker.volume == 100


def test_a_configuration_survives_its_files(alone: Provisioner) -> None:
    device_file(alone, ROOM + "[speaker]\nvolume = 33\n")
    kept(alone)
    shutil.rmtree(alone.places.local)
    assert alone.begin().config.speaker.volume == 33


def test_a_generation_lost_by_the_disk_is_put_together_anew(alone: Provisioner) -> None:
    device_file(alone, ROOM + "[speaker]\nvolume = 33\n")
    running = kept(alone)
    path = alone.places.state / f"{running.generation}.json"
    path.write_bytes(b"\0" * 100)
    again = alone.begin()
    assert again.config.speaker.volume == 33
    assert again.generation == running.generation + 1
    # Neither files nor generations: there is nothing to go by.
    (alone.places.state / f"{again.generation}.json").write_bytes(b"")
    shutil.rmtree(alone.places.local)
    with pytest.raises(StoreError, match="no generation can be read"):
        alone.begin()


# --- kept by an older version, that took what this one refuses


def older(device: Provisioner, text: str) -> None:
    """What is in force and in its topmost file, as a version took it that let this into it."""
    device_file(device, in_force(device, text))


def in_force(device: Provisioner, text: str) -> str:
    """Add to the topmost file of what is in force; what that file is then."""
    path = device.places.state / f"{device.store.state().current}.json"
    files = json.loads(path.read_text())
    files[-1]["text"] += text
    path.write_text(json.dumps(files))
    return str(files[-1]["text"])


def test_what_an_older_version_took_in_quotes_stays_in_force(alone: Provisioner) -> None:
    device_file(alone, ROOM)
    first = kept(alone)
    older(alone, '[speaker]\nvolume = "50"\n[policy]\nauto_join = "false"\n')
    for running in (alone.begin(), alone.reload(), alone.look()):
        assert (running.generation, running.on_trial) == (first.generation, False)
        assert (running.config.speaker.volume, running.config.policy.auto_join) == (50, False)
        assert running.notes == ()
    # What is changed at the panel lies above it still.
    alone.override(("camera", "width"), 640)
    assert alone.reload().config.camera.width == 640
    with pytest.raises(ConfigError, match="volume"):
        alone.override(("speaker", "volume"), "loud")
    # A new one is held to what a file may say now.
    device_file(alone, ROOM + '[speaker]\nvolume = "51"\n')
    running = alone.reload()
    assert running.config.speaker.volume == 50
    (note,) = running.notes
    assert "must be a whole number, without quotes, not '51'" in note


def test_one_on_trial_that_can_no_longer_be_gives_way_to_the_last_good_one(
    alone: Provisioner,
) -> None:
    device_file(alone, ROOM)
    kept(alone)
    older(alone, '[speaker]\nvolume = "33"\n')
    device_file(alone, ROOM + "[camera]\nwidth = 640\n")
    assert alone.begin().generation == 2
    older(alone, "[speaker]\nloudness = 3\n")
    looked = alone.look()
    assert alone.store.state().current == 2
    running = alone.begin()
    assert looked.notes == running.notes
    assert (running.generation, running.on_trial) == (1, False)
    assert running.config.speaker.volume == 33
    (note,) = running.notes
    assert note.startswith("configuration 2 can no longer be used (")
    assert "speaker.loudness: unknown key" in note
    assert note.endswith("; configuration 1 is in force")
    assert "\n" not in note
    # It is told for good, and once.
    status = alone.status()
    assert (status.generation, status.on_trial) == (1, False)
    (refusal,) = status.refusals
    assert (refusal.generation, refusal.back_to) == (2, 1)
    assert "speaker.loudness: unknown key" in refusal.reason
    assert alone.begin().notes == ()


async def test_where_to_look_for_a_better_one_is_known_of_the_last_good_one_too(
    device: Provisioner, fleet: FleetFolder
) -> None:
    for volume in (10, 11):
        fleet.put("fleet.toml", FLEET + f"[speaker]\nvolume = {volume}\n")
        await device.fetch()
        running = kept(device) if volume == 10 else device.begin()
    odd = in_force(device, "[provisioning]\nservers = 3\n")
    mirror = Mirror(device.places.mirror)
    holding = mirror.read()
    holding.web.files["fleet.toml"].text = odd
    mirror.write(holding)
    assert device.propose() is None
    assert device.store.state().current == running.generation == 2
    fleet.put("fleet.toml", FLEET + "[speaker]\nvolume = 12\n")
    assert await device.fetch() == 3
    assert device.begin().config.speaker.volume == 12


def test_a_last_good_one_that_can_no_longer_be_does_not_come_back(alone: Provisioner) -> None:
    device_file(alone, ROOM)
    kept(alone)
    older(alone, "[speaker]\nloudness = 3\n")
    device_file(alone, ROOM + "[speaker]\nvolume = 5\n")
    running = alone.begin()
    assert running.on_trial
    back = alone.roll_back(running, "it is too quiet")
    assert (back.generation, back.config.speaker.volume) == (2, 5)
    (refusal,) = alone.status().refusals
    assert (refusal.generation, refusal.back_to) == (2, None)


def test_where_none_can_be_any_more_it_is_said_why(alone: Provisioner) -> None:
    device_file(alone, ROOM)
    kept(alone)
    older(alone, "[speaker]\nloudness = 3\n")
    with pytest.raises(ConfigError, match=r"speaker\.loudness: unknown key"):
        alone.begin()
    # Mended, it is taken.
    device_file(alone, ROOM)
    assert alone.begin().generation == 2


# --- changes at the panel


def test_changes_at_the_panel_lie_over_all_and_can_be_taken_back(alone: Provisioner) -> None:
    device_file(alone, ROOM + "[speaker]\nvolume = 33\n")
    running = kept(alone)
    alone.override(("speaker", "volume"), 44)
    alone.override(("camera", "width"), 640)
    changed = alone.reload()
    assert (changed.config.speaker.volume, changed.config.camera.width) == (44, 640)
    assert changed.generation == running.generation
    assert alone.status().overrides == ["speaker.volume", "camera.width"]
    # A new configuration of the fleet leaves them.
    device_file(alone, ROOM + "[speaker]\nvolume = 55\n")
    assert alone.reload().config.speaker.volume == 44
    alone.override(("speaker", "volume"), None)
    assert alone.reload().config.speaker.volume == 55
    assert alone.status().overrides == ["camera.width"]


def test_a_change_at_the_panel_that_cannot_be_is_refused(alone: Provisioner) -> None:
    device_file(alone, ROOM)
    kept(alone)
    alone.override(("speaker", "volume"), 44)
    for key, value, says in (
        (("speaker", "volume"), 101, "must be at most 100"),
        (("speaker", "volmue"), 1, "did you mean volume?"),
        (("provisioning", "usb"), True, "cannot be changed at the device"),
    ):
        with pytest.raises(ConfigError, match=says.replace("?", r"\?")):
            alone.override(key, value)
    assert alone.reload().config.speaker.volume == 44


def test_a_change_at_the_panel_that_no_longer_fits_is_left_out_and_told(alone: Provisioner) -> None:
    device_file(alone, ROOM)
    kept(alone)
    alone.places.overrides.write_text("[speaker]\nvolume = 'loud'\n")
    running = alone.begin()
    assert running.config.speaker.volume == 100
    (note,) = running.notes
    assert note.startswith("changes made at the panel are left out: ")
    # The next change takes the place of a file that cannot be read.
    alone.places.overrides.write_bytes(b"\xff")
    alone.override(("speaker", "volume"), 12)
    assert alone.reload().config.speaker.volume == 12


def test_what_is_said_of_updates_is_known_without_a_device(alone: Provisioner) -> None:
    assert alone.updates().reboot == "when_idle"
    # One that was never told its room is restarted by the same rule.
    device_file(alone, '[updates]\nreboot = "never"\n')
    assert alone.updates().reboot == "never"
    device_file(alone, '[updates]\nreboot = "nevr"\n')
    with pytest.raises(ConfigError, match=r"updates\.reboot"):
        alone.updates()
    # What is in force counts, with what was changed at the panel, and not what is being written.
    device_file(alone, ROOM)
    alone.begin()
    device_file(alone, '[updates]\nreboot = "never"\n')
    assert alone.updates().reboot == "when_idle"
    alone.override(("updates", "reboot"), "never")
    assert alone.updates().reboot == "never"
