from __future__ import annotations

from pathlib import Path

import pytest

from appliance.provisioning import ConfigError, Health, Verdict
from appliance.provisioning.provisioner import provisioner_under
from appliance.service.settings import FileSettings, ProvisionedSettings

ROOM = '[room]\nhost = "ws://hub"\nname = "demo"\nguest = true\n'


def test_a_file_is_read_again_and_a_mistake_keeps_what_was(tmp_path: Path) -> None:
    path = tmp_path / "device.toml"
    path.write_text(ROOM)
    settings = FileSettings(path)
    first = settings.begin()
    path.write_text(ROOM + "[speaker]\nvolume = 101\n")
    assert settings.reload() is first
    (note,) = settings.notes
    assert "device.toml" in note
    assert "volume" in note
    path.write_text(ROOM + "[speaker]\nvolume = 10\n")
    assert settings.reload().speaker.volume == 10
    assert settings.notes == ()
    assert settings.probation() is None
    assert settings.roll_back("whatever") is None


def test_a_change_at_the_device_takes_nothing_of_a_file_that_is_being_written(
    tmp_path: Path,
) -> None:
    path = tmp_path / "device.toml"
    path.write_text(ROOM)
    settings = FileSettings(path)
    settings.begin()
    for half in (
        ROOM.replace("demo", "other") + '[panel]\nlisten = "0.0.0.0:9000"\npin_file = "none"\n',
        "[room",
    ):
        path.write_text(half)
        for volume in (10, 20):
            config = settings.override({("speaker", "volume"): volume})
            assert (config.room.name, config.speaker.volume) == ("demo", volume)
            assert config.panel.listen == "127.0.0.1:8081"
        # Refused, it is not what the next change lies above.
        assert settings.reload().room.name == "demo"
        assert settings.notes
        config = settings.override({("speaker", "volume"): 30})
        assert (config.room.name, config.speaker.volume) == ("demo", 30)
    path.write_text(ROOM.replace("demo", "other"))
    config = settings.reload()
    assert (config.room.name, config.speaker.volume, settings.notes) == ("other", 30, ())


def test_a_token_that_is_missing_is_a_mistake_at_once(tmp_path: Path) -> None:
    path = tmp_path / "device.toml"
    path.write_text('[room]\ntoken_file = "room.token"\n')
    with pytest.raises(ConfigError, match=r"room\.token"):
        FileSettings(path).begin()


def test_what_is_provisioned_is_tried_kept_and_given_back(tmp_path: Path) -> None:
    path = tmp_path / "etc/roomlet/device.toml"
    path.parent.mkdir(parents=True)
    path.write_text(ROOM)
    settings = ProvisionedSettings(provisioner_under(tmp_path))
    first = settings.begin()
    trial = settings.probation()
    assert trial is not None
    assert trial.observe(Health(True), trial.deadline) is Verdict.KEEP
    settings.keep()
    assert settings.probation() is None

    path.write_text(ROOM + "[speaker]\nvolume = 10\n")
    second = settings.reload()
    assert second.speaker.volume == 10
    assert settings.probation() is not None
    back = settings.roll_back("no sound")
    assert back is not None
    assert back.model_dump() == first.model_dump()
    assert settings.probation() is None
    # What failed is not tried again until somebody changes it.
    assert settings.reload().speaker.volume == 100


def test_the_first_one_that_fails_has_nothing_to_give_way_to(tmp_path: Path) -> None:
    path = tmp_path / "etc/roomlet/device.toml"
    path.parent.mkdir(parents=True)
    path.write_text(ROOM)
    settings = ProvisionedSettings(provisioner_under(tmp_path))
    settings.begin()
    assert settings.roll_back("no room") is None


def test_a_device_that_nobody_configured_says_where(tmp_path: Path) -> None:
    settings = ProvisionedSettings(provisioner_under(tmp_path))
    with pytest.raises(ConfigError, match=r"^no configuration.*; write .*/device\.toml"):
        settings.begin()
