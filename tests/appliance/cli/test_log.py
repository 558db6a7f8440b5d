from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from appliance.media.gate import MicGate, Party
from appliance.service.mute_log import NAME, MuteLog
from tests.appliance.cli.command import roomlet


def fill(path: Path) -> None:
    gate, log = MicGate(), MuteLog(path / NAME)
    log.follow(gate, "microphone")
    log.start()
    gate.unmute(Party.START)
    gate.mute(Party.ROOM, "a press on GPIO pins")
    log.stop()


async def test_the_log_of_mutes_is_told(tmp_path: Path) -> None:
    fill(tmp_path)
    told = await roomlet("log", "mute", STATE_DIRECTORY=str(tmp_path))
    assert told.code == 0
    lines = told.out.splitlines()
    assert lines[0].endswith("microphone: start releases; now open")
    assert lines[1].endswith("microphone: room closes (a press on GPIO pins); now closed by room")


async def test_for_machines(tmp_path: Path) -> None:
    fill(tmp_path)
    told = await roomlet("log", "mute", "--json", "--state", tmp_path)
    entries = [json.loads(line) for line in told.out.splitlines()]
    assert [entry["who"] for entry in entries] == ["start", "room"]


async def test_a_device_that_has_none_says_nothing(tmp_path: Path) -> None:
    assert await roomlet("log", "mute", "--state", tmp_path) == (0, "", "")


async def test_what_comes_is_told_until_the_signal(tmp_path: Path) -> None:
    fill(tmp_path)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "appliance", "log", "mute", "-f", "--json"),
        *("--state", str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            for _ in range(2):
                await process.stdout.readline()
            await asyncio.to_thread(fill, tmp_path)
            assert json.loads(await process.stdout.readline())["who"] == "start"
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
