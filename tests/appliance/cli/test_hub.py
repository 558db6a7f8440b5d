"""`roomlet hub`: its one line, its end, and what keeps it from starting."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from appliance.cli.exit_code import ExitCode
from appliance.cli.hub import app
from appliance.hub import server
from appliance.hub.config import HubConfig
from appliance.hub.server import HubServer
from tests.appliance.cli.command import TIMEOUT, complaint, roomlet, run_command


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
    line = complaint(
        await roomlet("hub", "--listen", address, "--data", tmp_path), ExitCode.NETWORK
    )
    assert address in line
    assert "--listen" in line
    port = address.rpartition(":")[2]
    for report in ([], ["--for", "10"]):
        line = complaint(await roomlet("demo", "--port", port, *report), ExitCode.NETWORK)
        assert line.startswith(f"roomlet: cannot listen on 127.0.0.1:{port}: the port is taken; ")
        assert line.endswith('roomlet demo --port 0, or make demo ARGS="--port 0"')


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
    if result.code != ExitCode.OTHER or "roomlet: " not in result.err:
        result = await run_command(sys.executable, "-c", FULL_FROM_THE_START, str(data))
    assert f"the disk of the data directory {data} is full" in complaint(result, ExitCode.OTHER)


async def test_a_data_directory_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = complaint(await roomlet("hub", "--data", tmp_path / "file"), ExitCode.OTHER)
    assert str(tmp_path / "file") in line
    assert "--data" in line


async def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    arguments = ("--data", tmp_path, "--cert", tmp_path / "no.pem", "--key", tmp_path / "no.key")
    assert "no.pem" in complaint(await roomlet("hub", *arguments), ExitCode.CONFIGURATION)


async def test_its_rooms_and_its_names_are_as_the_operator_says(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "appliance", "hub", "--listen", "127.0.0.1:0"),
        *("--data", str(tmp_path), "--open-room", "demo", "--canvas", "1920x1080", "--fps", "20"),
        *("--max-members", "7", "--allowed-host", "hub.example"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    async with asyncio.timeout(TIMEOUT):
        url = (await process.stdout.readline()).decode().split()[-1]
        keys = json.loads((tmp_path / "keys.json").read_text())
        access = (keys["project"], keys["api_token"])
        async with httpx.AsyncClient(base_url=url, auth=access) as client:
            room = (await client.get("/api/video/rooms/demo")).json()
            for name, status in (("hub.example", 200), ("other.example", 403)):
                answer = await client.get("/health", headers={"Host": name})
                assert answer.status_code == status
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    assert (room["quality"], room["fps"], room["max_members"]) == ("1080p", 20, 7)


def configured(monkeypatch: pytest.MonkeyPatch, data: Path, *arguments: str) -> HubConfig:
    """The settings of a hub that is started with these arguments."""
    configs: list[HubConfig] = []

    async def serve(config: HubConfig, *_: object) -> None:
        configs.append(config)

    monkeypatch.setattr(server, "serve", serve)
    result = CliRunner().invoke(app, ["--data", str(data), *arguments])
    assert result.exit_code == 0, result.output
    (config,) = configs
    return config


def test_every_option_reaches_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert configured(monkeypatch, tmp_path) == HubConfig(data=tmp_path)
    config = configured(
        monkeypatch,
        tmp_path,
        *("--canvas", "640x360", "--fps", "15", "--max-members", "9"),
        *("--media-address", "127.0.0.2", "--media-address", "::1"),
        *("--allowed-host", "Hub.Example", "--allowed-host", "meet"),
    )
    assert config == HubConfig(
        data=tmp_path,
        width=640,
        height=360,
        rate=15,
        max_members=9,
        addresses=("127.0.0.2", "::1"),
        allowed_hosts=("hub.example", "meet"),
    )


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--canvas", "720p"),
        ("--canvas", "1281x720"),
        ("--canvas", "1280x99999"),
        ("--fps", "0"),
        ("--max-members", "301"),
        ("--media-address", "hub.example"),
        ("--allowed-host", "http://hub.example"),
    ],
)
async def test_a_wrong_option_is_named(tmp_path: Path, option: str, value: str) -> None:
    result = await roomlet("hub", "--data", tmp_path, option, value)
    assert option in complaint(result, ExitCode.USAGE)


async def test_media_at_an_address_of_another_machine(tmp_path: Path) -> None:
    arguments = ("--listen", "127.0.0.1:0", "--data", tmp_path, "--media-address", "192.0.2.1")
    line = complaint(await roomlet("hub", *arguments), ExitCode.NETWORK)
    assert "192.0.2.1" in line
    assert "--media-address" in line
