"""A card's own volume and mute switch, where it has them.

A card's mixer is opened for each question and closed again: a handle that stays open would
keep the values that it saw first, and belong to one thread.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

from hal.audio.pcm import failure, library
from hal.errors import DeviceUnplugged, HalError

log = logging.getLogger(__name__)

Direction = Literal["microphone", "speaker"]

_PREFERRED: Final[dict[Direction, tuple[str, ...]]] = {
    "speaker": ("Master", "PCM", "Speaker", "Headphone", "Headset", "Digital", "HDMI"),
    "microphone": ("Capture", "Mic", "Headset", "Digital", "ADC"),
}
"""Names of controls as drivers give them, the one that governs the others first."""


class CardMixer:
    """The mixer of the card behind a PCM."""

    def __init__(self, pcm: str, direction: Direction, what: str) -> None:
        """`pcm` is an ALSA name; `what` the device's name in errors."""
        self._card = mixer_of(pcm)
        self._direction = direction
        self._what = what

    @property
    def volume(self) -> float | None:
        """0 to 1, the loudest channel; None where there is no such control."""
        with self._control("volume") as control:
            return None if control is None else max(self._volumes(control)) / 100

    def set_volume(self, volume: float) -> bool:
        """See `hal.audio.Speaker.set_volume`."""
        percent = round(min(max(volume, 0.0), 1.0) * 100)
        with self._control("volume") as control:
            if control is None:
                return False
            control.setvolume(percent, pcmtype=self._type())
        with self._control("volume") as control:
            # Cards have steps; a tenth off the mark is still theirs.
            if control is None or abs(max(self._volumes(control)) - percent) > 10:
                raise DeviceUnplugged(f"the volume of {self._what} does not obey; check its card")
        return True

    @property
    def muted(self) -> bool | None:
        """Whether all channels are off; None where there is no such switch."""
        with self._control("mute") as control:
            return None if control is None else self._is_muted(control)

    def set_muted(self, muted: bool) -> bool:
        """See `hal.audio.Microphone.set_hardware_mute`."""
        with self._control("mute") as control:
            if control is None:
                return False
            if self._direction == "speaker":
                control.setmute(int(muted))
            else:
                control.setrec(int(not muted))
        with self._control("mute") as control:
            if control is None or self._is_muted(control) != muted:
                raise DeviceUnplugged(
                    f"the mute switch of {self._what} does not obey; check its card"
                )
        return True

    def _type(self) -> Any:
        alsa = library()
        return alsa.PCM_PLAYBACK if self._direction == "speaker" else alsa.PCM_CAPTURE

    def _volumes(self, control: Any) -> list[int]:
        return [int(value) for value in control.getvolume(pcmtype=self._type())] or [0]

    def _is_muted(self, control: Any) -> bool:
        if self._direction == "speaker":
            return all(control.getmute())
        return not any(control.getrec())

    @contextmanager
    def _control(self, ability: Literal["volume", "mute"]) -> Iterator[Any]:
        """The best control of the card for this direction; None when it has none."""
        alsa = library()
        opened = None
        try:
            names = alsa.mixers(device=self._card)
            order = [name for name in _PREFERRED[self._direction] if name in names]
            for name in [*order, *(name for name in names if name not in order)]:
                one = alsa.Mixer(name, device=self._card)
                if self._can(one, name, ability):
                    opened = one
                    break
                one.close()
        except alsa.ALSAAudioError as error:
            log.debug("%s: its mixer cannot be opened: %s", self._what, error)
        try:
            yield opened
        except alsa.ALSAAudioError as error:
            raise self._failure(error) from error
        finally:
            if opened is not None:
                opened.close()

    def _failure(self, error: Exception) -> HalError:
        return failure(error, f"the mixer of {self._what}", opened=True)

    def _can(self, control: Any, name: str, ability: Literal["volume", "mute"]) -> bool:
        side = "Playback" if self._direction == "speaker" else "Capture"
        word, has = (
            ("Volume", control.volumecap())
            if ability == "volume"
            else ("Mute", control.switchcap())
        )
        # Some cards have one setting for both directions; its name tells which one it is for.
        return f"{side} {word}" in has or (word in has and name in _PREFERRED[self._direction])


def mixer_of(pcm: str) -> str:
    """The name of the mixer of a PCM's card: "plughw:CARD=Jabra,DEV=0" has that of
    "hw:CARD=Jabra"; another name of the configuration has one of the same name."""
    kind, _, arguments = pcm.partition(":")
    if kind in ("hw", "plughw", "sysdefault", "default", "front") and arguments:
        card = arguments.partition(",")[0]
        return f"hw:{card}"
    return pcm
