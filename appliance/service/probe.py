"""Measurements on a running device, from pixels, samples and packets."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from av import VideoFrame

from appliance.media.opus import Samples
from appliance.service.tones import ToneListener
from appliance.service.wire import SentSound
from hal.camera import scene

EVERY: Final = 5
"""One picture in so many is read: reading a code costs as much as drawing it."""

_QUANTILES: Final = (("p50", 0.50), ("p95", 0.95))

PRESS_WINDOW_S: Final = 0.1
"""A press measures the silence after it only if sound was sent so shortly before."""


@dataclass(slots=True)
class _Sight:
    """What was seen of one camera: its last frame number and when, and how often it moved on."""

    frame: int
    at: float
    advances: int = 0


class Probe:
    """Collects on the threads that bring the news, and reports on any."""

    def __init__(self, tones: Sequence[float] = ()) -> None:
        self.sent: Final = SentSound()
        self._listeners = [ToneListener(frequency) for frequency in tones]
        self._lock = threading.Lock()
        self._places: list[tuple[float, float, float, float]] = []
        self._pictures = 0
        self._sights: dict[int, _Sight] = {}
        self._ages: deque[int] = deque(maxlen=10_000)
        self._press: float | None = None
        self._silence_ms: float | None = None

    def layout(self, layers: Iterable[Mapping[str, Any]], own_id: str | None) -> None:
        """Where the others are on the canvas: the layers of `layout.changed`."""
        places = []
        for one in layers:
            values = [one.get(key) for key in ("x", "y", "width", "height")]
            numbers = [float(v) for v in values if isinstance(v, int | float)]
            shown = one.get("visible", True) and one.get("member_id") not in (None, own_id)
            if shown and len(numbers) == len(values):
                places.append((numbers[0], numbers[1], numbers[2], numbers[3]))
        with self._lock:
            self._places = places

    def picture(self, frame: VideoFrame, at: float) -> None:
        """A new picture of the canvas stands on the screen since `at`."""
        self._pictures += 1
        if self._pictures % EVERY:
            return
        with self._lock:
            places = self._places
        for place in places:
            code = scene.decode(frame, *place)
            if code is not None:
                self._saw(code, at)

    def sound(self, samples: Samples, at: float) -> None:
        """A period of sound whose first sample is heard at `at`."""
        for listener in self._listeners:
            listener.hear(samples, at)

    def pressed(self, at: float) -> None:
        """The button that mutes went down at `at`, while the microphone was open."""
        last = self.sent.last_audible
        sounding = last is not None and last >= at - PRESS_WINDOW_S
        self._press = at if sounding else None
        self._silence_ms = None

    def opened(self) -> None:
        """The microphone's gate has opened: the silence of the last press is over."""
        self._silence_ms = self._silence()
        self._press = None

    def report(self) -> dict[str, Any]:
        """Everything, ready for JSON.  Times in ms, levels in dBFS."""
        now = time.monotonic()
        with self._lock:
            ages = sorted(self._ages)
            cameras = {
                str(number): {
                    "frame": sight.frame,
                    "advances": sight.advances,
                    "seen_ms_ago": round(1000 * (now - sight.at)),
                }
                for number, sight in self._sights.items()
            }
        heard = sorted(1000 * second for one in self._listeners for second in one.latencies())
        audible = self.sent.last_audible
        return {
            "video_latency_ms": _quantiles(ages),
            "audio_latency_ms": _quantiles(heard),
            "mute_silence_ms": self._silence(),
            "cameras": cameras,
            "tones": {
                f"{one.frequency:g}": {
                    "level_dbfs": round(one.level_dbfs(now), 1),
                    "bursts": one.bursts,
                }
                for one in self._listeners
            },
            "sent": {
                "packets": self.sent.packets,
                "audible": self.sent.audible,
                "audible_ms_ago": None if audible is None else round(1000 * (now - audible)),
            },
        }

    def _saw(self, code: scene.SceneCode, at: float) -> None:
        with self._lock:
            sight = self._sights.get(code.camera)
            if sight is None:
                self._sights[code.camera] = _Sight(code.frame, at)
                return
            sight.at = at
            if code.frame != sight.frame:
                sight.advances += 1
                sight.frame = code.frame
                # Only a scene that moves tells how late it is: a frozen one just gets older.
                self._ages.append(code.age_ms(at))

    def _silence(self) -> float | None:
        """From the last press to the last audible packet after it; None where no sound was
        being sent at the press, so that nothing was measured."""
        press, last = self._press, self.sent.last_audible
        if press is None or last is None:
            return self._silence_ms
        return round(max(0.0, 1000 * (last - press)), 1)


def _quantiles(values: Sequence[float]) -> dict[str, float] | None:
    """p50 and p95 by the nearest rank of sorted values; None without any."""
    if not values:
        return None
    ranks = {name: values[max(0, math.ceil(len(values) * q) - 1)] for name, q in _QUANTILES}
    return {**{name: round(value, 1) for name, value in ranks.items()}, "n": len(values)}
