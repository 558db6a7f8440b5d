"""One open ALSA PCM: waits with a deadline, and tells xruns from failures.

pyalsaaudio returns -EPIPE for an xrun (and has prepared the stream again by then), 0 when
nothing could be moved yet, and raises for everything else, with the reason as a text.
"""

from __future__ import annotations

import errno
import os
import select
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

from hal.audio import PERIOD, RATE
from hal.audio.convert import FORMATS, OURS, CardFormat, FromCard, ToCard
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
_AGE_S: Final = 10.0
"""A time of the card further from ours than this is of another clock."""

_CODES: Final = {os.strerror(code): code for code in errno.errorcode}
_SERVER_GONE: Final = frozenset({errno.ECONNREFUSED, errno.EHOSTDOWN, errno.ENOTCONN})
_ERRORS: Final = select.POLLERR | select.POLLHUP | select.POLLNVAL


class Handle(Protocol):
    """The part of `alsaaudio.PCM` that is used here."""

    def info(self) -> dict[str, Any]: ...
    def read(self) -> tuple[int, bytes]: ...
    def write(self, data: bytes) -> int: ...
    def avail(self) -> int: ...
    def htimestamp(self) -> tuple[int, int, int]: ...
    def set_tstamp_mode(self, mode: int) -> None: ...
    def set_tstamp_type(self, kind: int) -> None: ...
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
    """A PCM that gives and takes 48 kHz, mono, S16, without blocking calls.  A card that
    speaks something else is converted, at the nearest rate and format that it has.

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
        self._handle, self.card = self._open(alsa, name, capture=capture, periods=periods)
        self._from_card = FromCard(self.card) if capture else None
        self._to_card = None if capture else ToCard(self.card)
        self._left = b""
        """What was converted for the card and not taken yet."""
        try:
            info = self._handle.info()
            self.size = int(info["buffer_size"]) * RATE // self.card.rate
            """Samples at RATE that the device's buffer holds."""
            self._buffer = int(info["buffer_size"])
            self._timed = self._begin_clock(alsa)
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
        assert self._from_card is not None
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
                samples = self._from_card.convert(data)
                if samples:
                    return samples
                continue
            self.waited = True
            self._wait(deadline)

    def write(self, data: bytes, deadline: float) -> bool:
        """Play some samples; False after an underrun, which lost them."""
        assert self._to_card is not None
        self.waited = False
        self._left += self._to_card.convert(data)
        while self._left:
            try:
                count = self._handle.write(self._left)
            except self._error as error:
                self._recover(error)
                count = -errno.EPIPE
            if count == -errno.EPIPE:
                self._left = b""
                return False
            if count:
                self._left = self._left[count * self.card.frame_bytes :]
            else:
                self.waited = True
                self._wait(deadline)
        return True

    def clock(self) -> tuple[float, float] | None:
        """Samples at RATE that wait in the device's buffer, and the moment of
        `time.monotonic` at which they were counted; None where it cannot tell."""
        if not self._timed:
            return None
        try:
            seconds, nanoseconds, available = self._handle.htimestamp()
        except self._error:
            return None
        at = seconds + nanoseconds / 1e9
        if not -_AGE_S < at - time.monotonic() < _AGE_S:
            return None  # a plugin's time of another clock, or none at all
        waiting = available if self._from_card is not None else self._buffer - available
        return min(max(waiting, 0), self._buffer) * RATE / self.card.rate, at

    def delay(self) -> int:
        """Samples in the buffer of a playback device; 0 when it cannot be asked."""
        try:
            waiting = min(max(self._buffer - self._handle.avail(), 0), self._buffer)
            return waiting * RATE // self.card.rate
        except self._error:
            return 0

    def close(self) -> None:
        """Drop what is buffered and free the device."""
        self._handle.close()

    def _open(
        self, alsa: Any, name: str, *, capture: bool, periods: int
    ) -> tuple[Handle, CardFormat]:
        """The PCM in our format, else in what the card made of the request."""

        def begin(wanted: CardFormat) -> tuple[Handle, CardFormat]:
            try:
                handle = alsa.PCM(
                    type=alsa.PCM_CAPTURE if capture else alsa.PCM_PLAYBACK,
                    mode=alsa.PCM_NONBLOCK,
                    rate=wanted.rate,
                    channels=wanted.channels,
                    format=getattr(alsa, f"PCM_FORMAT_{wanted.name}"),
                    periodsize=PERIOD * wanted.rate // RATE,
                    periods=periods,
                    device=name,
                )
            except self._error as error:
                raise failure(error, self._what) from error
            info = handle.info()
            given = CardFormat(info["format_name"], int(info["rate"]), int(info["channels"]))
            return cast("Handle", handle), given

        return _negotiate(begin, self._what)

    def _begin_clock(self, alsa: Any) -> bool:
        """Have the kernel note the time with each period.  Returns whether it can."""
        try:
            self._handle.set_tstamp_mode(alsa.PCM_TSTAMP_ENABLE)
            self._handle.set_tstamp_type(alsa.PCM_TSTAMP_TYPE_MONOTONIC)
        except (self._error, AttributeError):
            return False  # a plugin without, or a pyalsaaudio before 0.10
        return True

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


def _negotiate(
    begin: Callable[[CardFormat], tuple[Handle, CardFormat]], what: str
) -> tuple[Handle, CardFormat]:
    """ALSA gives the nearest that a card has to each thing asked for.  What comes back is
    asked for in its turn, so that the length of a period fits the rate."""
    handle, given = begin(OURS)
    if given == OURS:
        return handle, given
    handle.close()
    if given.name not in FORMATS:
        # The first of a card's formats may be an odd one where it has a plain one as well.
        for name in FORMATS:
            handle, second = begin(CardFormat(name, given.rate, given.channels))
            if second.name == name:
                given = second
                handle.close()
                break
            handle.close()
        else:
            raise FormatUnsupported(
                f"{what} gives {given.name} at {given.rate} Hz in {given.channels} channels; "
                "use its plughw name, which converts"
            )
    handle, final = begin(given)
    if final != given or not final.channels or not final.rate:
        handle.close()
        raise FormatUnsupported(
            f"{what} does not keep to {given.name} at {given.rate} Hz in {given.channels} "
            "channels; use its plughw name, which converts"
        )
    return handle, final
