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
from panel_page import opened
from playwright.async_api import Browser, expect

from appliance.hub import keys
from appliance.hub.tokens import verify
from appliance.provisioning import Config
from appliance.service.device import Device
from appliance.service.hardware import build

TIMEOUT = 120.0
UNMEASURED = re.compile("heard no whole burst|no sound was being sent at the press")
"""What a report says where other work has broken the sound of its few seconds; the next may have
more luck."""


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


async def read_help(process: asyncio.subprocess.Process) -> tuple[Path, list[str]]:
    """The folder of its files and the command for a token, which it says after the addresses."""
    assert process.stdout is not None
    files = (await process.stdout.readline()).decode()
    token = (await process.stdout.readline()).decode()
    assert files.startswith("its files ")
    assert token.startswith("a token ")
    return Path(files.split()[2].rstrip(":")), token.split()[2:]


async def said_by(command: list[str]) -> str:
    """What a `roomlet` command prints."""
    name, *arguments = command
    assert name == "roomlet"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "appliance", *arguments), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode().strip()


async def test_the_report_is_one_object_and_says_that_all_works(tmp_path: Path) -> None:
    async with asyncio.timeout(TIMEOUT):
        while True:
            process = await start("--for", "10", "--report", "-", folder=tmp_path)
            out, err = await process.communicate()
            report = json.loads(out)
            errors = report["errors"]
            assert process.returncode == (1 if errors else 0), err.decode()
            if not errors or not all(map(UNMEASURED.search, errors)):
                break
    assert errors == [], err.decode()
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
        folder, command = await read_help(process)
        assert folder.parent == tmp_path
        assert {"hub", "hub.log", "oak.log"} <= {path.name for path in folder.iterdir()}
        token = await said_by(command)
        options = verify(token, keys.find(folder / "hub", {}).signing_key)
        assert (options.room_name, options.user_name) == ("demo", "Ash")
        process.send_signal(signal.SIGINT)
        await process.communicate()
    assert process.returncode == 0
    assert psutil.wait_procs(children, timeout=0)[1] == []
    assert list(tmp_path.iterdir()) == []


def guest(hub: str) -> Device:
    """A device in the demo's room that listens for the tones of two microphones and speaks a
    third."""
    config = Config.model_validate(
        {
            "room": {"host": hub, "name": "demo", "guest": True, "user_name": "Elm"},
            "camera": {
                "backend": "synthetic",
                "device": "synthetic:5",
                "width": 320,
                "height": 180,
            },
            "microphone": {
                "backend": "synthetic",
                "device": "synthetic:5",
                "options": {"pattern": "continuous"},
            },
            "speaker": {"backend": "synthetic"},
            "controls": {"backend": "virtual"},
            "display": {"backend": "memory"},
            "probe": {"enabled": True, "tones": [1000.0, 1500.0]},
        }
    )
    return Device(config, build(config), find=lambda _: [], lease=TIMEOUT)


async def test_other_devices_can_be_chosen_and_the_room_sees_and_hears_them(
    tmp_path: Path, chromium: Browser
) -> None:
    process = await start(folder=tmp_path)
    page_url, panel = await read_addresses(process)
    elm = guest(page_url.replace("http", "ws", 1).partition("/?")[0])

    async def meets(camera: int, tone: int) -> None:
        """Wait until Elm sees and hears just these of Oak.  The edges of a burst are a little of
        any tone."""
        other_camera, other_tone = 3 - camera, 2500 - tone
        async with asyncio.timeout(TIMEOUT):
            while True:
                report = elm.report()
                tones = {name: found["level_dbfs"] for name, found in report["tones"].items()}
                seen = {
                    name: found["seen_ms_ago"] < 1000 for name, found in report["cameras"].items()
                }
                if (
                    (tones[f"{tone}"] > -20 and tones[f"{other_tone}"] < -35)
                    and seen.get(f"{camera}")
                    and not seen.get(f"{other_camera}")
                ):
                    return
                await asyncio.sleep(0.05)

    try:
        await elm.start()
        await meets(camera=1, tone=1000)
        async with opened(chromium, panel, 390, 844) as page:
            await page.get_by_text("Devices", exact=True).click()
            for kind in ("Camera", "Microphone", "Loudspeaker"):
                short = {"Loudspeaker": "speaker"}.get(kind, kind.lower())
                choice = page.get_by_label(kind, exact=True)
                both = [f"Synthetic {short} 1", f"Synthetic {short} 2"]
                await expect(choice.locator("option")).to_have_text(both)
                await choice.select_option(both[1])
                await expect(choice).to_have_accessible_description(re.compile("Chosen here"))
                await expect(choice.locator("option")).to_have_text(both)
            await meets(camera=2, tone=1500)
            await expect(page.locator("#level-speaker-value")).to_have_text(re.compile(r"^-\d"))
            for kind in ("Camera", "Microphone", "Loudspeaker"):
                await page.get_by_role("button", name=f"{kind}: use what").click()
            await meets(camera=1, tone=1000)
    finally:
        await elm.stop()
        process.send_signal(signal.SIGINT)
        await process.communicate()
    assert process.returncode == 0


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
