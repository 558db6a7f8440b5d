"""The demo, as a newcomer runs it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

TIMEOUT = 120.0


async def start(*arguments: str, folder: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "appliance", "demo", "--port", "0", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(folder)},
    )


def family(process: asyncio.subprocess.Process) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


async def fetch(url: str) -> Any:
    def get() -> Any:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=20) as answer:
            return json.load(answer)

    return await asyncio.to_thread(get)


async def read_addresses(process: asyncio.subprocess.Process) -> tuple[str, str]:
    assert process.stdout is not None
    text = ""
    while len(found := re.findall(r"http://127\.0\.0\.1:\d+/\S*", text)) < 2:
        line = await process.stdout.readline()
        assert line, text
        text += line.decode()
    return found[0], found[1]


async def test_the_report_is_one_object_and_says_that_all_works(tmp_path: Path) -> None:
    process = await start("--for", "10", "--report", "-", folder=tmp_path)
    async with asyncio.timeout(TIMEOUT):
        out, err = await process.communicate()
    assert process.returncode == 0, (out.decode(), err.decode())
    report = json.loads(out)
    assert report["errors"] == []
    assert set(report["joined_ms"]) == {"oak", "elm"}
    assert all(value > 0 for value in report["joined_ms"].values())
    assert report["canvas_fps"] > 5
    assert 0 < report["video_latency_ms"]["p50"] <= report["video_latency_ms"]["p95"]
    assert 0 < report["audio_latency_ms"] < 1000
    assert 0 <= report["mute_silence_ms"] < 500
    for figures in (report["cpu_percent"], report["rss_mib"]):
        assert set(figures) == {"hub", "oak", "elm"}
        assert all(value > 0 for value in figures.values())
    assert list(tmp_path.iterdir()) == []


async def test_ctrl_c_ends_everything(tmp_path: Path) -> None:
    process = await start(folder=tmp_path)
    async with asyncio.timeout(TIMEOUT):
        page, panel = await read_addresses(process)
        assert page.endswith("/?room=demo")
        panels = await fetch(page.replace("?room=demo", "demo.json"))
        assert panels == {"panels": [{"name": "Oak", "url": panel}]}
        while (await fetch(panel + "api/state"))["status"] != "in_room":
            await asyncio.sleep(0.1)
        children = family(process)
        assert len(children) == 2
        process.send_signal(signal.SIGINT)
        await process.communicate()
    assert process.returncode == 0
    assert psutil.wait_procs(children, timeout=0)[1] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seconds", [[], ["--for", "600", "--report", "-"]])
async def test_nothing_outlives_a_demo_that_was_killed(tmp_path: Path, seconds: list[str]) -> None:
    process = await start(*seconds, folder=tmp_path)
    async with asyncio.timeout(TIMEOUT):
        while len(family(process)) < (3 if seconds else 2):
            await asyncio.sleep(0.05)
        children = family(process)
        process.kill()
        await process.communicate()
    _, alive = await asyncio.to_thread(psutil.wait_procs, children, timeout=20)
    assert alive == []


async def test_a_part_that_fails_ends_the_demo_with_its_name(tmp_path: Path) -> None:
    process = await start("--for", "600", "--report", "-", folder=tmp_path)
    async with asyncio.timeout(TIMEOUT):
        while len(children := family(process)) < 3:
            await asyncio.sleep(0.05)
        hub = next(child for child in children if "hub" in child.cmdline())
        hub.kill()
        out, err = await process.communicate()
    assert process.returncode == 1
    assert out == b""
    lines = [line for line in err.decode().splitlines() if line.startswith("roomlet: ")]
    assert len(lines) == 1
    assert "hub" in lines[0]
    assert "Traceback" not in err.decode()
    assert psutil.wait_procs(children, timeout=20)[1] == []
