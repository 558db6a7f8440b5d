"""What the tests of the media path share: a connected pair of peers, tones and pictures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from av import VideoFrame

from appliance.media.peer import Peer, PeerState

LOOPBACK = ("127.0.0.1",)
DEADLINE = 20.0


async def until(condition: Callable[[], Any], deadline: float = DEADLINE) -> None:
    """Wait until a condition holds; the poll is the test's clock, not its verdict."""
    async with asyncio.timeout(deadline):
        while not condition():
            await asyncio.sleep(0.005)


def tone(frequency: float, samples: int = 960, start: int = 0, level: float = 0.25) -> np.ndarray:
    """A sine, int16 at 48 kHz, continuous from one `start` to the next."""
    time = np.arange(start, start + samples) / 48_000
    return (np.sin(2 * np.pi * frequency * time) * level * 32767).astype(np.int16)


def level_at(samples: np.ndarray, frequency: float) -> float:
    """The level of one frequency in dBFS (a full-scale sine is 0)."""
    window = np.hanning(len(samples))
    time = np.arange(len(samples)) / 48_000
    probe = np.exp(-2j * np.pi * frequency * time) * window
    amplitude = 2 * abs(np.dot(samples / 32768.0, probe)) / window.sum()
    return float(20 * np.log10(max(amplitude, 1e-9)))


def picture(index: int, luma: int = 128, width: int = 320, height: int = 180) -> VideoFrame:
    """A flat grey picture at 30 a second."""
    frame = VideoFrame(width, height, "yuv420p")
    for number, plane in enumerate(frame.planes):
        plane.update(bytes([128 if number else luma]) * plane.buffer_size)
    frame.pts = index * 3000
    frame.time_base = Fraction(1, 90_000)
    return frame


def luma_of(frame: VideoFrame) -> float:
    """The mean luma of a picture."""
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return float(rows[:, : plane.width].mean())


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Peer, Peer]]:
    """Two connected peers; the first made the offer."""
    caller, callee = Peer(addresses=LOOPBACK), Peer(addresses=LOOPBACK)
    try:
        await caller.accept(await callee.answer(await caller.offer()))
        for peer in (caller, callee):
            async with asyncio.timeout(DEADLINE):
                await peer.wait_connected()
            assert peer.state is PeerState.CONNECTED
        assert caller.audio_out
        assert caller.video_out
        yield caller, callee
    finally:
        await caller.close()
        await callee.close()
