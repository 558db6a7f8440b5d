"""`roomlet config`: what people learn of a configuration."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from appliance.cli.exit_code import ExitCode
from appliance.provisioning import Config, load
from tests.appliance.cli.command import complaint, roomlet

ROOM = '[room]\nhost = "ws://hub"\ntoken = "c4n4ry"\n'


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


async def test_check_is_silent_or_names_each_mistake_with_its_place(tmp_path: Path) -> None:
    good = write(tmp_path / "good.toml", ROOM)
    wrong = write(tmp_path / "wrong.toml", ROOM + "[camera]\nrtae = 3\n")
    other = write(tmp_path / "other.toml", ROOM + "[camera]\nbackend = 'v4l3'\n")
    assert await roomlet("config", "check", good) == (0, "", "")
    result = await roomlet("config", "check", wrong, good, other)
    assert result.code == ExitCode.CONFIGURATION
    first, second = result.err.splitlines()
    assert first == (
        f"roomlet: {wrong}, line 5, column 1: camera.rtae: unknown key, did you mean rate?"
    )
    assert second.startswith(f"roomlet: {other}, line 5, column 1: camera.backend: ")
    assert "did you mean v4l2?" in second
    assert "c4n4ry" not in result.err


async def test_check_of_devices_over_the_file_of_their_fleet(tmp_path: Path) -> None:
    fleet = write(tmp_path / "fleet.toml", ROOM)
    device = write(tmp_path / "device.toml", "[speaker]\nvolume = 40\n")
    assert await roomlet("config", "check", device, "--over", fleet) == (0, "", "")
    assert "room: is missing" in complaint(
        await roomlet("config", "check", device), ExitCode.CONFIGURATION
    )


async def test_show_tells_the_source_of_each_value(tmp_path: Path) -> None:
    write(tmp_path / "etc/roomlet/fleet.toml", ROOM)
    write(tmp_path / "etc/roomlet/device.toml", "[speaker]\nvolume = 40\n")
    write(tmp_path / "var/lib/roomlet/provisioning/overrides.toml", "[camera]\nrate = 15\n")
    result = await roomlet("config", "show", "--root", tmp_path)
    assert (result.code, result.err) == (0, "")
    assert f"volume = 40  # device: {tmp_path}/etc/roomlet/device.toml, line 2" in result.out
    assert "rate = 15.0  # panel: " in result.out
    assert "width = 1280  # built-in" in result.out
    assert "c4n4ry" not in result.out
    # To look is to change nothing.
    state = tmp_path / "var/lib/roomlet/provisioning"
    assert [path.name for path in state.iterdir()] == ["overrides.toml"]
    changed = await roomlet("config", "show", "--changed", "--secrets=shown", "--root", tmp_path)
    assert set(tomllib.loads(changed.out)) == {"room", "camera", "speaker"}
    assert 'token = "c4n4ry"  # fleet: ' in changed.out
    one = await roomlet("config", "show", tmp_path / "etc/roomlet/fleet.toml")
    assert 'token = "********"  # file: ' in one.out
    assert "room: is missing" in complaint(
        await roomlet("config", "show", "--root", tmp_path / "nothing"), ExitCode.CONFIGURATION
    )


async def test_the_schema_knows_every_key_and_what_it_means() -> None:
    result = await roomlet("config", "schema")
    assert result.code == 0
    schema = json.loads(result.out)
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == {*Config.model_fields, "include"}
    for name, section in schema["$defs"].items():
        assert section["description"], name
        for key, field in section["properties"].items():
            assert field.get("description"), f"{name}.{key}"


async def test_the_example_is_a_whole_device_with_the_built_in_values(tmp_path: Path) -> None:
    result = await roomlet("config", "example")
    assert result.code == 0
    path = write(tmp_path / "device.toml", result.out)
    assert await roomlet("config", "check", path) == (0, "", "")
    config = load(path)
    least = Config.model_validate({"room": {"token_file": "room.token"}})
    assert config.model_dump(exclude={"room"}) == least.model_dump(exclude={"room"})
    shown = {
        line.removeprefix("# ").partition(" = ")[0]
        for line in result.out.splitlines()
        if " = " in line
    }
    for name, field in Config.model_fields.items():
        assert f"[{name}]" in result.out
        assert set(getattr(field.annotation, "model_fields", {})) <= shown
