from __future__ import annotations

import asyncio
import json
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.cli.exit_code import ExitCode
from appliance.media.gate import MicGate, Party
from appliance.service.mute_log import LAPSES, NAME, MuteLog
from tests.appliance.cli.command import complaint, roomlet


def fill(path: Path, device: str = "Oak") -> None:
    gate, log = MicGate(), MuteLog(path, device)
    log.follow(gate, "microphone")
    log.start()
    gate.unmute(Party.START)
    gate.mute(Party.ROOM, "a press on GPIO pins")
    log.stop()


def fill_long_ago(path: Path) -> None:
    """Three days, one, and a minute before now."""
    for age, who in ((timedelta(3), "remote"), (timedelta(1), "latch"), (timedelta(0, 60), "room")):
        at = (datetime.now(UTC) - age).isoformat(timespec="milliseconds")
        entry = {"time": at, "device": "Oak", "what": "microphone", "who": who, "act": "close"}
        with (path / NAME).open("a") as file:
            file.write(json.dumps(entry) + "\n")


async def told(path: Path, *options: str) -> list[dict[str, Any]]:
    result = await roomlet("log", "mute", "--json", "--state", path, *options)
    assert (result.code, result.err) == (0, "")
    return [json.loads(line) for line in result.out.splitlines()]


async def test_the_log_of_mutes_is_told(tmp_path: Path) -> None:
    fill(tmp_path)
    told = await roomlet("log", "mute", STATE_DIRECTORY=str(tmp_path))
    assert told.code == 0
    lines = told.out.splitlines()
    assert lines[0].endswith("  microphone: start releases; now open")
    assert lines[1].endswith("  microphone: room closes (a press on GPIO pins); now closed by room")


@pytest.mark.parametrize("locale", [{"PYTHONUTF8": "1"}, {"PYTHONIOENCODING": "utf-8"}])
async def test_half_of_a_surrogate_pair_is_told_as_its_number(
    tmp_path: Path, locale: dict[str, str]
) -> None:
    gate, log = MicGate(), MuteLog(tmp_path, "Oak")
    log.follow(gate, "microphone")
    log.start()
    gate.mute(Party.ROOM, "é \ud800")
    log.stop()
    result = await roomlet("log", "mute", "--state", tmp_path, **locale)
    assert (result.code, result.err) == (0, "")
    assert r"room closes (é \ud800); now" in result.out
    assert [entry["why"] for entry in await told(tmp_path)] == ["é \ud800"]


async def test_for_machines(tmp_path: Path) -> None:
    fill(tmp_path)
    assert [entry["who"] for entry in await told(tmp_path)] == ["start", "room"]


async def test_several_devices_are_told_apart(tmp_path: Path) -> None:
    fill(tmp_path, "Oak")
    fill(tmp_path, "Elm")
    result = await roomlet("log", "mute", "--state", tmp_path)
    things = [line.split("  ")[1].split(":")[0] for line in result.out.splitlines()]
    assert things == ["Oak's microphone"] * 2 + ["Elm's microphone"] * 2
    result = await roomlet("log", "mute", "--state", tmp_path, "--device", "Elm")
    assert len(result.out.splitlines()) == 2
    assert "Elm" not in result.out


@pytest.mark.parametrize(
    ("options", "parties"),
    [
        (["--since", "2h"], ["room"]),
        (["-S", "-50h"], ["latch", "room"]),
        (["--since", (datetime.now(UTC) - timedelta(2)).isoformat()], ["latch", "room"]),
        (["--by", "remote", "--by", "room"], ["remote", "room"]),
        (["--by", "latch", "--since", "2h"], []),
        (["-n", "2"], ["latch", "room"]),
        (["--lines", "0"], []),
        (["-n", "9"], ["remote", "latch", "room"]),
        (["-n", "1", "--by", "remote"], ["remote"]),
        (["--device", "Oak", "--by", "lease"], []),
    ],
)
async def test_what_is_not_asked_for_is_left_out(
    tmp_path: Path, options: list[str], parties: list[str]
) -> None:
    fill_long_ago(tmp_path)
    assert [entry["who"] for entry in await told(tmp_path, *options)] == parties


async def test_lapses_of_the_lease_are_one_line_unless_all_are_wanted(tmp_path: Path) -> None:
    gate, log = MicGate(), MuteLog(tmp_path, "Oak")
    gate.unmute(Party.START)
    log.follow(gate, "microphone")
    log.start()
    for _ in range(50):
        gate.mute(Party.LEASE, "the loop stood still for 85 ms")
        gate.unmute(Party.LEASE, "the loop is back")
    gate.mute(Party.ROOM, "a press on GPIO pins")
    log.stop()
    lapses, press = (await roomlet("log", "mute", "--state", tmp_path)).out.splitlines()
    assert "microphone: lease closes and releases 50 times until " in lapses
    assert "room closes" in press
    each = await roomlet("log", "mute", "--all", "--state", tmp_path)
    assert len(each.out.splitlines()) == 101
    assert len(await told(tmp_path)) == 101, "what is kept is kept whole"
    newest = await roomlet("log", "mute", "-n", "2", "--state", tmp_path)
    assert newest.out.splitlines() == [lapses, press]


async def test_lapses_that_were_held_back_are_told_in_the_end(tmp_path: Path) -> None:
    gate, log = MicGate(), MuteLog(tmp_path, "Oak")
    gate.unmute(Party.START)
    log.follow(gate, "microphone")
    log.start()
    gate.mute(Party.LEASE)
    gate.unmute(Party.LEASE)
    log.stop()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "appliance", "log", "mute", "-f", "--state", str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            assert b"lease closes and releases" in await process.stdout.readline()
            log.follow(gate, "microphone")
            log.start()
            for _ in range(3):
                gate.mute(Party.LEASE)
                gate.unmute(Party.LEASE)
            await asyncio.to_thread(log.stop)
            process.send_signal(signal.SIGINT)
            rest, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    (line,) = rest.splitlines()
    assert b"lease closes and releases 3 times" in line


async def test_what_is_asked_wrongly_is_said(tmp_path: Path) -> None:
    wrong = complaint(await roomlet("log", "mute", "--by", "me"), ExitCode.USAGE)
    assert "--by: 'me' is none of start, room, config, " in wrong
    wrong = complaint(await roomlet("log", "mute", "--since", "lately"), ExitCode.USAGE)
    assert "--since: 'lately' is no moment; say today, 2h, " in wrong


@pytest.mark.parametrize("options", [[], ["--device", "Oak"]])
@pytest.mark.parametrize("name", [NAME, f"{LAPSES}.1"])
async def test_an_empty_log_says_nothing(tmp_path: Path, name: str, options: list[str]) -> None:
    (tmp_path / name).touch()
    assert await roomlet("log", "mute", "--state", tmp_path, *options) == (0, "", "")


@pytest.mark.parametrize(
    ("folder", "options"), [("nowhere", []), ("nowhere", ["--follow"]), ("", [])]
)
async def test_where_there_is_no_log_that_is_said(
    tmp_path: Path, folder: str, options: list[str]
) -> None:
    state = tmp_path / folder
    wrong = complaint(await roomlet("log", "mute", "--state", state, *options), ExitCode.USAGE)
    assert f"there is no log of mutes in {state}; name the device's state directory with" in wrong


@pytest.mark.parametrize("options", [[], ["--follow"], ["--device", "Elm"]])
async def test_a_device_that_the_log_does_not_have_is_said(
    tmp_path: Path, options: list[str]
) -> None:
    fill(tmp_path, "Oak")
    fill(tmp_path, "Elm")
    wrong = complaint(
        await roomlet("log", "mute", "--state", tmp_path, "--device", "Okk", *options),
        ExitCode.USAGE,
    )
    assert f"--device: 'Okk' is not in the log of {tmp_path}; there are Elm, Oak" in wrong


async def test_a_log_of_before_there_were_names_says_so(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"what": "microphone", "who": "room", "act": "close"}\n')
    result = await roomlet("log", "mute", "--state", tmp_path, "--device", "Oak")
    assert "it names none" in complaint(result, ExitCode.USAGE)


async def test_what_comes_is_told_until_the_signal(tmp_path: Path) -> None:
    fill(tmp_path)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "appliance", "log", "mute", "-f", "-n", "1", "--json"),
        *("--state", str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None

    async def line() -> dict[str, Any]:
        assert process.stdout is not None
        entry: dict[str, Any] = json.loads(await process.stdout.readline())
        return entry

    try:
        async with asyncio.timeout(60):
            assert (await line())["who"] == "room"
            await asyncio.to_thread(fill, tmp_path, "Elm")
            assert [(await line())["device"] for _ in range(2)] == ["Elm", "Elm"]
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
