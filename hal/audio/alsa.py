"""Sound cards through ALSA (pyalsaaudio).

A device is named by its ALSA name with the card's id, "plughw:CARD=Jabra,DEV=0", which is
the same after a reboot; any other PCM name of the ALSA configuration can be given too.
Where a card offers no 48 kHz mono of its own, ALSA converts behind a `plughw` name, and this
module behind an `hw` name.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any, Final, Literal

import numpy as np
from av import AudioFrame

from hal.audio import PERIOD, RATE, CardTime, Microphone, Speaker
from hal.audio.frames import Samples, to_bytes, to_frame
from hal.audio.mixer import CardMixer
from hal.audio.pcm import STALL_S, Pcm, library
from hal.audio.priority import Priority
from hal.device import Device
from hal.errors import DeviceNotFound, DeviceUnplugged, OptionInvalid

_Kind = Literal["microphone", "speaker"]

_TRIES: Final = 3
"""How often the cards are looked at, until none comes or goes meanwhile."""

_SILENCE: Final = bytes(2 * PERIOD)

REALTIME: Final = 20
"""The default priority: above all that is ordinary, below the kernel's own 50."""


def find(kind: _Kind) -> list[Device]:
    """The sound devices: first the "default" that a sound server or the configuration
    defines, where there is one, then the cards.

    Other names of the configuration are not listed, for ALSA lists its plugins among
    them, whether or not there is a device behind; they can be opened all the same.
    """
    alsa = library()
    direction = alsa.PCM_CAPTURE if kind == "microphone" else alsa.PCM_PLAYBACK
    try:
        names: list[str] = alsa.pcms(direction)
    except alsa.ALSAAudioError:
        return []
    titles = _titles(alsa)
    chosen = [name for name in names if _is_device(name)]
    chosen.sort(key=lambda name: name != "default")
    return [_named(kind, name, _label(name, titles)) for name in chosen]


class _Card:
    """What both directions share: finding and opening the device, the card's mixer and clock,
    and the thread's priority."""

    _kind: _Kind

    def __init__(
        self, device: str | None, buffer_ms: int, realtime: int, label: str | None
    ) -> None:
        if not 0 <= realtime <= 99:
            raise OptionInvalid(f"realtime {realtime} is out of range; use 0 to 99", ["realtime"])
        self._priority = Priority(realtime)
        self._clock: CardTime | None = None
        self._periods = _periods(buffer_ms)
        self._name, self._label = device, label
        title = label or device or f"first {self._kind}"
        self.device = _named(self._kind, device or "", title)
        self.xruns = 0
        self._pcm: Pcm | None = None

    @classmethod
    def devices(cls) -> list[Device]:
        """See `hal.audio.Microphone.devices`; also raises BackendUnavailable."""
        return find(cls._kind)

    def close(self) -> None:
        """See `hal.audio.Microphone.close`."""
        pcm, self._pcm = self._pcm, None
        self._clock = None
        self._priority.release()
        if pcm is not None:
            pcm.close()

    @property
    def realtime(self) -> bool:
        """Whether the thread that drives the device has real-time priority now."""
        return self._priority.granted

    @property
    def clock(self) -> CardTime | None:
        """See `hal.audio.Microphone.clock`."""
        return self._clock

    @property
    def volume(self) -> float | None:
        """See `hal.audio.Microphone.volume`."""
        return self._mixer.volume

    def set_volume(self, volume: float) -> bool:
        """See `hal.audio.Microphone.set_volume`."""
        return self._mixer.set_volume(volume)

    @property
    def hardware_mute(self) -> bool | None:
        """See `hal.audio.Microphone.hardware_mute`."""
        return self._mixer.muted

    def set_hardware_mute(self, muted: bool) -> bool:
        """See `hal.audio.Microphone.set_hardware_mute`."""
        return self._mixer.set_muted(muted)

    @property
    def _what(self) -> str:
        return f"{self._kind} {self.device.id}"

    @property
    def _mixer(self) -> CardMixer:
        return CardMixer(self.device.id, self._kind, self._what)

    def _begin(self) -> None:
        """Open the device, closed before."""
        self.close()
        self.device = _chosen(self._kind, self._name, self._label)
        capture = self._kind == "microphone"
        self._pcm = Pcm(self.device.id, self._what, capture=capture, periods=self._periods)
        self.xruns = 0

    def _opened(self) -> Pcm:
        """Raises DeviceUnplugged while it is closed."""
        if self._pcm is None:
            raise DeviceUnplugged(f"{self._what} is not open; open it first")
        return self._pcm


class AlsaMicrophone(_Card, Microphone):
    """One capture device.  `pts` skips what an overrun lost, by CLOCK_MONOTONIC."""

    _kind = "microphone"

    def __init__(
        self,
        *,
        device: str | None = None,
        buffer_ms: int = 200,
        realtime: int = REALTIME,
        label: str | None = None,
    ) -> None:
        """`device` is an id of `devices` or any ALSA name; the first one by default.
        `buffer_ms` is how long a reader may be late; it adds no delay.  `realtime` is the
        priority that the reading thread gets where that is allowed, 0 for none.

        Raises OptionInvalid.
        """
        super().__init__(device, buffer_ms, realtime, label)
        self._pending = b""
        self._position = 0
        self._edge = 0.0
        """`time.monotonic` when the last sample that was read reached the card."""

    def open(self) -> None:
        """See `Microphone.open`; also raises DeviceForbidden."""
        self._begin()
        self._pending = b""
        self._position = 0
        self._edge = time.monotonic()

    def read(self) -> AudioFrame:
        """See `Microphone.read`."""
        pcm = self._opened()
        self._priority.take()
        deadline = time.monotonic() + STALL_S
        while len(self._pending) < len(_SILENCE):
            data = pcm.read(deadline)
            if data is None:
                self._skip()
            else:
                self._pending += data
                now = time.monotonic()
                behind = self._edge + len(data) / 2 / RATE
                self._edge = now if pcm.waited else min(behind, now)
        period, self._pending = self._pending[: len(_SILENCE)], self._pending[len(_SILENCE) :]
        samples: Samples = np.frombuffer(period, np.int16)
        frame = to_frame(samples, self._position)
        self._position += PERIOD
        counted = pcm.clock()
        if counted is not None:
            waiting, at = counted
            self._clock = CardTime(self._position + len(self._pending) / 2 + waiting, at)
        return frame

    def _skip(self) -> None:
        """Go over what an overrun lost: the buffer's contents and all that came since."""
        now = time.monotonic()
        self.xruns += 1
        self._position += len(self._pending) // 2 + round((now - self._edge) * RATE)
        self._pending = b""
        self._edge = now


class AlsaSpeaker(_Card, Speaker):
    """One playback device.

    Two periods of silence go ahead of the sound, at the beginning and after an underrun,
    so that a writer who comes every 10 ms is not always on the brink.
    """

    _kind = "speaker"

    def __init__(
        self,
        *,
        device: str | None = None,
        buffer_ms: int = 40,
        realtime: int = REALTIME,
        label: str | None = None,
    ) -> None:
        """`device` is an id of `devices` or any ALSA name; the first one by default.
        `buffer_ms` is the delay that the card adds, and how late a writer may be.
        `realtime` is as for the microphone.

        Raises OptionInvalid.
        """
        super().__init__(device, buffer_ms, realtime, label)
        self._ahead = 0
        self._written = 0

    def open(self) -> None:
        """See `Speaker.open`; also raises DeviceForbidden."""
        self._begin()
        self._written = 0
        self._ahead = self._head_start()

    def write(self, frame: AudioFrame) -> None:
        """See `Speaker.write`; also raises FormatUnsupported."""
        pcm = self._opened()
        self._priority.take()
        data = to_bytes(frame)
        deadline = time.monotonic() + STALL_S
        while not self._play(pcm, data, deadline):
            self.xruns += 1
            self._ahead = self._head_start()
        counted = pcm.clock()
        if counted is not None:
            waiting, at = counted
            self._clock = CardTime(self._written - waiting, at)

    def _play(self, pcm: Pcm, data: bytes, deadline: float) -> bool:
        """Write the silence that goes ahead, and the sound; False after an underrun."""
        while self._ahead:
            if not pcm.write(_SILENCE, deadline):
                return False
            self._ahead -= 1
            self._written += PERIOD
        if not pcm.write(data, deadline):
            return False
        self._written += PERIOD
        return True

    @property
    def delay(self) -> int:
        """See `Speaker.delay`."""
        return self._pcm.delay() if self._pcm is not None else 0

    def _head_start(self) -> int:
        return min(2, self._periods - 1)


def _periods(buffer_ms: int) -> int:
    periods = buffer_ms * RATE // 1000 // PERIOD
    if not 2 <= periods <= 100:
        raise OptionInvalid(f"buffer_ms {buffer_ms} is out of range; use 20 to 1000", ["buffer_ms"])
    return periods


def _named(kind: _Kind, name: str, label: str) -> Device:
    return Device(name, label, kind, "alsa")


def _chosen(kind: _Kind, name: str | None, label: str | None) -> Device:
    """The device to open: as named, or the first one of its kind."""
    found = find(kind)
    if name is not None:
        known = {each.id: each.label for each in found}
        return _named(kind, name, label or known.get(name, name))
    if not found:
        raise DeviceNotFound(f"no {kind} was found; plug in a sound card or name a device")
    return _named(kind, found[0].id, label or found[0].label)


def _is_device(name: str) -> bool:
    """Whether an ALSA name stands for a device rather than for a view of one."""
    return name == "default" or name.startswith("plughw:CARD=")


def _titles(alsa: Any) -> dict[str, str]:
    """The names of the cards by their ids.  None for all while cards come and go."""
    for _ in range(_TRIES):
        with contextlib.suppress(alsa.ALSAAudioError):
            cards: list[str] = alsa.cards()
            names = [str(alsa.card_name(index)[0]) for index in alsa.card_indexes()]
            # ALSA is asked one card after the other, and by number or id only.
            if alsa.cards() == cards and len(names) == len(cards):
                return dict(zip(cards, names, strict=True))
    return {}


def _label(name: str, titles: dict[str, str]) -> str:
    card = name.partition("CARD=")[2].partition(",")[0]
    return titles.get(card, name)
