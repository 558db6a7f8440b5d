"""A microphone's periods to Opus: what may be in a packet, and at which time it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from av import Packet

from appliance.media import mic_stream
from appliance.media.mic_stream import MicStream
from appliance.media.opus import FRAME, OpusDecoder, Samples
from hal.audio import PERIOD, RATE, CardTime
from tests.appliance.media.conftest import level_at, tone


def no_clock() -> CardTime | None:
    return None


class Card:
    """A card that gives one period after the other of a steady tone."""

    def __init__(self, stream: MicStream, clock: Callable[[], CardTime | None] = no_clock) -> None:
        self.stream = stream
        self.clock = clock
        self.position = 0

    def give(self, epoch: int = 0) -> Samples | None:
        period = tone(1000, samples=PERIOD, start=self.position)
        whole = self.stream.add(period, self.position, epoch, self.clock)
        self.position += PERIOD
        return whole

    def whole(self, epoch: int = 0) -> Samples:
        while (whole := self.give(epoch)) is None:
            pass
        return whole


def packet(stream: MicStream, whole: Samples) -> Packet[Any]:
    return stream.encode(whole, 32_000, 5)


def stream() -> MicStream:
    return MicStream(32_000, 5, epoch=0)


def test_two_periods_are_a_frame() -> None:
    card = Card(stream())
    assert card.give() is None
    whole = card.give()
    assert whole is not None
    assert (whole == tone(1000)).all()
    decoder = OpusDecoder()
    heard = [decoder.decode(bytes(packet(card.stream, card.whole()))) for _ in range(40)]
    assert level_at(np.concatenate(heard[10:]), 1000) == pytest.approx(-12, abs=1)


def test_time_passes_with_what_is_skipped() -> None:
    card = Card(stream())
    times = [packet(card.stream, card.whole()).pts]
    card.stream.skip()
    times.append(packet(card.stream, card.whole()).pts)
    assert times == [0, 2 * FRAME]


def test_nothing_of_the_time_before_is_in_a_packet() -> None:
    card, silence = Card(stream()), np.zeros(FRAME, np.int16)
    for _ in range(10):
        packet(card.stream, card.whole())
    card.give()  # half a frame that waits for its other half
    half = card.give(epoch=1)
    assert half is not None
    assert not half.any(), "neither it, nor what the card had begun to record"
    # Nor is anything left in the encoder.
    decoder = OpusDecoder()
    heard = [decoder.decode(bytes(packet(card.stream, one))) for one in (half, silence)]
    assert max(np.abs(one).max() for one in heard) < 32
    late = card.whole(epoch=1)
    assert not late[:PERIOD].any()
    assert late[PERIOD:].any()
    assert card.whole(epoch=1)[:PERIOD].any(), "the tone is heard again"


@pytest.mark.parametrize(
    ("waiting", "silenced"),
    [(0, 1), (30 * PERIOD, 31), (10**12, 101), (-(10**12), 1)],
    ids=["nothing", "300 ms", "a clock that is ahead", "a clock that is behind"],
)
def test_what_waits_in_the_card_when_the_gate_opens_is_silenced(
    waiting: int, silenced: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mic_stream, "time", SimpleNamespace(monotonic=lambda: 7000.0))
    card = Card(stream(), lambda: CardTime(2 * PERIOD + waiting, 7000.0))
    card.give()
    periods = np.concatenate([card.whole(epoch=1) for _ in range(60)]).reshape(-1, PERIOD)
    heard = periods.any(axis=1).tolist()
    # With the one of before, and the one that was read as the change was seen.
    quiet = 2 + silenced
    assert heard == [False] * quiet + [True] * (len(heard) - quiet)


@pytest.mark.parametrize("openings", [[0.5], [0.2, 0.3], [0.1, 0.1, 0.1, 0.2]])
def test_a_pause_is_as_long_as_it_was_however_often_the_device_was_tried_in_it(
    openings: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 7000.0
    monkeypatch.setattr(mic_stream, "time", SimpleNamespace(monotonic=lambda: now))
    card = Card(stream())
    card.stream.begin()
    assert packet(card.stream, card.whole()).pts == 0, "the first opening is after no pause"
    for passed in openings:
        now += passed
        card.stream.begin()
        card.position = 0
    assert packet(card.stream, card.whole()).pts == FRAME + RATE // 2


def test_half_a_frame_does_not_outlive_a_pause() -> None:
    card = Card(stream())
    card.stream.begin()
    card.give()
    card.stream.begin()
    assert card.give() is None


def test_after_a_pause_the_card_counts_anew() -> None:
    card = Card(stream(), lambda: CardTime(RATE, time.monotonic()))
    card.stream.begin()
    assert card.whole().any()
    assert not card.whole(epoch=1).any()
    card.stream.begin()
    card.position = 0
    assert card.whole(epoch=1).any(), "what is silenced is what the card had before"


def test_another_rate_counts_from_the_next_packet() -> None:
    card = Card(stream())
    sizes = [
        [packet.size for packet in (card.stream.encode(card.whole(), rate, 5) for _ in range(20))]
        for rate in (32_000, 96_000)
    ]
    assert np.mean(sizes[1][2:]) > 1.5 * np.mean(sizes[0][2:])
