"""The caller's own captures."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from appliance.media.capture import CameraCapture, MicCapture


@dataclass(slots=True)
class LocalStream:
    """What the own member sends.  Whoever makes it starts and stops it."""

    microphone: MicCapture | None = None
    camera: CameraCapture | None = None


async def start_all(captures: list[MicCapture | CameraCapture]) -> None:
    """Start all or none.  Raises the HalError of one that does not open."""
    idle = [capture for capture in captures if capture.suspended]
    await asyncio.gather(*(capture.start() for capture in idle))
    for capture in captures:
        if capture.error is not None:
            error = capture.error
            await asyncio.gather(*(one.suspend() for one in idle))
            raise error
