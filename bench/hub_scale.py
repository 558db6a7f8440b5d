"""How the hub's cost grows: with members who send 720p, and with receivers beside them.

    python bench/hub_scale.py [--seconds 8] [--senders 2 4 8 12] [--receivers 1 8 24]

Everyone is in one room, whose canvas is 1280x720 at 30 pictures a second.  A sender sends a film
of that size and rate in H.264 and a tone, both encoded once and shared by all senders, and receives
the canvas and its own mix.  In the second part two members send only, and an audience receives.

The hub is a process of its own, and so is each load generator, of eight connections at the most.
Load generators decrypt what they get, and decode nothing.

CPU is user and system time over the measured time, in percent of one core: of the hub's process,
and of its threads by what they do.  Figures of a run count only while the load generators keep up
and the canvas has its rate: where they do not, the machine is full, and the table says so.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import psutil

sys.path[:0] = [str(Path(__file__).parent.parent)]

from canvas import RATE  # noqa: E402

PARTIES = Path(__file__).with_name("parties.py")

PATIENCE = 120.0
"""Seconds until a process that does not answer ends the benchmark."""

SETTLE = 4.0
"""Seconds between the last member's first picture and the measuring: encoders find their rate."""

EACH = 8
"""Connections of one load generator."""

FULL = 0.97
"""Part of the pictures that must be sent, and painted, for a run to count."""

TOLERANCE = 1.15
"""How much more the dearest run may cost than straight growth would have it."""


class Process:
    """One of the others."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.first: dict[str, Any] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, *arguments: str) -> AsyncIterator[Self]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(PARTIES), *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self = cls(process)
        assert process.stdin is not None
        try:
            self.first = await self._line()
            yield self
            process.stdin.close()
            async with asyncio.timeout(PATIENCE):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def ask(self, **order: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        return await self._line()

    async def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            line = await self._process.stdout.readline()
        if not line:
            raise SystemExit("a process of the benchmark has ended before its time; see above")
        figures: dict[str, Any] = json.loads(line)
        return figures


async def run(seconds: float, members: list[tuple[int, str]]) -> dict[str, Any]:
    """One meeting: so many members of each role."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="roomlet-bench-")))
        hub = await stack.enter_async_context(Process.running("hub", str(folder)))
        loads = []
        for count, role in members:
            for begun in range(0, count, EACH):
                load = await stack.enter_async_context(
                    Process.running("load", hub.first["url"], str(folder))
                )
                await load.ask(join=min(EACH, count - begun), role=role)
                loads.append(load)
        async with asyncio.timeout(PATIENCE):
            for load in loads:
                while not all((await load.ask())["shown"]):
                    await asyncio.sleep(0.2)
        await asyncio.sleep(SETTLE)
        processes = [hub, *loads]
        busy = psutil.cpu_times()
        before = [await one.ask() for one in processes]
        await asyncio.sleep(seconds)
        after = [await one.ask() for one in processes]
        return figures(before, after, _busy(busy, psutil.cpu_times()))


def _busy(before: Any, after: Any) -> float:
    """Seconds of CPU that the whole machine has spent."""
    idle = after.idle + after.iowait - before.idle - before.iowait
    return float(sum(after) - sum(before) - idle)


def figures(
    before: list[dict[str, Any]], after: list[dict[str, Any]], machine: float
) -> dict[str, Any]:
    """What happened between two looks at the hub and at the load generators."""
    passed = after[0]["at"] - before[0]["at"]
    spent = {
        kind: 100 * (value - before[0]["spent"].get(kind, 0.0)) / passed
        for kind, value in after[0]["spent"].items()
    }
    canvas = spent.pop("canvas", 0.0)
    compose, encode = after[0]["compose_ms"], after[0]["encode_ms"]
    share = encode / (compose + encode)
    spent |= {"encode": canvas * share, "compose": canvas * (1 - share)}
    pairs = list(zip(before[1:], after[1:], strict=True))
    senders = sum(one["senders"] for one in after[1:])
    sent = sum(b["sent"] - a["sent"] for a, b in pairs) / passed
    shown = [
        (y - x) / (b["at"] - a["at"])
        for a, b in pairs
        for x, y in zip(a["shown"], b["shown"], strict=True)
    ]
    loads = sum(b["spent"] - a["spent"] for a, b in pairs)
    hub = sum(spent.values())
    fps = (after[0]["frames"] - before[0]["frames"]) / passed
    return {
        "senders": senders,
        "receivers": len(shown),
        "cpu": round(hub, 1),
        "cpu_per_sender": round(hub / senders, 1),
        **{kind: round(spent.get(kind, 0.0), 1) for kind in THREADS},
        "canvas_fps": round(fps, 1),
        "least_fps_received": round(min(shown), 1),
        "lag_p99_ms": round(after[0]["lag_p99_ms"], 1),
        "lag_worst_ms": round(after[0]["lag_worst_ms"], 1),
        "pss_mib": round(after[0]["pss_mib"]),
        "load_cpu": round(100 * loads / passed, 1),
        "others_cpu": round(max(0.0, 100 * machine / passed - hub - 100 * loads / passed), 1),
        "full": fps < FULL * RATE or sent < FULL * RATE * senders,
    }


THREADS = ("decode", "compose", "encode", "mixer", "loop", "rest")

COLUMNS = {
    "senders": "send",
    "receivers": "recv",
    "cpu": "CPU %",
    "cpu_per_sender": "a sender",
    **{kind: kind for kind in THREADS},
    "canvas_fps": "canvas fps",
    "least_fps_received": "least recv",
    "lag_p99_ms": "lag p99 ms",
    "pss_mib": "MiB",
    "load_cpu": "load %",
    "others_cpu": "others %",
}


def show(results: list[dict[str, Any]]) -> None:
    """Print the table."""
    print("  ".join(f"{title:>{max(6, len(title))}}" for title in COLUMNS.values()))
    for result in results:
        cells = (f"{result[name]:>{max(6, len(title))}}" for name, title in COLUMNS.items())
        print("  ".join(cells) + ("  machine full" if result["full"] else ""))
    print(flush=True)


def verdict_of_senders(results: list[dict[str, Any]]) -> str:
    """Whether the cost of one more sender stays what it was."""
    whole = [one for one in results if not one["full"]]
    if len(whole) < 3:
        return "not judged: it takes three runs in which the machine is not full"
    # A straight line through the smallest and the next run, carried on.
    first, second, last = whole[0], whole[1], whole[-1]
    each = (second["cpu"] - first["cpu"]) / (second["senders"] - first["senders"])
    straight = first["cpu"] + each * (last["senders"] - first["senders"])
    good = last["cpu"] <= TOLERANCE * straight
    return (
        f"{'yes' if good else 'NO'}: {last['senders']} senders cost {last['cpu']:.0f} %; a straight"
        f" line from {first['senders']} and {second['senders']} would make it {straight:.0f} %"
        + ("" if last is results[-1] else "; with more of them the machine was full")
    )


def verdict_of_receivers(results: list[dict[str, Any]]) -> str:
    """Whether the canvas is encoded once, however many receive it."""
    first, last = results[0], results[-1]
    if any(one["full"] for one in results):
        return "not judged: the machine was full"
    # A picture's price: the rate may differ a little.
    before, after = (10 * one["encode"] / one["canvas_fps"] for one in (first, last))
    good = after <= TOLERANCE * before
    return (
        f"{'yes' if good else 'NO'}: a picture takes {before:.1f} ms for {first['receivers']}"
        f" and {after:.1f} ms for {last['receivers']}"
    )


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    by_senders, by_receivers = [], []
    for count in options.senders:
        print(f"{count} senders ...", file=sys.stderr, flush=True)
        by_senders.append(await run(options.seconds, [(count, "both")]))
    for count in options.receivers:
        print(f"{count} receivers ...", file=sys.stderr, flush=True)
        by_receivers.append(await run(options.seconds, [(2, "send"), (count, "watch")]))
    return {
        "machine": f"{platform.machine()}, {psutil.cpu_count()} cores",
        "load_average_before": options.load,
        "seconds": options.seconds,
        "by_senders": by_senders,
        "linear": verdict_of_senders(by_senders),
        "by_receivers": by_receivers,
        "encoded_once": verdict_of_receivers(by_receivers),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=8.0, help="how long to measure each run")
    parser.add_argument("--senders", type=int, nargs="+", default=[2, 4, 8, 12])
    parser.add_argument("--receivers", type=int, nargs="+", default=[1, 8, 24])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    options.load = round(os.getloadavg()[0], 1)
    results = asyncio.run(measure(options))
    show(results["by_senders"])
    print(f"grows no faster than its senders: {results['linear']}\n")
    show(results["by_receivers"])
    print(f"encoded once for all receivers: {results['encoded_once']}\n")
    text = json.dumps(results, indent=2)
    if options.json is not None:
        options.json.write_text(text + "\n")
    else:
        print(text)


if __name__ == "__main__":
    main()
