"""Opus there and back, by spectrum."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.media.errors import CodecError
from appliance.media.opus import FRAME, OpusDecoder, OpusEncoder
from tests.appliance.media.conftest import level_at, tone


def test_a_tone_survives() -> None:
    encoder, decoder = OpusEncoder(), OpusDecoder()
    out = [decoder.decode(bytes(encoder.encode(tone(1000, start=i * FRAME)))) for i in range(50)]
    heard = np.concatenate(out)[FRAME * 10 :]
    assert len(np.concatenate(out)) == 50 * FRAME
    assert level_at(heard, 1000) == pytest.approx(-12.0, abs=1.0)
    assert level_at(heard, 1500) < -60


def test_packets_count_time_through_skips_and_resets() -> None:
    encoder = OpusEncoder()
    times = [encoder.encode(tone(440)).pts]
    encoder.skip()
    times.append(encoder.encode(tone(440)).pts)
    encoder.reset()
    times.append(encoder.encode(tone(440)).pts)
    assert times == [0, 1920, 2880]


def speech(frame: int) -> np.ndarray:
    """Harmonics of a voice that swells and ebbs."""
    at = (np.arange(FRAME) + frame * FRAME) / 48_000
    voice = sum(np.sin(2 * np.pi * 120 * k * at) / k for k in range(1, 20))
    return np.asarray(voice * (1 + np.sin(2 * np.pi * 4 * at)) * 3000).astype(np.int16)


def repeats(packet: bytes) -> bool:
    """Whether it carries the speech of the packet before: the LBRR flag of a mono SILK frame of
    20 ms is its second bit (RFC 6716, 3.1 and 4.2.4)."""
    return packet[0] >> 3 < 16 and bool(packet[1] & 0x40)


def test_packets_carry_the_words_of_the_one_before_where_some_are_lost() -> None:
    encoder = OpusEncoder(loss_percent=10)
    assert sum(repeats(bytes(encoder.encode(speech(i)))) for i in range(50)) > 20
    encoder.reset(loss_percent=0)
    assert not any(repeats(bytes(encoder.encode(speech(i)))) for i in range(50))
    encoder.reset(24_000)
    assert not any(repeats(bytes(encoder.encode(speech(i)))) for i in range(50))


def test_reset_leaves_nothing_of_what_was_heard() -> None:
    """Without it, the look-ahead carries the last milliseconds into the next packet."""
    silence = np.zeros(FRAME, np.int16)

    def first_after(reset: bool) -> np.ndarray:
        encoder, decoder = OpusEncoder(), OpusDecoder()
        for i in range(20):
            encoder.encode(tone(1000, start=i * FRAME, level=0.9))
        if reset:
            encoder.reset()
        return decoder.decode(bytes(encoder.encode(silence)))

    assert np.abs(first_after(reset=False)).max() > 1000
    # A few units in 32768 are the decoder's own noise.
    assert np.abs(first_after(reset=True)).max() <= 4


def test_bad_input_is_refused_by_name() -> None:
    with pytest.raises(CodecError, match="960 samples"):
        OpusEncoder().encode(np.zeros(480, np.int16))
    with pytest.raises(CodecError, match="not Opus"):
        OpusDecoder().decode(b"\xff\xff\xff")
