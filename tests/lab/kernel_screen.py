"""The screen of the lab's guest: what its graphics card puts out, as qemu sees it.

The guest talks to qemu's monitor (QMP) over a port of its own, so that the picture that a test
judges has gone the whole way: GPU driver, scan-out, and out of the machine.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

MONITOR = Path("/dev/virtio-ports/monitor")
SHARE = Path("/host")
"""The folder that qemu works in, as the guest sees it."""

_SHOT = "screen.ppm"


class Monitor:
    """qemu's monitor."""

    def __init__(self, path: Path = MONITOR) -> None:
        self._port = path.open("r+b", buffering=0)
        self._numbers = itertools.count()
        # Refused, and rightly, from the second time on.
        self._ask("qmp_capabilities")

    def ask(self, command: str, **arguments: Any) -> None:
        """Have a command carried out."""
        answer = self._ask(command, **arguments)
        assert "return" in answer, answer

    def close(self) -> None:
        """Let go of the port."""
        self._port.close()

    def _ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"execute": command, "arguments": arguments, "id": number}
        self._port.write(json.dumps(message).encode() + b"\n")
        while True:
            answer: dict[str, Any] = json.loads(self._line())
            if answer.get("id") == number:
                return answer

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            line += self._port.read(1)
        return line


class KernelScreen:
    """The screen at the only connector of the kernel's graphics cards."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        (self.connector,) = Path("/sys/class/drm").glob("card*-*")
        card, _, self.name = self.connector.name.partition("-")
        self._debug = Path("/sys/kernel/debug/dri") / card.removeprefix("card") / self.name

    def picture(self) -> npt.NDArray[np.uint8]:
        """What is put out now: rows x columns x (red, green, blue)."""
        self._monitor.ask("screendump", filename=_SHOT)
        header, size, depth, pixels = (SHARE / _SHOT).read_bytes().split(b"\n", 3)
        assert (header, depth) == (b"P6", b"255")
        width, height = map(int, size.split())
        return np.frombuffer(pixels, np.uint8).reshape(height, width, 3)

    def pull(self) -> None:
        """Pull the cable."""
        self._set("off")

    def put_back(self) -> None:
        """Plug it in."""
        self._set("detect")

    @contextlib.contextmanager
    def mode(self, width: int, height: int) -> Iterator[None]:
        """Another screen at the same cable for a while, which has this size only."""
        override = self._debug / "edid_override"
        override.write_bytes(edid(width, height))
        self._set("detect")
        try:
            yield
        finally:
            override.write_bytes(b"reset")
            self._set("detect")

    def _set(self, status: str) -> None:
        (self.connector / "status").write_text(status)
        subprocess.run(["udevadm", "settle", "--timeout=60"], check=True)


def edid(width: int, height: int) -> bytes:
    """What a screen says of itself that has one mode, at 60 Hz (VESA E-EDID 1.3)."""
    blank_x, blank_y, front, sync = 160, 20, 48, 32
    clock = (width + blank_x) * (height + blank_y) * 60 // 10_000
    timing = [
        *clock.to_bytes(2, "little"),
        *(width & 0xFF, blank_x & 0xFF, (width >> 8) << 4 | blank_x >> 8),
        *(height & 0xFF, blank_y & 0xFF, (height >> 8) << 4 | blank_y >> 8),
        *(front, sync, 0x3 << 4 | 0x5, 0),  # the lines' porch is 3, their pulse 5
        *(0, 0, 0, 0, 0, 0x18),
    ]
    name = [0, 0, 0, 0xFC, 0, *b"Lab screen\n  "]
    nothing = [0, 0, 0, 0x10, 0, *bytes(13)]
    head = [
        *(0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x00),
        *(0x49, 0xF4, 1, 0, 1, 0, 0, 0, 1, 30, 1, 3),  # ROT 1, of 2020
        *(0x80, 32, 24, 120, 0x0A),  # digital, 32 x 24 cm, gamma 2.2, the first timing is preferred
        *(0xEE, 0x91, 0xA3, 0x54, 0x4C, 0x99, 0x26, 0x0F, 0x50, 0x54),
        *(0, 0, 0),
        *([1, 1] * 8),
    ]
    data = bytes([*head, *timing, *name, *nothing, *nothing, 0])
    return data + bytes([-sum(data) % 256])
