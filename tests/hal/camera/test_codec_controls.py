from __future__ import annotations

import struct
from pathlib import Path

import pytest

from hal.camera import codec_controls


def test_controls_as_the_kernels_headers_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int, tuple[int, int]]] = []

    def ioctl(handle: int, request: int, data: bytes) -> int:
        calls.append((handle, request, struct.unpack("Ii", data)))
        return 0

    monkeypatch.setattr(codec_controls.fcntl, "ioctl", ioctl)
    codec_controls.set_bitrate(7, 750_000)
    codec_controls.force_keyframe(7)
    # _IOWR('V', 28, struct v4l2_control of 8 bytes); V4L2_CID_CODEC_BASE + 207 and + 229.
    request = (3 << 30) | (8 << 16) | (ord("V") << 8) | 28
    base = 0x0099_0000 | 0x900
    assert calls == [(7, request, (base + 207, 750_000)), (7, request, (base + 229, 1))]


def test_a_node_without_them_says_so() -> None:
    with Path("/dev/null").open("rb") as node, pytest.raises(OSError, match="ioctl"):
        codec_controls.force_keyframe(node.fileno())
