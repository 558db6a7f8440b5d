"""Two notes up for who comes, two notes down for who goes."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.hub.chime import HIGH, LOW, Chime, Occasion
from appliance.media.opus import FRAME
from hal.audio.spectrum import level_dbfs


def beats(chime: Chime, count: int) -> list[np.ndarray]:
    return [chime.pull() for _ in range(count)]


def test_it_is_silent_until_it_rings() -> None:
    assert all(not beat.any() and beat.shape == (FRAME,) for beat in beats(Chime(), 5))


@pytest.mark.parametrize(("occasion", "notes"), [("entry", (LOW, HIGH)), ("exit", (HIGH, LOW))])
def test_each_occasion_has_its_tone(occasion: Occasion, notes: tuple[float, float]) -> None:
    chime = Chime()
    chime.ring(occasion)
    sound = np.concatenate(beats(chime, 14))
    for half, note in zip(np.split(sound, 2), notes, strict=True):
        other = LOW if note == HIGH else HIGH
        assert level_dbfs(half, note) > -29
        assert level_dbfs(half, other) < level_dbfs(half, note) - 15
    # It begins and ends softly, and then is over.
    assert max(abs(int(sound[0])), abs(int(sound[-1]))) < 20
    assert not any(beat.any() for beat in beats(chime, 5))


def test_tones_ring_one_after_the_other_and_a_crowd_is_cut_short() -> None:
    chime = Chime()
    for _ in range(50):
        chime.ring("entry")
    sounding = sum(beat.any() for beat in beats(chime, 200))
    assert sounding == 2 * 14
