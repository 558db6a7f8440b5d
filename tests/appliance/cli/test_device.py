"""`roomlet run` and `roomlet join`."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from appliance.cli.exit_code import ExitCode
from appliance.hub.server import HubServer
from appliance.hub.tokens import TokenOptions, mint
from tests.appliance.cli.command import TIMEOUT, complaint, roomlet


async def test_a_panel_port_that_is_taken(hub: HubServer, tmp_path: Path) -> None:
    address = hub.url.removeprefix("http://")
    arguments = ("join", hub.url, "demo", "--synthetic", "--panel", address)
    line = complaint(await roomlet(*arguments), ExitCode.NETWORK)
    assert f"{address}: the port is taken" in line


async def test_no_hub_there(unused_tcp_port: int) -> None:
    host = f"ws://127.0.0.1:{unused_tcp_port}"
    for token in ([], ["--token", "x.y.z"]):
        line = complaint(
            await roomlet("join", host, "demo", "--synthetic", *token), ExitCode.NETWORK
        )
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
        line = complaint(result, ExitCode.AUTHORIZATION)
        assert says in line
        assert token not in line


async def test_a_token_for_another_room(hub: HubServer) -> None:
    result = await roomlet("join", hub.url, "board", "--token", token_of(hub))
    assert "the token is for room demo" in complaint(result, ExitCode.USAGE)


async def test_a_room_that_is_closed_to_guests(hub: HubServer) -> None:
    result = await roomlet("join", hub.url, "board", "--synthetic")
    assert "not open to guests" in complaint(result, ExitCode.AUTHORIZATION)


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (["--camera", "v4l2:/dev/video77"], "/dev/video77 is not there"),
        (["--camera", "auto:no-such-camera"], "no-such-camera"),
        (["--speaker", "synthetic:1000"], "synthetic:0 to synthetic:255"),
    ],
)
async def test_no_such_device(hub: HubServer, option: list[str], says: str) -> None:
    result = await roomlet("join", hub.url, "demo", "--synthetic", *option)
    assert says in complaint(result, ExitCode.DEVICE)


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
        (
            '[room]\nhost = "h"\ntoken = "t"\n'
            "[controls]\nbackend = 'gpio'\noptions = { mute_pin = 17, tally_brightness = 0 }\n",
            "line 6, column 28: controls.options.tally_brightness: tally_brightness 0 is out",
        ),
        (
            '[room]\nhost = "h"\ntoken = "t"\n[screen_share]\noptions = { pixel_fromat = "x" }\n',
            "line 5, column 13: screen_share.options.pixel_fromat: unknown key, did you mean",
        ),
    ],
)
async def test_a_configuration_with_a_mistake(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "device.toml"
    path.write_text(text)
    path.chmod(0o600)
    line = complaint(await roomlet("run", "--config", path), ExitCode.CONFIGURATION)
    assert line.startswith(f"roomlet: {path}, {says}")


async def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    result = await roomlet("run", "--config", tmp_path / "none.toml")
    assert "there is no such file" in complaint(result, ExitCode.CONFIGURATION)


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
            while not (names := [one.name for room in hub.rooms for one in room.members.values()]):
                await asyncio.sleep(0.02)
            assert names == ["Fir"]
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 0
            # It said goodbye: nobody waits for it.
            while [member for room in hub.rooms for member in room.members.values()]:
                await asyncio.sleep(0.02)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
