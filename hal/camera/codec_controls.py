"""What V4L2 lets one tell a running hardware encoder (linux/v4l2-controls.h)."""

from __future__ import annotations

import fcntl
import struct
from typing import Final

_VIDIOC_S_CTRL: Final = 0xC008561C
_CONTROL: Final = struct.Struct("Ii")
_CODEC_BASE: Final = 0x0099_0000 | 0x900
_BITRATE: Final = _CODEC_BASE + 207
_FORCE_KEY_FRAME: Final = _CODEC_BASE + 229


def set_bitrate(handle: int, bps: int) -> None:
    """The target of the encoder behind an open node, in bit/s.  Raises OSError when its
    driver has no such control (EINVAL, ENOTTY) or refuses the value (ERANGE)."""
    _set(handle, _BITRATE, bps)


def force_keyframe(handle: int) -> None:
    """Make the next picture a keyframe.  Raises as `set_bitrate`."""
    _set(handle, _FORCE_KEY_FRAME, 1)


def _set(handle: int, control: int, value: int) -> None:
    fcntl.ioctl(handle, _VIDIOC_S_CTRL, _CONTROL.pack(control, value))
