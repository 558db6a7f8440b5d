"""What one frame of the canvas costs: scaling, painting and encoding, in milliseconds.

    python bench/canvas.py [--seconds 5] [--sources 2 4 9] [--codec h264]

Every source gives a new 1280x720 picture for each frame, the canvas is 1280x720 at 30 frames a
second, and all stages run on one thread, as they do in a room.  Nothing is decoded or sent.
`cpu_ms` is the processor's time for the same as `total_ms`: the one to read on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from fractions import Fraction
from types import MappingProxyType
from typing import get_args

import numpy as np
from av import VideoFrame

from appliance.hub.compositor import Compositor, Scene, Sitter
from appliance.hub.shared_encoder import SharedEncoder
from appliance.media.video_encoder import VideoCodec
from appliance.signaling.layouts import MemberSlot, arrange

WIDTH, HEIGHT, RATE = 1280, 720, 30
LOOP = 24
"""Different pictures of each source."""


class Source:
    """A camera: a room with grain, in which something moves."""

    def __init__(self, seed: int) -> None:
        self.pictures = [self._picture(seed, index) for index in range(LOOP)]
        self.latest = self.pictures[0]

    @staticmethod
    def _picture(seed: int, index: int) -> VideoFrame:
        random = np.random.default_rng([seed, index])
        luma = np.add.outer(np.linspace(40, 120, HEIGHT), np.linspace(0, 80, WIDTH))
        luma += random.normal(0, 1.5, luma.shape)
        x = 100 + (seed * 211 + index * 12) % (WIDTH - 400)
        luma[HEIGHT // 3 :, x : x + 300] = 180 + 20 * np.sin(np.arange(300) / 9)
        planes = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        planes[:HEIGHT] = luma.clip(16, 235)
        planes[HEIGHT:] = 118 + seed % 20
        return VideoFrame.from_ndarray(planes, format="yuv420p")


def measure(sources: int, seconds: float, codec: VideoCodec) -> dict[str, float]:
    """Milliseconds a frame of each stage, and the kbit/s that came out."""
    cameras = {f"m{index}": Source(index) for index in range(sources)}
    sitters = {
        member_id: Sitter(f"Member {member_id}", source=camera)
        for member_id, camera in cameras.items()
    }
    layers = arrange("grid-responsive", [MemberSlot(member_id) for member_id in cameras])
    scene = Scene("bench", tuple(layers), MappingProxyType(sitters))
    compositor = Compositor(WIDTH, HEIGHT)
    encoder = SharedEncoder(codec, WIDTH, HEIGHT, RATE, 2_000_000)
    totals: list[float] = []
    encoding: list[float] = []
    cpu = 0.0
    size = 0
    frames = round(seconds * RATE)
    warm_up = RATE // 2
    scaled = pasted = 0.0
    for index in range(-warm_up, frames):
        for camera in cameras.values():
            camera.latest = camera.pictures[index % LOOP]
        if index == 0:
            scaled, pasted = compositor.scale_seconds, compositor.paste_seconds
            cpu = time.thread_time()
        now = (index + warm_up) / RATE
        started = time.perf_counter()
        compositor.compose(scene, now)
        composed = time.perf_counter()
        compositor.frame.pts = round(now * 90_000)
        compositor.frame.time_base = Fraction(1, 90_000)
        encoded = encoder.encode(compositor.frame, now)
        ended = time.perf_counter()
        if encoded is None:
            raise SystemExit("the encoder refused a frame")
        if index >= 0:
            totals.append(ended - started)
            encoding.append(ended - composed)
            size += encoded.size
    return {
        "sources": sources,
        "scale_ms": 1000 * (compositor.scale_seconds - scaled) / frames,
        "paste_ms": 1000 * (compositor.paste_seconds - pasted) / frames,
        "encode_ms": 1000 * statistics.fmean(encoding),
        "total_ms": 1000 * statistics.fmean(totals),
        "cpu_ms": 1000 * (time.thread_time() - cpu) / frames,
        "p95_ms": 1000 * statistics.quantiles(totals, n=20)[-1],
        "kbit_per_s": size * 8 * RATE / frames / 1000,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="of video per measurement")
    parser.add_argument("--sources", type=int, nargs="+", default=[2, 4, 9])
    parser.add_argument("--codec", choices=get_args(VideoCodec), default="h264")
    options = parser.parse_args()
    for sources in options.sources:
        figures = measure(sources, options.seconds, options.codec)
        print(json.dumps({key: round(value, 2) for key, value in figures.items()}), flush=True)


if __name__ == "__main__":
    main()
