from __future__ import annotations

import numpy as np
import pytest

from hal.audio.convert import FORMATS, OURS, CardFormat, FromCard, ToCard

SOUND = np.array([0, 1, -1, 1000, -1000, 32767, -32768], np.int16)


def test_our_own_format_is_passed_on() -> None:
    data = SOUND.tobytes()
    assert FromCard(OURS).convert(data) is data
    assert ToCard(OURS).convert(data) is data


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_there_and_back_is_the_same(name: str, channels: int) -> None:
    card = CardFormat(name, channels=channels)
    played = ToCard(card).convert(SOUND.tobytes())
    assert len(played) == SOUND.size * card.frame_bytes
    assert np.array_equal(np.frombuffer(FromCard(card).convert(played), np.int16), SOUND)


def test_the_first_two_channels_are_mixed() -> None:
    array = np.array([[100, 300, 9999], [-5, -7, 9999]], "<i2")
    mixed = FromCard(CardFormat(channels=3)).convert(array.tobytes())
    assert np.frombuffer(mixed, np.int16).tolist() == [200, -6]


def test_packed_24_bits_keep_their_sign() -> None:
    card = CardFormat("S24_3LE")
    lowest, half = b"\x00\x00\x80", b"\x00\x00\x40"
    heard = np.frombuffer(FromCard(card).convert(lowest + half), np.int16)
    assert heard.tolist() == [-32768, 16384]


def test_the_undefined_byte_of_24_bits_does_not_matter() -> None:
    card = CardFormat("S24_LE")
    heard = FromCard(card).convert(b"\x00\x00\x40\xff" + b"\x00\x00\xc0\x00")
    assert np.frombuffer(heard, np.int16).tolist() == [16384, -16384]


def test_what_is_louder_than_full_is_cut_off() -> None:
    loud = np.array([2.0, -2.0], "<f4").tobytes()
    heard = np.frombuffer(FromCard(CardFormat("FLOAT_LE")).convert(loud), np.int16)
    assert heard.tolist() == [32767, -32768]


def test_a_rate_is_kept_over_many_periods() -> None:
    card = CardFormat(rate=44_100)
    there, back = ToCard(card), FromCard(card)
    moments = np.arange(48_000) / 48_000
    sound = np.rint(8231 * np.sin(2 * np.pi * 440 * moments)).astype(np.int16)
    heard = b"".join(
        back.convert(there.convert(sound[n : n + 480].tobytes())) for n in range(0, 48_000, 480)
    )
    samples = np.frombuffer(heard, np.int16)
    assert 48_000 - 200 < samples.size <= 48_000
    assert np.abs(samples[4800:]).max() == pytest.approx(8231, rel=0.02)
