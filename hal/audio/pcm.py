"""One open ALSA PCM: waits with a deadline, and tells xruns from failures.

pyalsaaudio returns -EPIPE for an xrun (and has prepared the stream again by then), 0 when
nothing could be moved yet, and raises for everything else, with the reason as a text.
"""

from __future__ import annotations

import errno
import os
import select
import time
from typing import Any, Final, Protocol, cast

from hal.audio import PERIOD, RATE
from hal.errors import (
    BackendUnavailable,
    DeviceStalled,
    DeviceUnplugged,
    FormatUnsupported,
    HalError,
    from_os,
)
from hal.optional import require

STALL_S: Final = 1.0

_CODES: Final = {os.strerror(code): code for code in errno.errorcode}
_SERVER_GONE: Final = frozenset({errno.ECONNREFUSED, errno.EHOSTDOWN, errno.ENOTCONN})
_ERRORS: Final = select.POLLERR | select.POLLHUP | select.POLLNVAL


class Handle(Protocol):
    """The part of `alsaaudio.PCM` that is used here."""

    def info(self) -> dict[str, Any]: ...
    def read(self) -> tuple[int, bytes]: ...
    def write(self, data: bytes) -> int: ...
    def avail(self) -> int: ...
    def state(self) -> int: ...
    def drop(self) -> int: ...
    def close(self) -> None: ...
    def polldescriptors(self) -> list[tuple[int, int]]: ...
    def polldescriptors_revents(self, descriptors: list[tuple[int, int]]) -> int: ...


def library() -> Any:
    """The module `alsaaudio`.  Raises BackendUnavailable."""
    return require("alsaaudio", "install the Python package pyalsaaudio")


def failure(error: Exception, what: str, *, opened: bool = False) -> HalError:
    """The error of our tree for one of pyalsaaudio, whose text is "reason [device]"."""
    text = str(error).rpartition(" [")[0] or str(error)
    code = _CODES.get(text)
    if code in _SERVER_GONE:
        if opened:
            return DeviceUnplugged(f"{what} has gone, its sound server stopped; start it again")
        return BackendUnavailable(f"{what} belongs to a sound server that is not up; start it")
    return from_os(OSError(code or 0, text), what, group="audio", opened=opened)


class Pcm:
    """A PCM at 48 kHz, mono, S16, without blocking calls.

    Methods take a deadline in seconds of `time.monotonic` and raise DeviceStalled when it
    passes, DeviceUnplugged when the device fails.
    """

    def __init__(self, name: str, what: str, *, capture: bool, periods: int) -> None:
        """Open `name`; `what` is its name in errors.  Raises as `open` of the endpoints."""
        alsa = library()
        self._what = what
        self._error: type[Exception] = alsa.ALSAAudioError
        self._disconnected: int = alsa.PCM_STATE_DISCONNECTED
        self._suspended: int = alsa.PCM_STATE_SUSPENDED
        try:
            self._handle = cast(
                "Handle",
                alsa.PCM(
                    type=alsa.PCM_CAPTURE if capture else alsa.PCM_PLAYBACK,
                    mode=alsa.PCM_NONBLOCK,
                    rate=RATE,
                    channels=1,
                    format=alsa.PCM_FORMAT_S16_LE,
                    periodsize=PERIOD,
                    periods=periods,
                    device=name,
                ),
            )
        except self._error as error:
            raise failure(error, what) from error
        try:
            info = self._handle.info()
            shape = (info["rate"], info["channels"], info["format_name"])
            if shape != (RATE, 1, "S16_LE"):
                raise FormatUnsupported(
                    f"{what} gives {shape[2]} at {shape[0]} Hz in {shape[1]} channels; "
                    "use its plughw name, which converts"
                )
            self.size = int(info["buffer_size"])
            """Samples that the device's buffer holds."""
            self._descriptors = self._handle.polldescriptors()
        except BaseException:
            self._handle.close()
            raise
        self.waited = False
        """Whether the last `read` or `write` had to wait: it left no backlog."""
        self._poll = select.poll()
        for descriptor, events in self._descriptors:
            self._poll.register(descriptor, events)

    def read(self, deadline: float) -> bytes | None:
        """Some samples, at least one; None after an overrun, from which it recovers."""
        self.waited = False
        while True:
            try:
                count, data = self._handle.read()
            except self._error as error:
                self._recover(error)
                return None
            if count == -errno.EPIPE:
                return None
            if count:
                return data
            self.waited = True
            self._wait(deadline)

    def write(self, data: bytes, deadline: float) -> int | None:
        """How many samples were taken, at least one; None after an underrun."""
        self.waited = False
        while True:
            try:
                count = self._handle.write(data)
            except self._error as error:
                self._recover(error)
                return None
            if count == -errno.EPIPE:
                return None
            if count:
                return count
            self.waited = True
            self._wait(deadline)

    def delay(self) -> int:
        """Samples in the buffer of a playback device; 0 when it cannot be asked."""
        try:
            return min(max(self.size - self._handle.avail(), 0), self.size)
        except self._error:
            return 0

    def close(self) -> None:
        """Drop what is buffered and free the device."""
        self._handle.close()

    def _wait(self, deadline: float) -> None:
        while True:
            left = deadline - time.monotonic()
            found = dict(self._poll.poll(left * 1000)) if left > 0 else {}
            if not found:
                raise DeviceStalled(f"{self._what} gives no sound; unplug it and plug it in again")
            # The descriptors of a plugin may mean something else than their names say.
            raw = [(descriptor, found.get(descriptor, 0)) for descriptor, _ in self._descriptors]
            try:
                events = self._handle.polldescriptors_revents(raw)
            except self._error as error:
                raise failure(error, self._what, opened=True) from error
            if events & _ERRORS and self._handle.state() == self._disconnected:
                raise DeviceUnplugged(f"{self._what} has gone; plug it in again")
            if events:
                return

    def _recover(self, error: Exception) -> None:
        """Go on after the machine slept; fail for every other reason."""
        if self._handle.state() != self._suspended:
            raise failure(error, self._what, opened=True) from error
        self._handle.drop()
