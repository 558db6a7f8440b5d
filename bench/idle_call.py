"""What a call costs: one appliance against a headless browser in the same room at the same time.

A hub, an appliance with simulated hardware, and Chromium with the official SDK as the other party.
The camera of both is the same film, 1280x720 at 30 pictures a second; both send sound too, and
receive the canvas of the two, at 1280x720 and 30, and the other's sound.

CPU is user and system time of all threads and processes of a party over the measured time, in
percent of one core.  Memory is the proportional set size, in which pages that processes share are
counted once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psutil
from playwright.async_api import async_playwright

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests/e2e")]

from browser import FLAGS  # noqa: E402
from sdk_client import PageServer, SdkClient  # noqa: E402

from appliance.service.children import Child  # noqa: E402
from appliance.service.guest import guest_token  # noqa: E402
from appliance.service.panel_client import PanelClient  # noqa: E402
from hal.camera.scene import Scene  # noqa: E402

WARM_UP = 5.0
"""Seconds in the call before the measuring starts: bit rates settle."""

CONFIG = """\
[room]
host = "{url}"
name = "bench"
guest = true
user_name = "Appliance"
[camera]
backend = "file"
device = "{film}"
width = 1280
height = 720
rate = 30
[microphone]
backend = "synthetic"
[speaker]
backend = "synthetic"
[controls]
backend = "virtual"
[display]
backend = "memory"
[panel]
listen = "127.0.0.1:0"
"""


def shoot(film: Path) -> None:
    """Write two seconds of the test scene, uncompressed: to read it costs both the same."""
    scene = Scene(1, 1280, 720)
    with film.open("wb") as file:
        file.write(b"YUV4MPEG2 W1280 H720 F30:1 Ip A1:1 C420\n")
        for number in range(60):
            file.write(b"FRAME\n" + scene.draw(number).to_ndarray().tobytes())


class Party:
    """The processes of one side, and what they have cost since this object was made.

    One that ends on the way, as some of a browser's do, counts with what it had cost at the start:
    nothing.
    """

    def __init__(self, processes: Sequence[psutil.Process]) -> None:
        self._began = time.monotonic()
        self._before = {process: _seconds(process) for process in processes}

    def cost(self) -> dict[str, float]:
        passed = time.monotonic() - self._began
        used, shares = 0.0, []
        for process, before in self._before.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                used += _seconds(process) - before
                shares.append(process.memory_full_info().pss)
        return {
            "processes": len(shares),
            "cpu_percent": round(100 * used / passed, 1),
            "pss_mib": round(sum(shares) / 2**20, 1),
        }


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def browser_processes() -> list[psutil.Process]:
    """Those of the Chromium that this process has started, without Playwright's own driver."""
    return [
        process
        for process in psutil.Process().children(recursive=True)
        if "chrom" in Path(process.exe()).name
    ]


async def measure(seconds: float, chromium: str) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="roomlet-bench-")))
        hub = Child(
            "hub",
            ["hub", "--listen=127.0.0.1:0", f"--data={folder / 'hub'}", "--open-room=bench"],
            folder / "hub.log",
        )
        stack.push_async_callback(hub.stop)
        url = (await hub.start(30)).split()[-1]
        host = url.replace("http", "ws", 1)

        film = folder / "film.y4m"
        await asyncio.to_thread(shoot, film)
        config = folder / "appliance.toml"
        config.write_text(CONFIG.format(url=url, film=film))
        appliance = Child("appliance", ["run", f"--config={config}"], folder / "appliance.log")
        stack.push_async_callback(appliance.stop)
        panel = PanelClient((await appliance.start(30)).split()[-1])

        pages = stack.enter_context(PageServer.running())
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(
            executable_path=chromium,
            headless=True,
            args=[*FLAGS, f"--use-file-for-fake-video-capture={film}"],
        )
        stack.push_async_callback(browser.close)
        guest = SdkClient(await browser.new_page(viewport={"width": 1280, "height": 800}))
        await guest.page.add_init_script(KEEP_PEERS)
        await guest.open(pages.url)
        await guest.join(
            host,
            await guest_token(host, "bench", "Browser"),
            local=None,
            audio=True,
            video={"width": 1280, "height": 720, "frameRate": 30},
        )
        await panel.until(
            "both are in the room",
            lambda state: len(state["members"]) == 2 and state["canvas_fps"] > 1,
            30,
        )
        await guest.page.evaluate(KEEP_SIZE)
        await asyncio.sleep(WARM_UP)

        parties = {
            "appliance": Party([psutil.Process(appliance.pid)]),
            "chromium": Party(browser_processes()),
            "hub": Party([psutil.Process(hub.pid)]),
        }
        pictures, began = (await panel.report())["pictures"], time.monotonic()
        before = await look(guest)
        await asyncio.sleep(seconds)
        costs = {name: party.cost() for name, party in parties.items()}
        passed = time.monotonic() - began
        shown = (await panel.report())["pictures"] - pictures
        after = await look(guest)
        await guest.leave()
        return {
            "seconds": round(passed, 1),
            "machine": f"{platform.machine()}, {psutil.cpu_count()} cores",
            "browser": f"Chromium {browser.version}",
            "browser_sends": after["sends"],
            "browser_kbit_s": round((after["bytes"] - before["bytes"]) * 8 / 1000 / passed),
            "browser_limited_by": after["limit"],
            "browser_shows": after["shows"],
            "fps": {
                "appliance_shows": round(shown / passed, 1),
                "browser_sends": round((after["sent"] - before["sent"]) / passed, 1),
                "browser_shows": round((after["shown"] - before["shown"]) / passed, 1),
            },
            **costs,
            "ratio": {
                "cpu": round(
                    costs["chromium"]["cpu_percent"] / costs["appliance"]["cpu_percent"], 2
                ),
                "memory": round(costs["chromium"]["pss_mib"] / costs["appliance"]["pss_mib"], 2),
            },
        }


async def look(guest: SdkClient) -> dict[str, Any]:
    """What the browser sends and shows, as its own statistics count it."""
    statistics: dict[str, Any] = await guest.page.evaluate(STATISTICS)
    return statistics


KEEP_PEERS = """
    window.peers = [];
    window.RTCPeerConnection = class extends RTCPeerConnection {
        constructor(...options) {
            super(...options);
            window.peers.push(this);
        }
    };
"""
"""The page keeps its connections, so that their statistics can be read."""

KEEP_SIZE = """async () => {
    const senders = window.peers.flatMap((peer) => peer.getSenders());
    for (const sender of senders.filter((sender) => sender.track?.kind === "video")) {
        await sender.setParameters({
            ...sender.getParameters(), degradationPreference: "maintain-resolution",
        });
    }
}"""
"""The browser would send smaller pictures to save its strength; the appliance does not."""

STATISTICS = """async () => {
    const found = { sent: 0, shown: 0, sends: "", shows: "", bytes: 0, limit: "" };
    for (const peer of window.peers) {
        const reports = await peer.getStats();
        for (const report of reports.values()) {
            if (report.kind !== "video" || !report.frameWidth) continue;
            const codec = reports.get(report.codecId)?.mimeType ?? "";
            const format = `${report.frameWidth}x${report.frameHeight} ${codec}`;
            if (report.type === "outbound-rtp") {
                found.sent += report.framesSent;
                found.sends = format;
                found.bytes += report.bytesSent;
                found.limit = report.qualityLimitationReason;
            } else if (report.type === "inbound-rtp") {
                found.shown += report.framesDecoded;
                found.shows = format;
            }
        }
    }
    return found;
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=30, help="how long to measure")
    parser.add_argument("--chromium", help="path of the browser")
    options = parser.parse_args()
    chromium = options.chromium or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("there is no Chromium: run 'make setup-test', or give its path by --chromium")
    print(json.dumps(asyncio.run(measure(options.seconds, chromium)), indent=2))


if __name__ == "__main__":
    main()
