"""The Video4Linux2 nodes of a machine, and which of them are cameras."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from hal.device import Device
from hal.links import links, text_of

# linux/videodev2.h
_VIDIOC_QUERYCAP: Final = 0x80685600
_QUERYCAP: Final = struct.Struct("16s32s32sIII3I")
_CAP_VIDEO_CAPTURE: Final = 0x0000_0001
_CAP_STREAMING: Final = 0x0400_0000
_CAP_DEVICE_CAPS: Final = 0x8000_0000

_RAW_SENSORS: Final = frozenset({"unicam", "rp1-cfe", "bcm2835-isp", "pispbe"})
"""Drivers of a Raspberry Pi's camera socket: they give raw sensor data, which only
libcamera can turn into pictures."""


class Capability(NamedTuple):
    """What a node says of itself."""

    driver: str
    card: str
    capture: bool
    """It streams pictures in (not out, not metadata, not a codec)."""


def query(node: Path) -> Capability | None:
    """Ask a node what it is; None when it cannot be asked (no V4L2 node, no permission)."""
    try:
        handle = os.open(node, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return None
    answer = bytearray(_QUERYCAP.size)
    try:
        fcntl.ioctl(handle, _VIDIOC_QUERYCAP, answer)
    except OSError:
        return None
    finally:
        os.close(handle)
    driver, card, _bus, _version, whole, own, *_ = _QUERYCAP.unpack(answer)
    flags = own if whole & _CAP_DEVICE_CAPS else whole
    return Capability(
        driver.split(b"\0")[0].decode("utf-8", "replace"),
        card.split(b"\0")[0].decode("utf-8", "replace"),
        bool(flags & _CAP_VIDEO_CAPTURE and flags & _CAP_STREAMING),
    )


def find(
    dev: Path = Path("/dev"),
    sys: Path = Path("/sys"),
    ask: Callable[[Path], Capability | None] = query,
) -> list[Device]:
    """The cameras under `dev` and `sys`, USB ones (with a by-id link) first.

    A USB camera that this user may not open is listed too, for it is there; the error
    comes at `open`.
    """
    by_id, by_path = links(dev / "v4l" / "by-id"), links(dev / "v4l" / "by-path")
    found: list[tuple[bool, int, Device]] = []
    for entry in (sys / "class" / "video4linux").glob("video*"):
        number = entry.name.removeprefix("video")
        node = dev / entry.name
        # The second node of a UVC camera carries its metadata, not pictures.
        if not number.isdecimal() or text_of(entry / "index") not in ("", "0") or not node.exists():
            continue
        answer = ask(node)
        if answer is not None and (not answer.capture or answer.driver in _RAW_SENSORS):
            continue
        if answer is None and not by_id.get(node.name):
            continue
        link = by_id.get(node.name) or by_path.get(node.name) or node
        label = text_of(entry / "name") or (answer.card if answer else "") or entry.name
        unnamed = node.name not in by_id
        found.append((unnamed, int(number), Device(str(link), label, "camera", "v4l2")))
    return [device for _, _, device in sorted(found, key=lambda item: item[:2])]
