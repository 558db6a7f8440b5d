"""How fast a mute is: from the finger to the last packet with sound, beside a browser.

A hub, an appliance whose mute button is a pin (gpiozero's mock factory; a thread drives it, as the
kernel's events come on one), and Chromium with the official SDK.  Both speak a steady tone.  The
appliance's time counts from the edge on the pin, the browser's from the call of `audioMute()`.
The same eyes see both: the hub notes when each packet arrives, and whether it has sound of its own.

First on a machine that is idle otherwise, then beside one busy process a core.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import platform
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import gpiozero
import psutil
from aiortc.rtp import RtpPacket
from gpiozero.pins.mock import MockFactory
from playwright.async_api import async_playwright

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests/e2e")]

from browser import FLAGS  # noqa: E402
from sdk_client import PageServer, SdkClient  # noqa: E402

from appliance.hub.config import HubConfig  # noqa: E402
from appliance.hub.server import HubServer  # noqa: E402
from appliance.media.ends import Inlet  # noqa: E402
from appliance.provisioning import Config  # noqa: E402
from appliance.service.device import Device  # noqa: E402
from appliance.service.guest import guest_token  # noqa: E402
from appliance.service.hardware import build  # noqa: E402
from appliance.service.wire import Ear  # noqa: E402

MUTE, RED, GREEN = 17, 5, 6

AFTER = 0.5
"""Seconds without sound after which it is over."""

DEADLINE = 60.0


class Ears:
    """What the hub receives: when the last packet with sound came, by the stream that it is of."""

    def __init__(self) -> None:
        self.last: dict[int, float] = {}
        self._ears: dict[int, Ear] = {}
        add = Inlet.add

        def listening(inlet: Inlet, packet: RtpPacket) -> tuple[bool, None]:
            if inlet.kind == "audio":
                self._hear(packet)
            return add(inlet, packet)

        Inlet.add = listening  # type: ignore[method-assign]

    def _hear(self, packet: RtpPacket) -> None:
        at = time.monotonic()
        data: bytes = packet._data  # type: ignore[attr-defined]
        if data and self._ears.setdefault(packet.ssrc, Ear()).hears(data):
            self.last[packet.ssrc] = at

    async def new_stream(self, known: set[int]) -> int:
        """The stream that is heard and was not known."""
        async with asyncio.timeout(DEADLINE):
            while not (found := self.last.keys() - known):
                await asyncio.sleep(0.05)
        return found.pop()

    async def heard(self, stream: int) -> None:
        """Wait until sound flows: for a tenth of a second without a gap."""
        async with asyncio.timeout(DEADLINE):
            flowing = 0
            while flowing < 10:
                await asyncio.sleep(0.01)
                recent = time.monotonic() - self.last.get(stream, 0.0) < 0.05
                flowing = flowing + 1 if recent else 0

    async def silent(self, stream: int) -> float:
        """Wait until nothing has come for a while; when the last sound came."""
        async with asyncio.timeout(DEADLINE):
            while time.monotonic() - self.last[stream] < AFTER:
                await asyncio.sleep(0.05)
        return self.last[stream]


class Appliance:
    """The appliance, in a process of its own that runs `be_appliance`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, what: str) -> float:
        """Do it, and say when (`time.monotonic`)."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(what.encode() + b"\n")
        await self._process.stdin.drain()
        async with asyncio.timeout(DEADLINE):
            return float(await self._process.stdout.readline())


@asynccontextmanager
async def appliance(url: str) -> AsyncIterator[Appliance]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--be-appliance", url),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Appliance(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def be_appliance(url: str) -> None:
    """Push the button for each line of the standard input, and say when."""
    factory = MockFactory()
    gpiozero.Device.pin_factory = factory
    synthetic = {"backend": "synthetic"}
    pins = {"mute_pin": MUTE, "tally_red": RED, "tally_green": GREEN}
    config = Config.model_validate(
        {
            "room": {"host": url, "name": "bench", "guest": True, "user_name": "Appliance"},
            "camera": {**synthetic, "width": 640, "height": 360, "rate": 15},
            "microphone": {**synthetic, "options": {"pattern": "continuous"}},
            "speaker": synthetic,
            "controls": {"backend": "gpio", "options": pins},
            "display": {"backend": "memory", "options": {"width": 640, "height": 360}},
        }
    )
    device = Device(config, await asyncio.to_thread(build, config))
    await device.start()

    def serve() -> None:
        pin = factory.pin(MUTE)
        for _ in sys.stdin:
            edge = time.monotonic()
            pin.drive_low()
            time.sleep(0.06)  # a finger is slower than the debouncing
            pin.drive_high()
            print(edge, flush=True)

    try:
        await asyncio.to_thread(serve)
    finally:
        await device.stop()


class Browser:
    """A guest in Chromium."""

    def __init__(self, guest: SdkClient) -> None:
        self._guest = guest
        self._offset = 0.0

    async def adjust(self) -> None:
        """Learn how the page's clock differs from ours: from the quickest of some questions."""
        doubt = math.inf
        for _ in range(20):
            begin = time.monotonic()
            there = await self._guest.page.evaluate("performance.now()")
            end = time.monotonic()
            if end - begin < doubt:
                self._offset, doubt = (begin + end) / 2 - there / 1000, end - begin

    async def ask(self, method: str) -> float:
        """Call a method, and say when."""
        at = await self._guest.page.evaluate(
            """async (method) => {
                const at = performance.now();
                const answer = await harness.call(method, [], { keep: null, on: null });
                if (answer && answer.error) throw new Error(answer.error.message);
                return at;
            }""",
            method,
        )
        return float(at) / 1000 + self._offset


SPEAK = """
    navigator.mediaDevices.getUserMedia = async () => {
        const context = (window.benchContext ??= new AudioContext());
        const tone = context.createOscillator();
        tone.frequency.value = 660;
        const level = context.createGain();
        level.gain.value = 0.25;
        const end = context.createMediaStreamDestination();
        tone.connect(level).connect(end);
        tone.start();
        return end.stream;
    };
"""
"""The page's microphone is a steady tone, also the new one that the SDK takes to unmute."""


async def measure(
    ears: Ears, stream: int, rounds: int, mute: Callable[[], Awaitable[float]],
    unmute: Callable[[], Awaitable[object]],
) -> list[float]:  # fmt: skip
    """Milliseconds from each mute to the last packet with sound; 0 where none came after it."""
    times = []
    for _ in range(rounds):
        await ears.heard(stream)
        # At any phase of the capture's periods.
        await asyncio.sleep(random.uniform(0.0, 0.04))
        began = await mute()
        times.append(max(0.0, 1000 * (await ears.silent(stream) - began)))
        await unmute()
    return times


def say(text: str) -> None:
    print(text, file=sys.stderr)


def summary(times: list[float]) -> dict[str, float]:
    ranked = sorted(times)
    p99 = ranked[math.ceil(0.99 * len(ranked)) - 1]
    return {"p50": round(statistics.median(ranked), 1), "p99": round(p99, 1), "n": len(ranked)}


async def run(rounds: int, chromium: str) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="roomlet-bench-")))
        ears = Ears()
        say("starting a hub, an appliance and a browser")
        hub = HubServer(
            HubConfig(listen="127.0.0.1:0", data=folder, open_rooms=("bench",)), environment={}
        )
        await hub.start()
        stack.push_async_callback(hub.stop)
        host = hub.url.replace("http", "ws", 1)
        button = await stack.enter_async_context(appliance(hub.url))
        ours = await ears.new_stream(set())

        pages = stack.enter_context(PageServer.running())
        playwright = await stack.enter_async_context(async_playwright())
        program = await playwright.chromium.launch(
            executable_path=chromium, headless=True, args=FLAGS
        )
        stack.push_async_callback(program.close)
        guest = SdkClient(await program.new_page())
        await guest.page.add_init_script(SPEAK)
        await guest.open(pages.url)
        await guest.join(
            host,
            await guest_token(host, "bench", "Browser"),
            local=None, audio=True, video=False,
        )  # fmt: skip
        browser = Browser(guest)
        theirs = await ears.new_stream({ours})

        async def both() -> dict[str, Any]:
            await browser.adjust()
            say("muting")
            own = await measure(
                ears, ours, rounds, lambda: button.ask("press"), lambda: button.ask("press")
            )
            other = await measure(
                ears, theirs, rounds,
                lambda: browser.ask("audioMute"), lambda: browser.ask("audioUnmute"),
            )  # fmt: skip
            appliance_ms, browser_ms = summary(own), summary(other)
            ratio = {
                name: round(browser_ms[name] / max(appliance_ms[name], 0.1), 1)
                for name in ("p50", "p99")
            }
            return {"appliance_ms": appliance_ms, "browser_ms": browser_ms, "ratio": ratio}

        say(f"both are heard; {4 * rounds} mutes follow")
        load_before = psutil.getloadavg()[0]
        idle = await both()
        cores = psutil.cpu_count() or 2
        busy = [
            await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass")
            for _ in range(cores)
        ]
        try:
            loaded = await both()
        finally:
            for process in busy:
                process.kill()
                await process.wait()
        await guest.leave()
        return {
            "machine": f"{platform.machine()}, {cores} cores",
            "browser": f"Chromium {program.version}",
            "load_before": round(load_before, 1),
            "idle": idle,
            f"beside {cores} busy processes": loaded,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=100, help="mutes of each, idle and loaded")
    parser.add_argument("--chromium", help="path of the browser")
    parser.add_argument("--be-appliance", metavar="URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.be_appliance:
        asyncio.run(be_appliance(options.be_appliance))
        return
    chromium = options.chromium or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("there is no Chromium: run 'make setup-test', or give its path by --chromium")
    print(json.dumps(asyncio.run(run(options.rounds, chromium)), indent=2))


if __name__ == "__main__":
    main()
