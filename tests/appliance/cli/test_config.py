"""`roomlet config`: what people learn of a configuration."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from appliance.cli.exit_code import ExitCode
from appliance.provisioning import Config, load
from appliance.provisioning.mirror import Held, Holding, Mirror
from tests.appliance.cli.command import complaint, roomlet

ROOM = '[room]\nhost = "ws://hub"\ntoken = "c4n4ry"\n'


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


async def test_check_is_silent_or_names_all_mistakes_with_their_places(tmp_path: Path) -> None:
    good = write(tmp_path / "good.toml", ROOM)
    wrong = write(
        tmp_path / "wrong.toml",
        ROOM + "[camera]\nrtae = 3\nwidth = '640'\n[speaker]\nvolume = 101\n",
    )
    other = write(tmp_path / "other.toml", "[camera]\nbackend = 'v4l3'\n")
    broken = write(tmp_path / "broken.toml", ROOM + "[camera\n")
    assert await roomlet("config", "check", good) == (0, "", "")
    result = await roomlet("config", "check", wrong, good, other, broken, tmp_path / "gone.toml")
    assert (result.code, result.out) == (ExitCode.CONFIGURATION, "")
    lines = result.err.splitlines()
    assert lines[:4] == [
        f"roomlet: {wrong}, line 5, column 1: camera.rtae: unknown key, did you mean rate?",
        f"roomlet: {wrong}, line 6, column 1: camera.width:"
        " must be a whole number, without quotes, not '640'",
        f"roomlet: {wrong}, line 8, column 1: speaker.volume: must be at most 100, not 101",
        f"roomlet: {other}: room: is missing; add it",
    ]
    assert lines[4].startswith(f"roomlet: {other}, line 2, column 1: camera.backend: ")
    assert "did you mean v4l2?" in lines[4]
    assert lines[5].startswith(f"roomlet: {broken}, line 4, column 8: ")
    assert lines[6] == f"roomlet: {tmp_path}/gone.toml: there is no such file; check its name"
    assert len(lines) == 7
    assert "c4n4ry" not in result.err


async def test_check_names_what_a_backend_would_refuse_at_the_start(tmp_path: Path) -> None:
    wrong = write(
        tmp_path / "wrong.toml",
        ROOM
        + "[controls]\nbackend = 'gpio'\noptions = { mute_pin = 17, tally_red = 17 }\n"
        + "[display]\nbackend = 'sdl'\n[display.options]\nheight = 1\n",
    )
    result = await roomlet("config", "check", wrong)
    assert (result.code, result.out) == (ExitCode.CONFIGURATION, "")
    assert result.err.splitlines() == [
        f"roomlet: {wrong}, line 6, column 13: controls.options.mute_pin:"
        " pin 17 is given to mute_pin and tally_red; each needs its own",
        f"roomlet: {wrong}, line 10, column 1: display.options.height:"
        " a screen of 1280x1 is out of range; use 16x16 to 7680x4320",
    ]


async def test_a_run_tells_one_mistake_and_where_to_see_the_others(tmp_path: Path) -> None:
    wrong = write(tmp_path / "wrong.toml", ROOM + "[camera]\nrtae = 3\nwidth = 'x'\n")
    line = complaint(await roomlet("run", "--config", wrong), ExitCode.CONFIGURATION)
    assert line.endswith(
        "camera.rtae: unknown key, did you mean rate? (and more, which roomlet config check names)"
    )


async def test_check_looks_at_the_files_that_are_named(tmp_path: Path) -> None:
    text = '[room]\nhost = "h"\ntoken_file = "room.token"\n[panel]\npin_file = "panel.pin"\n'
    path = write(tmp_path / "device.toml", text)
    # Written elsewhere: the secrets are on the device.
    missing = await roomlet("config", "check", path)
    assert (missing.code, missing.out) == (0, "")
    assert missing.err.splitlines() == [
        f"roomlet: warning: {path}, line {line}, column 1: {key}: {tmp_path}/{name}"
        " cannot be looked at here; the device needs it"
        for line, key, name in (
            (3, "room.token_file", "room.token"),
            (5, "panel.pin_file", "panel.pin"),
        )
    ]
    here = await roomlet("config", "check", "--here", path)
    assert (here.code, here.out) == (ExitCode.CONFIGURATION, "")
    assert here.err.splitlines() == [
        f"roomlet: {path}, line {line}, column 1: {key}: {tmp_path}/{name}:"
        f" no such file or directory; put the {what} there"
        for line, key, name, what in (
            (3, "room.token_file", "room.token", "room token"),
            (5, "panel.pin_file", "panel.pin", "PIN"),
        )
    ]
    # What is there and is wrong is a mistake wherever it is looked at; others are warned of.
    write(tmp_path / "panel.pin", "123")
    write(tmp_path / "room.token", "abc").chmod(0o644)
    result = await roomlet("config", "check", path, path)
    assert result.code == ExitCode.CONFIGURATION
    assert result.err.splitlines() == [
        f"roomlet: {path}, line 5, column 1: panel.pin_file: holds a PIN of less than 6 characters",
        f"roomlet: warning: {tmp_path}/room.token can be read by others;"
        f" run: chmod 600 {tmp_path}/room.token",
    ]
    write(tmp_path / "panel.pin", "123456")
    assert (await roomlet("config", "check", "--here", path)).code == 0
    (tmp_path / "room.token").chmod(0o600)
    assert await roomlet("config", "check", "--here", path) == (0, "", "")


async def test_the_files_of_a_configuration_with_a_mistake_are_looked_at_too(
    tmp_path: Path,
) -> None:
    text = ROOM + '[panel]\nqr = "yes"\npin_file = "panel.pin"\n[policy]\nautojoin = true\n'
    path = write(tmp_path / "device.toml", text)
    write(tmp_path / "panel.pin", "")
    result = await roomlet("config", "check", path)
    assert result.code == ExitCode.CONFIGURATION
    assert [line.split(": ")[2] for line in result.err.splitlines()] == [
        "panel.qr",
        "panel.pin_file",
        "policy.autojoin",
    ]


async def test_check_of_devices_over_the_file_of_their_fleet(tmp_path: Path) -> None:
    fleet = write(tmp_path / "fleet.toml", ROOM)
    device = write(tmp_path / "device.toml", "[speaker]\nvolume = 40\n")
    assert await roomlet("config", "check", device, "--over", fleet) == (0, "", "")
    assert "room: is missing" in complaint(
        await roomlet("config", "check", device), ExitCode.CONFIGURATION
    )


async def test_the_files_of_a_fleet_are_checked_as_its_devices_take_them(tmp_path: Path) -> None:
    www = tmp_path / "www"
    # No device by itself, nor with what lies below it: each device says its room.
    fleet = write(www / "fleet.toml", 'include = "site.toml"\n[camera]\nrate = 15\n')
    site = write(www / "site.toml", "[speaker]\nvolume = 40\n")
    floor = write(www / "floor.toml", '[panel]\npin_file = "panel.pin"\n')
    text = 'include = "floor.toml"\n[room]\nhost = "h"\ntoken_file = "room.token"\n'
    oak, elm = write(www / "oak.toml", text), write(www / "elm.toml", text)
    # What is beside them here is published, and is not what the devices have.
    write(www / "room.token", "")
    command = ("config", "check", *sorted(www.glob("*.toml")), "--over", fleet)
    result = await roomlet(*command)
    assert (result.code, result.out) == (0, "")
    unseen = "cannot be looked at here; the device needs it"
    pin = f"{floor}, line 2, column 1: panel.pin_file: /etc/roomlet/panel.pin {unseen}"
    assert result.err.splitlines() == [
        f"roomlet: warning: {line}"
        for line in (
            pin,
            f"{elm}, line 4, column 1: room.token_file: /etc/roomlet/room.token {unseen}",
            f"{oak}, line 4, column 1: room.token_file: /etc/roomlet/room.token {unseen}",
        )
    ]
    # A mistake in what they share is told once, and that a device would not go beyond the folder.
    write(site, "[speaker]\nvolume = 400\n")
    write(tmp_path / "other.toml", "")
    write(oak, text.replace("floor.toml", "../other.toml"))
    result = await roomlet(*command)
    assert result.code == ExitCode.CONFIGURATION
    assert [line for line in result.err.splitlines() if "warning" not in line] == [
        f"roomlet: {site}, line 2, column 1: speaker.volume: must be at most 100, not 400",
        f"roomlet: {oak}, line 1, column 1: include:"
        " ../other.toml is no plain name; put the file beside it",
    ]
    alone = await roomlet("config", "check", fleet, "--over", www / "../www/fleet.toml")
    assert "none of the files is a device's" in complaint(alone, ExitCode.USAGE)


async def test_a_wrong_include_hides_no_other_mistake(tmp_path: Path) -> None:
    site = write(tmp_path / "site.toml", "[speaker]\nvolume = 400\n")
    broken = write(tmp_path / "broken.toml", "[log\n")
    device = write(
        tmp_path / "device.toml",
        'include = ["gone.toml", "site.toml", "broken.toml", "device.toml"]\n'
        "[camera]\nrtae = 3\n"
        # What these would say together with what is in the files that were left out, nobody knows.
        "[controls]\nbackend = 'gpio'\noptions = { mute_pin = '17' }\n"
        "[display]\noptions = { fulscreen = true }\n[panel]\nlisten = '0.0.0.0:1'\n",
    )
    result = await roomlet("config", "check", device)
    assert (result.code, result.out) == (ExitCode.CONFIGURATION, "")
    include = f"roomlet: {device}, line 1, column 1: include:"
    assert result.err.splitlines() == [
        f"roomlet: {site}, line 2, column 1: speaker.volume: must be at most 100, not 400",
        f"{include} gone.toml: there is no such file; check its name",
        f"{include} goes round in a circle: device.toml includes device.toml; break it",
        f"roomlet: {device}, line 3, column 1: camera.rtae: unknown key, did you mean rate?",
        f"roomlet: {device}, line 6, column 13: controls.options.mute_pin:"
        " must be a whole number, without quotes, not '17'",
        *(line for line in result.err.splitlines() if str(broken) in line),
    ]
    assert result.err.count(f"{broken}, line 1, column 5: ") == 1


async def test_a_file_that_is_no_toml_hides_no_mistake_in_another(tmp_path: Path) -> None:
    fleet = write(tmp_path / "fleet.toml", ROOM + "[speaker]\nvolume = 400\n")
    oak = write(tmp_path / "oak.toml", "[speaker\n")
    elm = write(tmp_path / "elm.toml", "[camera]\nrtae = 3\n")
    wrong = await roomlet("config", "check", oak, elm, "--over", fleet)
    assert [line.split(", line ")[0] for line in wrong.err.splitlines()] == [
        f"roomlet: {fleet}",
        f"roomlet: {oak}",
        f"roomlet: {elm}",
    ]
    # On the device its other files are looked at, too.
    local = write(tmp_path / "root/etc/roomlet/device.toml", 'include = "x.toml"\nlog.level = 3\n')
    boot = write(tmp_path / "root/boot/firmware/roomlet.toml", "[camera]\nrtae = 3\n")
    here = await roomlet("config", "check", "--here", "--root", tmp_path / "root")
    assert [line.split(": ")[1:3] for line in here.err.splitlines()] == [
        [f"{local}, line 1, column 1", "include"],
        [f"{local}, line 2, column 5", "log.level"],
        [f"{boot}, line 2, column 1", "camera.rtae"],
    ]


async def test_show_of_a_device_over_the_file_of_its_fleet(tmp_path: Path) -> None:
    site = write(tmp_path / "site.toml", "[camera]\nrate = 15\n")
    fleet = write(tmp_path / "fleet.toml", 'include = "site.toml"\n' + ROOM)
    oak = write(tmp_path / "oak.toml", '[speaker]\nvolume = 40\n[panel]\npin_file = "p.pin"\n')
    result = await roomlet("config", "show", oak, "--over", fleet, "--changed")
    assert (result.code, result.err) == (0, "")
    assert [line for line in result.out.splitlines() if line] == [
        "[room]",
        f'host = "ws://hub"  # fleet: {fleet}, line 3',
        f'token = "********"  # fleet: {fleet}, line 4',
        "[camera]",
        f"rate = 15.0  # fleet: {site}, line 2",
        "[speaker]",
        f"volume = 40  # device: {oak}, line 2",
        "[panel]",
        # As it begins on the device.
        f'pin_file = "/etc/roomlet/p.pin"  # device: {oak}, line 4',
    ]
    line = complaint(await roomlet("config", "show", "--over", fleet), ExitCode.USAGE)
    assert f"name the file of the device that {fleet} lies below" in line


async def test_show_and_check_name_the_same_file_for_what_is_missing(tmp_path: Path) -> None:
    site = write(tmp_path / "site.toml", "[camera]\nrate = 15\n")
    fleet = write(tmp_path / "fleet.toml", "[speaker]\nvolume = 40\n")
    oak = write(tmp_path / "oak.toml", f'include = "{site.name}"\n')
    for over in ([], ["--over", fleet]):
        for verb in ("show", "check"):
            result = await roomlet("config", verb, oak, *over)
            line = complaint(result, ExitCode.CONFIGURATION)
            assert line == f"roomlet: {oak}: room: is missing; add it"


async def test_check_of_this_device_looks_at_all_its_files(tmp_path: Path) -> None:
    command = ("config", "check", "--here", "--root", tmp_path)
    local = tmp_path / "etc/roomlet"
    assert f"no configuration was found; write {local}/device.toml" in complaint(
        await roomlet(*command), ExitCode.CONFIGURATION
    )
    device = write(local / "device.toml", "[provisioning]\ninterval = 900\n")
    assert f"no [room] is configured; write {device}" in complaint(
        await roomlet(*command), ExitCode.CONFIGURATION
    )
    # The fleet's files came from its server.
    state = tmp_path / "var/lib/roomlet/provisioning"
    fleet = '[room]\nhost = "h"\ntoken_file = "room.token"\n[camera]\nrate = "15"\n'
    holding = Holding()
    holding.web.files["fleet.toml"] = Held(text=fleet, signature="")
    state.mkdir(parents=True)
    Mirror(state / "fleet.json").write(holding)
    changes = write(state / "overrides.toml", "[speaker]\nvolume = 400\n")
    result = await roomlet(*command)
    assert (result.code, result.out) == (ExitCode.CONFIGURATION, "")
    assert result.err.splitlines() == [
        f"roomlet: web/fleet.toml, line 3, column 1: room.token_file: {local}/room.token:"
        " no such file or directory; put the room token there",
        "roomlet: web/fleet.toml, line 5, column 1: camera.rate:"
        " must be a number, without quotes, not '15'",
        f"roomlet: {changes}, line 2, column 1: speaker.volume: must be at most 100, not 400",
    ]
    write(local / "room.token", "abc")
    changes.unlink()
    holding.web.files["fleet.toml"].text = fleet.replace('"15"', "15")
    Mirror(state / "fleet.json").write(holding)
    assert await roomlet(*command) == (0, "", "")
    # To look is to change nothing.
    assert [path.name for path in state.iterdir()] == ["fleet.json"]


async def test_check_without_a_file_is_of_this_device_alone() -> None:
    for options in ((), ("--over", "fleet.toml"), ("--here", "--over", "fleet.toml")):
        line = complaint(await roomlet("config", "check", *options), ExitCode.USAGE)
        assert "name the file of each device; without one, --here alone does" in line


async def test_show_tells_the_source_of_each_value(tmp_path: Path) -> None:
    write(tmp_path / "etc/roomlet/fleet.toml", ROOM)
    write(tmp_path / "etc/roomlet/device.toml", "[speaker]\nvolume = 40\n")
    write(tmp_path / "var/lib/roomlet/provisioning/overrides.toml", "[camera]\nrate = 15\n")
    result = await roomlet("config", "show", "--root", tmp_path)
    assert (result.code, result.err) == (0, "")
    assert f"volume = 40  # device: {tmp_path}/etc/roomlet/device.toml, line 2" in result.out
    # Nobody ever wrote the file that it is kept in.
    assert "rate = 15.0  # the panel\n" in result.out
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
    nothing = tmp_path / "nothing"
    line = complaint(await roomlet("config", "show", "--root", nothing), ExitCode.CONFIGURATION)
    assert f"no configuration was found; write {nothing}/etc/roomlet/device.toml" in line
    assert f"looked for {nothing}/usr/lib/roomlet/config.toml, " in line


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
    write(tmp_path / "room.token", "abc")
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
