"""How call and machine did over the last two minutes: one sample every two seconds.

What only ever grows is turned into what it grew by; None stands for what is not known.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from appliance.service.heat import warmest
from appliance.service.usage import Usage

EVERY: Final = 2.0
"""Seconds from one sample to the next."""

KEPT: Final = 60
"""Samples."""

_MOST: Final = 10_000.0
"""ms above which a jitter is none: the sender has begun to count anew."""

Counters = Mapping[str, int | float]
Sample = dict[str, float | None]


class History:
    """Takes samples of `counters`: those of `RoomSession.stats`, none of them outside a call, and
    `canvas_fps`, `camera_frames`, `microphone_xruns` and `speaker_xruns`.  Lives on the loop."""

    def __init__(
        self,
        counters: Callable[[], Counters],
        *,
        every: float = EVERY,
        root: Path = Path("/"),
    ) -> None:
        """`root` is where the machine's files are."""
        self.every: Final = every
        self.samples: Final[deque[Sample]] = deque(maxlen=KEPT)
        """The oldest first."""
        self._counters = counters
        self._root = root
        self._usage: Usage | None = None
        self._before: tuple[float, Counters] | None = None
        self._observers: tuple[Callable[[], None], ...] = ()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running loop."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="history")

    async def stop(self) -> None:
        """End.  Safe to call twice, or without `start`."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def subscribe(self, observer: Callable[[], None]) -> Callable[[], None]:
        """Call `observer` on the loop after each sample.  Returns what ends it."""
        self._observers += (observer,)

        def unsubscribe() -> None:
            self._observers = tuple(one for one in self._observers if one is not observer)

        return unsubscribe

    async def _run(self) -> None:
        self._usage = Usage()
        while True:
            await asyncio.sleep(self.every)
            # A sensor may take its time to answer.
            heat = await asyncio.to_thread(warmest, self._root)
            cpu = self._usage.cpu_percent
            self._usage.reset()
            self.add(time.monotonic(), cpu, None if heat is None else heat[0])

    def add(self, now: float, cpu: float | None, temperature: float | None) -> None:
        """Take a sample at `now` (seconds), with the CPU in percent of one core since the last
        one, and the temperature in degrees Celsius."""
        counters = dict(self._counters())
        before = self._before
        self._before = (now, counters)
        span = 0.0 if before is None else now - before[0]
        grown = _Growth({} if before is None else before[1], counters, span)
        self.samples.append(
            {
                "round_trip_ms": counters.get("round_trip_ms"),
                "lost_in_percent": grown.lost(),
                "lost_out_percent": _largest(
                    counters, "audio_sent_lost_percent", "video_sent_lost_percent"
                ),
                "audio_jitter_ms": _believed(counters.get("audio_jitter_ms")),
                "video_jitter_ms": _believed(counters.get("video_jitter_ms")),
                "down_kbps": grown.rate("bytes_received", 8 / 1000),
                "up_kbps": grown.rate("bytes_sent", 8 / 1000),
                "canvas_fps": counters.get("canvas_fps"),
                "camera_fps": grown.rate("camera_frames"),
                "microphone_xruns": grown.anew("microphone_xruns"),
                "speaker_xruns": grown.anew("speaker_xruns"),
                "cpu_percent": cpu,
                "temperature_c": temperature,
            }
        )
        for observer in self._observers:
            observer()


class _Growth:
    """From one set of counters to the next, `span` seconds later."""

    def __init__(self, before: Counters, after: Counters, span: float) -> None:
        self._before, self._after, self._span = before, after, span

    def of(self, name: str) -> float | None:
        """What a counter grew by; None where it is not known, or was begun anew."""
        if name not in self._before or name not in self._after:
            return None
        grown = self._after[name] - self._before[name]
        return grown if grown >= 0 else None

    def anew(self, name: str) -> float | None:
        """As `of`, of a counter that is begun anew with each opening of its device."""
        grown = self.of(name)
        return self._after.get(name) if grown is None and name in self._before else grown

    def rate(self, name: str, factor: float = 1.0) -> float | None:
        """By how much a second."""
        grown = self.of(name)
        return None if grown is None or self._span <= 0 else grown * factor / self._span

    def lost(self) -> float | None:
        """Percent of the packets that should have come; None where none should."""
        lost = expected = 0.0
        for kind in ("audio", "video"):
            came = self.of(f"{kind}_packets_received")
            if came is None:
                continue
            # What comes late after all takes back what was counted as lost.
            missing = self.of(f"{kind}_packets_lost") or 0.0
            lost += missing
            expected += came + missing
        return 100 * lost / expected if expected else None


def _largest(counters: Counters, *names: str) -> float | None:
    return max((counters[name] for name in names if name in counters), default=None)


def _believed(jitter: float | None) -> float | None:
    return None if jitter is None or jitter > _MOST else jitter
