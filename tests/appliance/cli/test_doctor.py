"""`roomlet doctor`: its lines, its report and its exit code."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from appliance.cli.exit_code import ExitCode
from appliance.hub.server import HubServer
from appliance.hub.tokens import TokenOptions, mint
from tests.appliance.cli.command import TIMEOUT, roomlet

DEVICES = """
[camera]
backend = "synthetic"
width = 160
height = 90
rate = 5
[microphone]
backend = "synthetic"
[speaker]
backend = "synthetic"
[controls]
backend = "virtual"
[display]
backend = "memory"
"""


def device(tmp_path: Path, host: str, token: str) -> Path:
    path = tmp_path / "device.toml"
    path.write_text(f'[room]\nhost = "{host}"\ntoken = "{token}"\n{DEVICES}')
    path.chmod(0o600)
    return path


async def test_a_device_that_is_well(hub: HubServer, tmp_path: Path) -> None:
    options = TokenOptions(room_name="demo")
    token = mint(options, hub.keys.signing_key, project=hub.keys.project)
    path = device(tmp_path, hub.websocket_url, token)
    result = await roomlet("doctor", "--config", path, "--json", "--root", tmp_path)
    assert result.code == ExitCode.OK, result
    assert result.err == ""
    report = json.loads(result.out)
    assert report["ok"] is True
    found = {check["name"]: check for check in report["checks"]}
    assert found["hub"]["verdict"] == "ok"
    assert "UDP passes" in found["media"]["text"]
    assert set(found["hub"]) == {"name", "verdict", "text", "remedy", "seconds"}
    assert token not in result.out


async def test_a_device_that_is_not(tmp_path: Path, unused_tcp_port: int) -> None:
    path = device(tmp_path, f"ws://127.0.0.1:{unused_tcp_port}", "c4n4ry")
    result = await roomlet("doctor", "--config", path, "--root", tmp_path)
    assert result.code == ExitCode.OTHER
    assert result.err == ""
    lines = {line.split()[1]: line for line in result.out.splitlines()}
    assert lines["hub"].startswith("FAIL ")
    assert lines["hub"].endswith("; is the server running there?")
    assert lines["configuration"].startswith("ok ")
    assert len(lines) == 14
    assert "c4n4ry" not in result.out


async def test_a_configuration_with_a_mistake_is_one_finding(tmp_path: Path) -> None:
    path = device(tmp_path, "ws://hub", "c4n4ry")
    path.write_text(path.read_text() + "[panel]\nlisen = 3\n")
    result = await roomlet("doctor", "--config", path, "--json", "--root", tmp_path)
    assert result.code == ExitCode.OTHER
    first = json.loads(result.out)["checks"][0]
    assert first["verdict"] == "fail"
    assert "panel.lisen: unknown key" in first["text"]
    assert "c4n4ry" not in result.out + result.err


async def test_without_a_configuration_it_says_where_it_looked_and_what_to_do(
    tmp_path: Path,
) -> None:
    result = await roomlet("doctor", "--root", tmp_path, "--json")
    assert result.code == ExitCode.OTHER
    first = json.loads(result.out)["checks"][0]
    assert (first["name"], first["verdict"]) == ("configuration", "fail")
    assert first["text"] == "no configuration was found"
    remedy = f"write {tmp_path}/etc/roomlet/device.toml ('roomlet config example' shows one), "
    assert first["remedy"].startswith(remedy)
    assert f": looked for {tmp_path}/usr/lib/roomlet/config.toml" in first["remedy"]


async def test_questions_go_to_the_terminal_and_answers_count(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    path = device(tmp_path, f"ws://127.0.0.1:{unused_tcp_port}", "c4n4ry")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "appliance", "doctor", "--config", str(path)),
        *("--json", "--ask", "--root", str(tmp_path)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            # No tone was heard; red is red, green is not green.
            out, err = await process.communicate(b"n\ny\nn\n")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == ExitCode.OTHER
    found = {check["name"]: check for check in json.loads(out)["checks"]}
    assert "nobody heard it" in found["speaker"]["text"]
    assert "not green" in found["controls"]["text"]
    questions = ["Did you hear a tone?", "Is the light red?", "Is the light green?"]
    assert [question in err.decode() for question in questions] == [True] * 3


async def test_ctrl_c_ends_it_at_once(tmp_path: Path, unused_tcp_port: int) -> None:
    path = device(tmp_path, f"ws://127.0.0.1:{unused_tcp_port}", "c4n4ry")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "appliance", "doctor", "--config", str(path)),
        *("--root", str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(TIMEOUT):
            # The first line is there: the camera is being watched now.
            assert b"configuration" in await process.stdout.readline()
            process.send_signal(signal.SIGINT)
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 128 + signal.SIGINT
    assert b"throttling" not in out
    assert b"Traceback" not in err
