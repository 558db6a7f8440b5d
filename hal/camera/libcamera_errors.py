"""What Picamera2 and libcamera say when something is wrong: words in a RuntimeError."""

from __future__ import annotations

import errno
import os

from hal.errors import (
    DeviceBusy,
    DeviceForbidden,
    DeviceNotFound,
    FormatUnsupported,
    HalError,
    OptionInvalid,
)


def text_of(error: BaseException) -> str:
    """An error with all that caused it, in one line; Picamera2 hides libcamera's reason
    behind words of its own."""
    texts: list[str] = []
    one: BaseException | None = error
    while one is not None:
        text = " ".join(str(one).split()) or type(one).__name__
        if text not in texts:
            texts.append(text)
        one = one.__cause__ or one.__context__
    return ": ".join(texts)


def failure(error: Exception, what: str) -> HalError:
    """The error of our tree for one at opening; `what` names the camera for the reader."""
    if isinstance(error, HalError):
        return error
    text = text_of(error)
    low = text.lower()

    def says(*codes: int) -> bool:
        return any(os.strerror(code).lower() in low for code in codes)

    if says(errno.EBUSY):
        return DeviceBusy(f"{what} is in use by another program; stop that program")
    if says(errno.EACCES, errno.EPERM):
        return DeviceForbidden(f"{what} may not be opened by this user; add it to group video")
    if says(errno.ENOMEM):
        return FormatUnsupported(
            f"{what} finds no memory for pictures of this size; ask for a smaller one, or give "
            "the kernel more CMA"
        )
    if "not advertised" in low:
        return OptionInvalid(f"{what} lacks a control ({text}); leave that option out")
    if "configuration" in low or "format" in low or "dimensions" in low:
        return FormatUnsupported(f"{what} refuses the format ({text}); ask for another size")
    return DeviceNotFound(f"{what} cannot be opened ({text}); check its ribbon cable")
