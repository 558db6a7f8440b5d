"""From a microphone's periods to one stream of Opus, through mutes and pauses."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from av import Packet

from appliance.media.opus import FRAME, OpusEncoder, Samples
from hal.audio import PERIOD, RATE, CardTime

_BACKLOG: Final = RATE
"""Samples that wait in a card at the most: five times the usual buffer.  So a card whose clock
errs takes no more than a second."""


class MicStream:
    """Gathers periods of PERIOD samples to frames of FRAME, and encodes those.

    What was heard under another epoch of the gate is in no packet of the present one, however late
    it is taken from the card.  Time runs on through what is skipped, and through pauses.
    """

    def __init__(self, bitrate: int, loss_percent: int, epoch: int) -> None:
        self._encoder = OpusEncoder(bitrate, loss_percent=loss_percent)
        self._encoded_for = bitrate, loss_percent
        self._periods: list[Samples] = []
        self._epoch = epoch
        # Samples since the device was opened: all before were heard under another state.
        self._fresh = 0
        self._framed_at: float | None = None

    def begin(self) -> None:
        """The device was just opened: for the first time, or after a pause."""
        self._periods.clear()
        self._fresh = 0
        if self._framed_at is not None:
            # A pause is one on the wire too.  Sound that went on where it had ended would be taken
            # for late by as much, and made to wait for more of that kind.
            now = time.monotonic()
            self._encoder.skip(round((now - self._framed_at) * RATE / FRAME))
            # It may be closed again before there is a frame, and what is skipped is skipped.
            self._framed_at = now

    def reset(self) -> None:
        """Forget what was heard: the gate is another one."""
        self._encoder.reset()

    def add(
        self,
        period: Samples,
        position: int,
        epoch: int,
        clock: Callable[[], CardTime | None],
    ) -> Samples | None:
        """Add a period that the gate admitted under `epoch`; a whole frame, once there is one.

        `position` counts the samples before it since `begin`; `clock` asks for the card's.
        """
        if epoch != self._epoch:
            self._epoch = epoch
            self._encoder.reset()
            self._periods = [np.zeros(PERIOD, np.int16) for _ in self._periods]
            self._fresh = _recorded(position + PERIOD, clock())
        self._periods.append(period if position >= self._fresh else np.zeros_like(period))
        if len(self._periods) * PERIOD < FRAME:
            return None
        whole = np.concatenate(self._periods)
        self._periods.clear()
        self._framed_at = time.monotonic()
        return whole

    def encode(self, whole: Samples, bitrate: int, loss_percent: int) -> Packet[Any]:
        """The packet of a frame, for so many bit/s and so many of a hundred that are lost."""
        if (wanted := (bitrate, loss_percent)) != self._encoded_for:
            # libopus takes another rate only from its beginning.
            self._encoded_for = wanted
            self._encoder.reset(*wanted)
        return self._encoder.encode(whole)

    def skip(self) -> None:
        """Let a frame's time pass without a packet."""
        self._encoder.skip()


def _recorded(end: int, clock: CardTime | None) -> int:
    """Samples that the card has recorded by now, some of which may wait to be read; `end` is where
    what was read last ends."""
    # At the least, the period that follows has begun.
    reached = 0.0 if clock is None else clock.position + RATE * (time.monotonic() - clock.at)
    return int(min(max(reached, end), end + _BACKLOG)) + 1
