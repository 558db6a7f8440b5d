"""The command as a user has it: a process, its two streams and its exit code."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from appliance import __version__
from appliance.cli import Exit, _main
from appliance.hub.config import HubConfig
from appliance.hub.server import HubServer
from appliance.hub.tokens import TokenOptions, mint, verify

TIMEOUT = 60.0


class Result(NamedTuple):
    code: int
    out: str
    err: str


async def roomlet(*arguments: str | Path, **environment: str) -> Result:
    return await run_command(sys.executable, "-m", "appliance", *arguments, **environment)


async def run_command(*command: str | Path, **environment: str) -> Result:
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Result(process.returncode, out.decode(), err.decode())


def complaint(result: Result, code: Exit) -> str:
    """The one line of a failure."""
    assert result.code == code, result
    lines = result.err.splitlines()
    assert len(lines) == 1, result.err
    assert lines[0].startswith("roomlet: ")
    assert "Traceback" not in result.err
    return lines[0]


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[HubServer]:
    config = HubConfig(listen="127.0.0.1:0", data=tmp_path / "hub", open_rooms=("demo",))
    hub = HubServer(config, environment={})
    await hub.start()
    yield hub
    await hub.stop()


async def test_version_and_help() -> None:
    assert (await roomlet("--version")).out == f"roomlet {__version__}\n"
    told = await roomlet("--help")
    assert told.code == 0
    for command in ("demo", "hub", "run", "join", "token", "devices"):
        assert command in told.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fly"], "No such command 'fly'; see 'roomlet --help'"),
        (["demo", "--fro", "3"], "--fro"),
        (["demo", "--for", "3"], "10"),
        (["demo", "--report", "-"], "--report needs --for"),
        (["run"], "--config"),
        (["hub", "--listen", "8080"], "'8080' is no address"),
        (["hub", "--cert", "x.pem"], "cert and key go together"),
        (["hub", "--panel", "x"], "NAME=URL"),
        (["token", "--room", "a b"], "--room: letters, digits, - and _ only; see"),
        (
            ["token", "--room", "a", "--permission", "room.self.fly"],
            "no permission 'room.self.fly'",
        ),
        (["join", "ftp://x", "demo"], "HOST: must be"),
        (["join", "x", "a b"], "ROOM: letters, digits, - and _ only"),
        (["hub", "--open-room", "a b"], "--open-room: letters, digits, - and _ only"),
        (["join", "x", "demo", "--camera", "v4l3"], "--camera: no camera backend 'v4l3'; did you"),
        (["join", "x", "demo", "--display", ":7"], "--display: no display backend ''"),
    ],
)
async def test_bad_usage_is_one_line(arguments: list[str], says: str) -> None:
    assert says in complaint(await roomlet(*arguments), Exit.USAGE)


async def test_without_a_command_there_is_the_help_and_nothing_else() -> None:
    result = await roomlet()
    assert result.code == Exit.USAGE
    assert "Usage: roomlet" in result.out
    assert result.err == ""


async def test_the_help_tells_where_a_hub_keeps_its_data() -> None:
    wide = {"COLUMNS": "200"}
    for command in ("hub", "token"):
        told = await roomlet(command, "--help", **wide)
        assert "~/.local/share/roomlet/hub" in told.out
        assert ("mode 0600" in told.out) == (command == "token")


async def test_a_report_that_cannot_be_written_is_told_before_the_demo(tmp_path: Path) -> None:
    path = tmp_path / "none" / "report.json"
    result = await roomlet("demo", "--for", "3600", "--report", path)
    assert complaint(result, Exit.OTHER).startswith(f"roomlet: {path}: no such file or directory;")


def test_a_report_that_cannot_be_written_after_all_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def report(*_: object) -> dict[str, object]:
        return {"errors": [], "canvas_fps": 25.0}

    monkeypatch.setattr("appliance.service.demo.report", report)
    # It can be opened, and takes nothing.
    monkeypatch.setattr(sys, "argv", ["roomlet", "demo", "--for", "10", "--report", "/dev/full"])
    assert _main() == Exit.OTHER
    out, err = capsys.readouterr()
    assert json.loads(out) == {"errors": [], "canvas_fps": 25.0}
    assert err == "roomlet: /dev/full: no space left on device; check the path\n"


async def test_a_hub_says_when_it_is_ready_and_ends_cleanly(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "appliance", "hub", "--listen", "127.0.0.1:0"),
        *("--data", str(tmp_path / "hub"), "--open-room", "demo"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    async with asyncio.timeout(TIMEOUT):
        line = (await process.stdout.readline()).decode()
        found = re.fullmatch(r"roomlet hub ready at http://127\.0\.0\.1:(\d+)\n", line)
        assert found is not None
        assert int(found[1]) > 0
        with socket.create_connection(("127.0.0.1", int(found[1])), timeout=10):
            pass
        process.send_signal(signal.SIGTERM)
        assert await process.stdout.read() == b""
        assert await process.wait() == 0
    keys = tmp_path / "hub" / "keys.json"
    assert keys.stat().st_mode & 0o777 == 0o600


async def test_a_port_that_is_taken(hub: HubServer, tmp_path: Path) -> None:
    address = hub.url.removeprefix("http://")
    line = complaint(await roomlet("hub", "--listen", address, "--data", tmp_path), Exit.NETWORK)
    assert address in line
    assert "--listen" in line
    port = address.rpartition(":")[2]
    for report in ([], ["--for", "10"]):
        line = complaint(await roomlet("demo", "--port", port, *report), Exit.NETWORK)
        assert line.startswith(f"roomlet: cannot listen on 127.0.0.1:{port}: the port is taken; ")
        assert line.endswith("choose another port with --port")


async def test_a_panel_port_that_is_taken(hub: HubServer, tmp_path: Path) -> None:
    address = hub.url.removeprefix("http://")
    arguments = ("join", hub.url, "demo", "--synthetic", "--panel", address)
    line = complaint(await roomlet(*arguments), Exit.NETWORK)
    assert f"{address}: the port is taken" in line


SMALL_DISK = """
mount -t tmpfs -o size=4k small "$0" && head -c 4096 /dev/zero > "$0/film" || exit 99
exec "$1" -m appliance hub --listen 127.0.0.1:0 --data "$0"
"""

FULL_FROM_THE_START = """
import errno, os, sys
from appliance.cli import main

def fsync(descriptor):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

os.fsync = fsync
sys.argv = ["roomlet", "hub", "--listen", "127.0.0.1:0", "--data", sys.argv[1]]
main()
"""


async def test_a_full_disk(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    # A real one, where a user may mount in a namespace of one's own; else the kernel's word for it.
    real = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", SMALL_DISK)
    result = await run_command(*real, str(data), sys.executable)
    if result.code != Exit.OTHER or "roomlet: " not in result.err:
        result = await run_command(sys.executable, "-c", FULL_FROM_THE_START, str(data))
    assert f"the disk of the data directory {data} is full" in complaint(result, Exit.OTHER)


async def test_a_data_directory_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = complaint(await roomlet("hub", "--data", tmp_path / "file"), Exit.OTHER)
    assert str(tmp_path / "file") in line
    assert "--data" in line


async def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    arguments = ("--data", tmp_path, "--cert", tmp_path / "no.pem", "--key", tmp_path / "no.key")
    assert "no.pem" in complaint(await roomlet("hub", *arguments), Exit.CONFIGURATION)


async def test_no_hub_there(unused_tcp_port: int) -> None:
    host = f"ws://127.0.0.1:{unused_tcp_port}"
    for token in ([], ["--token", "x.y.z"]):
        line = complaint(await roomlet("join", host, "demo", "--synthetic", *token), Exit.NETWORK)
        assert f"127.0.0.1:{unused_tcp_port}" in line
        assert "refused" in line


def token_of(hub: HubServer, key: bytes | None = None, **options: object) -> str:
    values = TokenOptions.model_validate({"room_name": "demo", **options})
    return mint(values, key or hub.keys.signing_key, project=hub.keys.project)


async def test_tokens_that_are_refused(hub: HubServer) -> None:
    cases = {
        "x.y.z": "no room token",
        token_of(hub, b"another key of another hub, as long as it has to be"): "another key",
        token_of(hub, join_until="2020-01-01"): "expired",
        token_of(hub, join_from="2099-01-01"): "not valid yet",
    }
    for token, says in cases.items():
        result = await roomlet("join", hub.url, "demo", "--synthetic", ROOMLET_TOKEN=token)
        line = complaint(result, Exit.AUTHORIZATION)
        assert says in line
        assert token not in line


async def test_a_token_for_another_room(hub: HubServer) -> None:
    result = await roomlet("join", hub.url, "board", "--token", token_of(hub))
    assert "the token is for room demo" in complaint(result, Exit.USAGE)


async def test_a_room_that_is_closed_to_guests(hub: HubServer) -> None:
    result = await roomlet("join", hub.url, "board", "--synthetic")
    assert "not open to guests" in complaint(result, Exit.AUTHORIZATION)


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (["--camera", "v4l2:/dev/video77"], "/dev/video77 is not there"),
        (["--camera", "auto:no-such-camera"], "no-such-camera"),
        (["--speaker", "synthetic:1000"], "0 to 255"),
    ],
)
async def test_no_such_device(hub: HubServer, option: list[str], says: str) -> None:
    result = await roomlet("join", hub.url, "demo", "--synthetic", *option)
    assert says in complaint(result, Exit.DEVICE)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[room]\nhots = "x"\n', "line 2, column 1: room.hots: unknown key, did you mean host?"),
        ('[room]\nhost = "x\n', "line 2, column 10:"),
        ('[room]\nhost = "h"\ntoken_file = "none"\n', "line 3, column 1: room.token_file:"),
        (
            '[room]\nhost = "h"\ntoken = "t"\n[camera]\nbackend = "sintetic"\n',
            "line 5, column 1: camera.backend: no camera backend 'sintetic'; did you mean",
        ),
    ],
)
async def test_a_configuration_with_a_mistake(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "device.toml"
    path.write_text(text)
    path.chmod(0o600)
    line = complaint(await roomlet("run", "--config", path), Exit.CONFIGURATION)
    assert line.startswith(f"roomlet: {path}, {says}")


async def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    result = await roomlet("run", "--config", tmp_path / "none.toml")
    assert "there is no such file" in complaint(result, Exit.CONFIGURATION)


async def test_debug_shows_where(tmp_path: Path) -> None:
    result = await roomlet("--debug", "run", "--config", tmp_path / "none.toml")
    assert result.code == Exit.CONFIGURATION
    assert "Traceback" in result.err
    assert result.err.splitlines()[-1].startswith("roomlet: ")


async def test_a_minted_token_is_the_hubs_own(hub: HubServer) -> None:
    permissions = ["--permission", "room.self.audio_mute", "--permission", "room.set_layout"]
    result = await roomlet(
        *("token", "--room", "demo", "--name", "Oak", "--data", hub.config.data, *permissions)
    )
    assert result.code == 0
    options = verify(result.out.strip(), hub.keys.signing_key)
    assert (options.room_name, options.user_name) == ("demo", "Oak")
    assert options.permissions == ["room.self.audio_mute", "room.set_layout"]
    assert options.join_as == "member"


async def test_a_minted_token_in_a_file_is_its_owners_alone(hub: HubServer, tmp_path: Path) -> None:
    new, old = tmp_path / "new.token", tmp_path / "old.token"
    old.write_text("what was there before, and was longer than any token will ever be" * 20)
    old.chmod(0o644)
    for path in (new, old):
        result = await roomlet("token", "--room", "demo", "--data", hub.config.data, "--out", path)
        assert result == (0, "", "")
        assert path.stat().st_mode & 0o777 == 0o600
        text = path.read_text()
        assert text.endswith("\n")
        assert verify(text.strip(), hub.keys.signing_key).room_name == "demo"


async def test_a_token_without_a_hub(tmp_path: Path) -> None:
    data = tmp_path / "none"
    result = await roomlet("token", "--room", "demo", "--data", data)
    line = complaint(result, Exit.CONFIGURATION)
    assert f"no hub's keys in {data}; start the hub there first, or give --data" in line
    assert not data.exists()


async def test_keys_of_the_environment_go_first() -> None:
    keys = {"ROOMLET_PROJECT": "p", "ROOMLET_API_TOKEN": "a secret that is long enough"}
    result = await roomlet("token", "--room", "demo", "--audience", "--minutes", "5", **keys)
    assert result.code == 0
    assert "secret" not in result.out
    from appliance.hub.keys import load

    options = verify(result.out.strip(), load(Path("/nowhere"), keys).signing_key)
    assert options.join_as == "audience"
    assert options.join_until is not None


async def test_devices_for_people_and_for_programs() -> None:
    people, programs = await asyncio.gather(roomlet("devices"), roomlet("devices", "--json"))
    found = json.loads(programs.out)
    assert {"id", "label", "kind", "backend"} == set(found[0])
    assert {device["kind"] for device in found} >= {"camera", "microphone", "speaker", "display"}
    for device in found:
        assert device["id"] in people.out
    assert people.code == programs.code == 0


async def test_join_enters_the_room_and_leaves_it_on_ctrl_c(hub: HubServer) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "appliance", "join", hub.url, "demo", "--synthetic"),
        *("--name", "Fir"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(TIMEOUT):
            line = (await process.stdout.readline()).decode()
            assert line.startswith("joining demo; the panel is at http://127.0.0.1:")
            while not [member.name for room in hub.rooms for member in room.members.values()]:
                await asyncio.sleep(0.02)
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 0
            # It said goodbye: nobody waits for it.
            while [member for room in hub.rooms for member in room.members.values()]:
                await asyncio.sleep(0.02)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
