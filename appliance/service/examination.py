"""A look at two devices in a meeting: does every part work, and how well?

It asks their panels alone, which tell what came out at the far ends: pixels of the screen, samples
of the speaker, packets on their way out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from appliance.service.panel_client import PanelClient, PanelGone
from appliance.service.usage import Usage

JOIN_TIMEOUT: Final = 30.0
EFFECT_TIMEOUT: Final = 10.0
"""Seconds for a press to have its effect, on a machine with other work."""

HEARD_DBFS: Final = -40.0
"""A tone at the far end's speaker is at least so loud; it is spoken at -12."""

SILENT_DBFS: Final = -60.0
"""And so quiet while it is muted."""

PRESS_AT: Final = 0.2
"""Seconds after a whole one of CLOCK_MONOTONIC, when a press falls into a burst of tone."""

SHORTEST: Final = 10.0
"""Seconds in which all can be done."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One device that is looked at."""

    name: str
    camera: int
    """The number that its synthetic camera draws."""
    tone: float
    """Hz of its synthetic microphone."""
    pid: int
    panel: PanelClient


class Examination:
    """Watches `first` and `second` for `seconds`; mutes the first one on the way."""

    def __init__(
        self,
        first: Subject,
        second: Subject,
        *,
        hub_pid: int,
        seconds: float,
        say: Callable[[str], None],
    ) -> None:
        self._first = first
        self._second = second
        self._subjects = (first, second)
        self._pids = {"hub": hub_pid, **{one.name.lower(): one.pid for one in self._subjects}}
        self._seconds = max(seconds, SHORTEST)
        self._say = say
        self._errors: list[str] = []

    async def run(self) -> dict[str, Any]:
        """The report; `errors` tells what did not work."""
        await asyncio.gather(*(self._joins(one) for one in self._subjects))
        began = time.monotonic()
        usages = {name: Usage(pid) for name, pid in self._pids.items()}
        before = await self._reports()
        self._say(f"both are in the room; watching for {self._seconds:.0f} s")
        try:
            await self._hears(self._second, self._first)
            await self._hears(self._first, self._second)
            await self._press()
            await self._release()
        except (TimeoutError, PanelGone) as error:
            self._errors.append(str(error))
        await asyncio.sleep(max(0.0, began + self._seconds - time.monotonic()))
        passed = time.monotonic() - began
        cpu = {name: round(usage.cpu_percent, 1) for name, usage in usages.items()}
        rss = {name: round(usage.rss_mib, 1) for name, usage in usages.items()}
        after = await self._reports()
        return self._judge(before, after, passed, cpu, rss)

    async def _joins(self, one: Subject) -> None:
        def joined(state: dict[str, Any]) -> bool:
            return state["status"] == "in_room" and len(state["members"]) >= len(self._subjects)

        try:
            await one.panel.until(f"{one.name} is in the room with the other", joined, JOIN_TIMEOUT)
        except (TimeoutError, PanelGone) as error:
            self._errors.append(str(error))

    async def _press(self) -> None:
        """Mute the first device at its button, amid a burst of its tone."""
        now = time.monotonic()
        # A burst begins with each whole second.
        await asyncio.sleep((PRESS_AT - now) % 1.0)
        await self._first.panel.tap("mute")
        self._say(f"{self._first.name}'s mute button was pressed")
        await self._first.panel.until(
            f"{self._first.name}'s light is red",
            lambda state: state["tally"] == "muted" and not state["mic_open"],
            EFFECT_TIMEOUT,
        )
        await self._sees_muted(True)
        if not await self._level(self._first, lambda level: level < SILENT_DBFS):
            self._errors.append(f"{self._second.name} hears {self._first.name} though it is muted")
        sent = (await self._first.panel.report())["sent"]
        if sent["audible_ms_ago"] is not None and sent["audible_ms_ago"] < 1000:
            self._errors.append(f"{self._first.name} sends sound though it is muted")

    async def _release(self) -> None:
        """Press the button again."""
        await self._first.panel.tap("mute")
        self._say(f"{self._first.name}'s mute button was pressed again")
        await self._first.panel.until(
            f"{self._first.name}'s light is green",
            lambda state: state["tally"] == "live" and state["mic_open"],
            EFFECT_TIMEOUT,
        )
        await self._sees_muted(False)
        await self._hears(self._second, self._first)

    async def _sees_muted(self, muted: bool) -> None:
        name = self._first.name

        def shows(state: dict[str, Any]) -> bool:
            marks = [m.get("audio_muted") for m in state["members"] if m.get("name") == name]
            return marks == [muted]

        what = f"{self._second.name}'s list shows {name} as {'muted' if muted else 'open'}"
        await self._second.panel.until(what, shows, EFFECT_TIMEOUT)

    async def _hears(self, listener: Subject, speaker: Subject) -> None:
        if not await self._level(speaker, lambda level: level > HEARD_DBFS):
            self._errors.append(f"{listener.name} does not hear {speaker.name}")

    async def _level(self, speaker: Subject, test: Callable[[float], bool]) -> bool:
        """Whether a speaker's tone comes to such a level at the other's loudspeaker."""
        listener = self._second if speaker is self._first else self._first
        deadline = time.monotonic() + EFFECT_TIMEOUT
        while time.monotonic() < deadline:
            report = await listener.panel.report()
            if test(report["tones"][f"{speaker.tone:g}"]["level_dbfs"]):
                return True
            await asyncio.sleep(0.2)
        return False

    async def _reports(self) -> list[dict[str, Any]]:
        return list(await asyncio.gather(*(one.panel.report() for one in self._subjects)))

    def _judge(
        self,
        before: list[dict[str, Any]],
        after: list[dict[str, Any]],
        passed: float,
        cpu: dict[str, float],
        rss: dict[str, float],
    ) -> dict[str, Any]:
        errors = self._errors
        for one, other, old, new in zip(
            self._subjects, reversed(self._subjects), before, after, strict=True
        ):
            errors += [f"{one.name}: {error}" for error in new["errors"]]
            if new["joined_ms"] is None:
                errors.append(f"{one.name} never saw the canvas")
            seen = new["cameras"].get(str(other.camera), {}).get("advances", 0)
            had = old["cameras"].get(str(other.camera), {}).get("advances", 0)
            if seen - had < passed:
                errors.append(f"{one.name} does not see {other.name} move")
            if new["audio_latency_ms"] is None:
                errors.append(f"{one.name} heard no whole burst of {other.name}'s tone")
        silence = after[0]["mute_silence_ms"]
        if silence is None:
            errors.append("no sound was being sent at the press, so its end was not measured")
        return {
            "joined_ms": self._each(after, "joined_ms"),
            "canvas_fps": round(
                min(
                    (new["pictures"] - old["pictures"]) / passed
                    for old, new in zip(before, after, strict=True)
                ),
                2,
            ),
            "video_latency_ms": _worst(after, "video_latency_ms"),
            "audio_latency_ms": (_worst(after, "audio_latency_ms") or {}).get("p50"),
            "mute_silence_ms": silence,
            "cpu_percent": cpu,
            "rss_mib": rss,
            "seconds": round(passed, 1),
            "errors": errors,
        }

    def _each(self, reports: list[dict[str, Any]], name: str) -> dict[str, Any]:
        return {
            one.name.lower(): report[name]
            for one, report in zip(self._subjects, reports, strict=True)
        }


def _worst(reports: list[dict[str, Any]], name: str) -> dict[str, float] | None:
    """Of each quantile the greater one of the devices; None where one has none."""
    values = [report[name] for report in reports]
    if any(value is None for value in values):
        return None
    return {quantile: max(value[quantile] for value in values) for quantile in ("p50", "p95")}
