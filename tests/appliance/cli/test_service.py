"""`roomlet run` as a service, `roomlet state` and `roomlet fault`."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from pathlib import Path

import pytest

from appliance.cli.exit_code import ExitCode
from appliance.hub.server import HubServer
from tests.appliance.cli.command import TIMEOUT, complaint, roomlet


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"status": "in_room", "idle": false}', ExitCode.OTHER),
        ('{"status": "idle", "idle": true}', ExitCode.OK),
        ("rubbish", ExitCode.OK),
        (None, ExitCode.OK),
    ],
)
async def test_scripts_learn_whether_anybody_is_in_a_call(
    tmp_path: Path, text: str | None, code: ExitCode
) -> None:
    if text is not None:
        (tmp_path / "state.json").write_text(text)
    result = await roomlet("state", "--idle", "--directory", tmp_path)
    assert (result.code, result.out, result.err) == (code, "", "")


async def test_the_state_is_told(tmp_path: Path) -> None:
    result = await roomlet("state", "--directory", tmp_path)
    assert json.loads(result.out) == {"status": "stopped"}
    (tmp_path / "state.json").write_text('{"status": "fault", "reason": "no camera"}')
    result = await roomlet("state", "--directory", tmp_path)
    assert json.loads(result.out)["reason"] == "no camera"


async def test_a_fault_is_shown_for_its_time_and_names_the_mistake(tmp_path: Path) -> None:
    path = tmp_path / "device.toml"
    path.write_text("[room]\nhots = 1\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(TIMEOUT)
        result = await roomlet(
            *("fault", "--config", path, "--for", "0.2"),
            NOTIFY_SOCKET=str(tmp_path / "notify"),
            SDL_VIDEODRIVER="dummy",
        )
        words = [manager.recv(2000).decode() for _ in range(3)]
    assert result.code == ExitCode.OK, result
    assert "did you mean host?" in words[0]
    assert words[1:] == ["READY=1", "STOPPING=1"]


async def test_a_device_that_nobody_configured_says_where(tmp_path: Path) -> None:
    line = complaint(await roomlet("run", "--root", tmp_path), ExitCode.CONFIGURATION)
    assert f"no configuration was found; write {tmp_path}/etc/roomlet/device.toml " in line


CONFIG = """
[room]
host = "{host}"
name = "demo"
guest = true
[camera]
backend = "synthetic"
width = 64
height = 36
rate = 5
[microphone]
backend = "synthetic"
[speaker]
backend = "synthetic"
volume = {volume}
[controls]
backend = "virtual"
[display]
backend = "memory"
[panel]
enabled = false
"""


async def test_a_hangup_reads_the_configuration_again_and_a_stop_leaves(
    hub: HubServer, tmp_path: Path
) -> None:
    path, runtime = tmp_path / "device.toml", tmp_path / "run"
    runtime.mkdir()
    path.write_text(CONFIG.format(host=hub.url, volume=100))
    words: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "appliance", "run", "--config", str(path)),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={
                "NOTIFY_SOCKET": str(tmp_path / "notify"),
                "WATCHDOG_USEC": "2000000",
                "RUNTIME_DIRECTORY": str(runtime),
                "XDG_STATE_HOME": str(tmp_path),
                "HOME": str(tmp_path),
            },
        )

        async def hear(word: str) -> None:
            async with asyncio.timeout(TIMEOUT):
                while word not in words:
                    data = await asyncio.get_running_loop().sock_recv(manager, 4000)
                    words.append(data.decode().split("\n")[0])

        try:
            await hear("READY=1")
            await hear("WATCHDOG=1")
            # The guest's token is asked for first: until then there is no name to tell.
            assert "STATUS=In demo." in words
            path.write_text(CONFIG.format(host=hub.url, volume=20))
            words.clear()
            process.send_signal(signal.SIGHUP)
            await hear("RELOADING=1")
            await hear("READY=1")
            assert not [word for word in words if word.startswith("STATUS=")]
            words.clear()
            process.send_signal(signal.SIGTERM)
            await hear("STOPPING=1")
            assert process.stderr is not None
            async with asyncio.timeout(TIMEOUT):
                told = (await process.stderr.read()).decode()
                assert await process.wait() == 0, told
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert "another configuration: speaker" in told
    assert "eyJ" not in told, "no token is ever in a log line"
