"""`roomlet provision`: from a table of rooms to a device, by the commands alone."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from appliance.cli.exit_code import ExitCode
from tests.appliance.cli.command import TIMEOUT, Result, complaint, roomlet, run_command

FLEET = '[room]\nhost = "ws://hub"\nname = "demo"\nguest = true\n'


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "rooms.csv").write_text("mac,room\ndc:a6:32:01:02:03,Oak\n")
    (tmp_path / "template.toml").write_text('[room]\nuser_name = "${room}"\n')
    (tmp_path / "fleet").mkdir()
    (tmp_path / "fleet/fleet.toml").write_text(FLEET)
    interface = tmp_path / "device/sys/class/net/eth0"
    (interface / "device").mkdir(parents=True)
    (interface / "address").write_text("dc:a6:32:01:02:03\n")
    return tmp_path


async def test_from_a_table_to_a_device(site: Path) -> None:
    fleet, device = site / "fleet", site / "device"
    keys = await roomlet("provision", "keys", site / "keys/fleet", "--unlocked")
    secret, public = site / "keys/fleet.key", site / "keys/fleet.pub"
    assert keys.code == 0
    assert secret.stat().st_mode & 0o777 == 0o600
    again = await roomlet("provision", "keys", site / "keys/fleet", "--unlocked")
    assert "is there already" in complaint(again, ExitCode.USAGE)

    render = ("provision", "render", site / "rooms.csv", site / "template.toml", fleet)
    dry = await roomlet(*render, "--over", fleet / "fleet.toml", "--dry-run")
    assert '+user_name = "Oak"' in dry.out
    assert dry.err == "1 of 1 files would change\n"
    assert not (fleet / "dc-a6-32-01-02-03.toml").exists()
    made = await roomlet(*render, "--over", fleet / "fleet.toml")
    assert (made.code, made.out, made.err) == (0, "", "1 of 1 files changed\n")

    unsigned = await roomlet("provision", "verify", fleet, "--public-key", public)
    assert "is not signed" in complaint(unsigned, ExitCode.CONFIGURATION)
    (fleet / "other.toml").write_text("[room]\n")
    (fleet / "other.toml.minisig").write_bytes(b"\xff")
    both = await roomlet("provision", "verify", fleet, "--public-key", public)
    assert (both.code, both.out) == (ExitCode.CONFIGURATION, "")
    assert both.err.splitlines() == [
        "roomlet: dc-a6-32-01-02-03.toml is not signed; run roomlet provision sign"
        " (2 of 3 files: dc-a6-32-01-02-03.toml, fleet.toml)",
        "roomlet: other.toml.minisig is no text; sign the file again",
    ]
    for path in fleet.glob("other.*"):
        path.unlink()
    signed = await roomlet("provision", "sign", fleet, "--key", secret)
    assert signed.out == "signed dc-a6-32-01-02-03.toml\nsigned fleet.toml\n"
    verified = await roomlet("provision", "verify", fleet, "--public-key", keys.out.strip())
    assert [line.split()[0] for line in verified.out.splitlines()] == [
        "dc-a6-32-01-02-03.toml",
        "fleet.toml",
    ]
    packed = await roomlet(
        *("provision", "bundle", fleet, "--public-key", public, "--out", site / "f.tar.gz")
    )
    assert packed.code == 0
    assert (site / "f.tar.gz").stat().st_size > 0

    root = ("--root", device)
    closed = await roomlet("provision", "take", fleet, *root)
    assert "usb = true" in complaint(closed, ExitCode.CONFIGURATION)
    boot = device / "boot/firmware/roomlet.toml"
    boot.parent.mkdir(parents=True)
    boot.write_text(f'[provisioning]\nusb = true\npublic_key = "{keys.out.strip()}"\n')
    taken = await roomlet("provision", "take", fleet, *root)
    assert taken.out == "configuration 1 is in force, on trial\n", taken
    assert (await roomlet("provision", "take", fleet, *root)).out == "nothing new\n"
    told = json.loads((await roomlet("provision", "status", "--json", *root)).out)
    assert (told["identity"], told["generation"], told["on_trial"]) == (
        "dc-a6-32-01-02-03",
        1,
        True,
    )
    shown = await roomlet("config", "show", *root)
    assert 'user_name = "Oak"  # usb: usb/dc-a6-32-01-02-03.toml, line 2' in shown.out
    text = (await roomlet("provision", "status", *root)).out
    assert "in force: 1, on trial\nlast good: none\n" in text
    overrides = device / "var/lib/roomlet/provisioning/overrides.toml"
    overrides.write_text("[speaker]\nvolume = 20\n[camera]\nrate = 15\n")
    assert "at the panel: speaker.volume\n" in (await roomlet("provision", "status", *root)).out
    strange = await roomlet("provision", "forget", "speaker.rate", *root)
    assert "was not changed" in complaint(strange, ExitCode.USAGE)
    forgotten = await roomlet("provision", "forget", "speaker.volume", *root)
    assert forgotten.out == "taken back: speaker.volume\n"
    assert overrides.read_text() == "[camera]\nrate = 15\n"
    assert (await roomlet("provision", "forget", *root)).out == "taken back: camera.rate\n"
    assert overrides.read_text() == ""
    # No servers are named: there is nothing to look at.
    assert (await roomlet("provision", "fetch", *root)).out == "nothing new\n"
    boot.write_text(boot.read_text() + 'urls = ["https://127.0.0.1:1/"]\n')
    # The new file of the device is taken first; then nobody answers.
    assert (await roomlet("provision", "fetch", *root)).code == ExitCode.NETWORK
    assert "127.0.0.1:1/" in complaint(await roomlet("provision", "fetch", *root), ExitCode.NETWORK)

    await roomlet("provision", "keys", site / "keys/next", "--unlocked")
    rotated = await roomlet(
        *("provision", "rotate", fleet, "--key", secret, "--to", site / "keys/next.pub")
    )
    assert (fleet / rotated.out.strip()).read_bytes() == (site / "keys/next.pub").read_bytes()
    signed = await roomlet("provision", "sign", fleet, "--key", site / "keys/next.key")
    assert "signed fleet.toml\n" in signed.out


async def test_verify_and_bundle_look_at_what_the_signed_files_say(site: Path) -> None:
    fleet, keys = site / "fleet", site / "keys/fleet"
    secret, public = keys.with_suffix(".key"), keys.with_suffix(".pub")
    assert (await roomlet("provision", "keys", keys, "--unlocked")).code == 0
    commands = [
        ("provision", "verify", fleet, "--public-key", public),
        ("provision", "bundle", fleet, "--public-key", public, "--out", site / "f.tar.gz"),
    ]
    oak = fleet / "oak.toml"
    oak.write_text('[room]\ntoken = "c4n4ry"\n[speaker]\nvolume = 140\n')
    warning = (
        f"roomlet: warning: {oak} holds a token, which a fleet's files tell everybody;"
        " put the token on the device instead, and its place here (token_file)"
    )
    assert (await roomlet("provision", "sign", fleet, "--key", secret)).code == 0
    for command in commands:
        result = await roomlet(*command)
        assert (result.code, result.out) == (ExitCode.CONFIGURATION, "")
        assert result.err.splitlines() == [
            warning,
            "roomlet: oak.toml, line 4, column 1: speaker.volume: must be at most 100, not 140",
        ]
    assert not (site / "f.tar.gz").exists()
    oak.write_text(oak.read_text().replace("140", "40"))
    assert (await roomlet("provision", "sign", fleet, "--key", secret)).code == 0
    for command in commands:
        result = await roomlet(*command)
        assert (result.code, result.err.splitlines()) == (0, [warning])


async def test_render_names_all_mistakes_and_writes_nothing(site: Path) -> None:
    table, template, fleet = site / "rooms.csv", site / "template.toml", site / "fleet"
    table.write_text(
        "serial,room,volume\n"
        + "".join(f"r{number},Oak,40\n" for number in range(9))
        + "s1,Elm,140\ns2,Ash\n"
    )
    template.write_text(
        '[room]\nuser_nam = "${room}"\n[speaker]\nvolume = ${volume}\n[camera]\nrate = "15"\n'
    )
    render = ("provision", "render", table, template, fleet, "--over", fleet / "fleet.toml")
    for options in ((), ("--dry-run",)):
        result = await roomlet(*render, *options)
        assert (result.code, result.out) == (ExitCode.CONFIGURATION, "")
        assert result.err.splitlines() == [
            f"roomlet: {template}, line 2, column 1: room.user_nam: unknown key,"
            " did you mean user_name? (10 of 10 files: r0.toml, r1.toml, r2.toml, ...)",
            f"roomlet: {template}, line 6, column 1: camera.rate: must be a number, without"
            " quotes, not '15' (10 of 10 files: r0.toml, r1.toml, r2.toml, ...)",
            f"roomlet: {table}, line 11: volume: speaker.volume: must be at most 100,"
            f" not 140 ({template} and s1.toml, line 4)",
            f"roomlet: {table}, line 12: has fewer cells than the first line;"
            " leave none out, be it empty",
            "nothing is written; mend these first",
        ]
        assert [path.name for path in fleet.iterdir()] == ["fleet.toml"]
    # Who forgot the fleet's file may look for a mistake that is none.
    alone = await roomlet(*render[:-2])
    assert f"{fleet}/fleet.toml did not count; --over {fleet}/fleet.toml lays it" in alone.err


async def test_a_bundle_is_what_its_name_says(site: Path) -> None:
    out = site / "rooms.zip"
    result = await roomlet("provision", "bundle", site, "--public-key", "RWx", "--out", out)
    assert f"{out} is to be a .tar.gz; name it so" in complaint(result, ExitCode.USAGE)
    assert not out.exists()


@pytest.mark.parametrize("command", ["verify", "bundle"])
async def test_a_public_key_that_is_not_there_is_named(site: Path, command: str) -> None:
    out = ("--out", site / "f.tar.gz") if command == "bundle" else ()

    async def refused(key: str | Path) -> str:
        result = await roomlet("provision", command, site / "fleet", "--public-key", key, *out)
        return complaint(result, ExitCode.CONFIGURATION)

    assert f"{site}/fleet.pub: there is no such file" in await refused(site / "fleet.pub")
    assert "RWabc: there is no such file" in await refused("RWabc")
    other = site / "template.toml"
    assert f"{other} is not a minisign public key" in await refused(other)


async def test_a_locked_key_without_its_password_is_one_line(site: Path) -> None:
    data = Path(__file__).parents[1] / "provisioning/data"
    wrong = await roomlet("provision", "sign", site / "fleet", "--key", data / "fleet.toml")
    assert "fleet.toml is not a minisign secret key" in complaint(wrong, ExitCode.CONFIGURATION)
    gone = await roomlet("provision", "sign", site / "fleet", "--key", site / "gone.key")
    assert "gone.key: no such file" in complaint(gone, ExitCode.OTHER)


async def without_terminal(*arguments: str | Path) -> Result:
    """Also where the tests themselves run in one."""
    return await run_command(
        *("setsid", "--wait", sys.executable, "-m", "appliance", "provision"), *arguments
    )


async def test_a_password_that_cannot_be_asked_for_is_one_line(site: Path) -> None:
    needed = (
        "needs a password, and there is no terminal to ask for it; give it with --password-file"
    )
    made = await without_terminal("keys", site / "fleet")
    assert needed in complaint(made, ExitCode.USAGE)
    assert not (site / "fleet.key").exists()
    (site / "password").write_text("")
    empty = await without_terminal("keys", site / "fleet", "--password-file", site / "password")
    assert "password is empty" in complaint(empty, ExitCode.USAGE)
    assert not (site / "fleet.key").exists(), "a key that was to be locked is not made unlocked"
    (site / "password").write_text("correct horse\n")
    given = ("--password-file", site / "password")
    made = await without_terminal("keys", site / "fleet", *given)
    assert (made.code, made.err) == (0, "")
    sign = ("sign", site / "fleet", "--key", site / "fleet.key")
    assert needed in complaint(await without_terminal(*sign), ExitCode.USAGE)
    signed = await without_terminal(*sign, *given)
    assert (signed.code, signed.out) == (0, "signed fleet.toml\n")


async def test_a_password_is_asked_for_at_a_terminal(site: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"),
        *(sys.executable, "-m", "appliance", "provision", "keys", str(site / "fleet")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    told = b""
    try:
        async with asyncio.timeout(TIMEOUT):
            # The space comes when the terminal shows no more what is typed.
            for prompt in (b"Password of the secret key: ", b"Repeat for confirmation: "):
                told += await process.stdout.readuntil(prompt)
                process.stdin.write(b"correct horse\n")
            told += await process.stdout.read()
            assert await process.wait() == 0, told
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert b"correct" not in told
    assert (site / "fleet.pub").exists()
