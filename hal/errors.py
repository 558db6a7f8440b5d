"""What can go wrong with a device; see the tree in the package's docstring.

The text of each error is one line that a user may read: what is wrong and what
to do about it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence


class HalError(Exception):
    """Any failure of a device or of the library below it."""


class DeviceNotFound(HalError, LookupError):
    """No backend or device of that name exists on this machine."""


class DeviceBusy(HalError, OSError):
    """Another process holds the device."""


class DeviceForbidden(HalError, PermissionError):
    """The device is there, but this user may not open it."""


class DeviceUnplugged(HalError, OSError):
    """The device was open and has gone away."""


class DeviceStalled(HalError, TimeoutError):
    """The device is open but has delivered nothing within its deadline."""


class FormatUnsupported(HalError, ValueError):
    """The device offers nothing near the format that was asked for."""


class OptionInvalid(HalError, ValueError):
    """A backend was given an option that it does not know, or a value it cannot take.

    `options` are those that it is about, also one that is missing beside another; the one to blame
    comes first.  There are none where it is about all of them.
    """

    def __init__(self, reason: str, options: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.options = tuple(options)


class BackendUnavailable(HalError, ImportError):
    """The backend's library or kernel interface is missing on this machine."""


_GONE = frozenset({errno.ENODEV, errno.ENXIO, errno.ENOENT, errno.EIO, errno.EPIPE, errno.EBADF})
_ABSENT = frozenset({errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOTDIR})
_INVALID_DATA = 0x41444E49
"""FFmpeg's AVERROR_INVALIDDATA, as PyAV's errors carry it in `errno`."""

_END_OF_FILE = 0x20464F45
"""FFmpeg's AVERROR_EOF, likewise."""

_WRONG_NODE = frozenset({errno.ENOTTY, errno.EISDIR})


def from_os(error: Exception, what: str, *, group: str = "", opened: bool = False) -> HalError:
    """The error of our tree for one of the operating system or of PyAV (by its `errno`).

    `what` names the device for the reader ("camera /dev/video0").  `group` is the Unix
    group whose members may open it, for the remedy.  `opened` tells that the device
    was already in use, so that its absence means that it was pulled.
    """
    code: int | None = getattr(error, "errno", None)
    if code == _INVALID_DATA:
        return FormatUnsupported(f"{what} gives data of no known format; check what it is")
    if code == _END_OF_FILE:
        return DeviceUnplugged(f"{what} has ended; open it again")
    reason = os.strerror(code) if code else " ".join(str(error).split())
    if opened and code in _GONE:
        return DeviceUnplugged(f"{what} has gone ({reason}); plug it in again")
    if code in _ABSENT:
        return DeviceNotFound(f"{what} is not there ({reason}); check its name and its cable")
    if code in _WRONG_NODE:
        return DeviceNotFound(f"{what} is no such device ({reason}); check its name")
    if code == errno.EBUSY:
        return DeviceBusy(f"{what} is in use by another program; stop that program")
    if code in (errno.EACCES, errno.EPERM):
        remedy = f"add the user to the group {group}" if group else "check its permissions"
        return DeviceForbidden(f"{what} may not be opened by this user; {remedy}")
    if code == errno.ENOSPC:
        return DeviceUnplugged(f"{what} cannot be written, the disk is full; free some space")
    if code == errno.ETIMEDOUT:
        return DeviceStalled(f"{what} gives no answer; unplug it and plug it in again")
    if code in (errno.EINVAL, errno.ERANGE):
        return FormatUnsupported(f"{what} refuses the format that was asked for; ask for another")
    if opened:
        return DeviceUnplugged(f"{what} failed ({reason}); it needs to be opened again")
    return DeviceNotFound(f"{what} cannot be opened ({reason}); check the device")
