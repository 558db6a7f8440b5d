from __future__ import annotations

import math

import numpy as np
import pytest

from appliance.hub.gain import SILENCE_DBFS, Fader, dbfs, input_gate, volume_gain
from tests.appliance.hub.far_end import sine


def test_a_volume_step_is_half_a_decibel_and_the_lowest_is_silence() -> None:
    assert volume_gain(0) == 1.0
    assert 20 * math.log10(volume_gain(20)) == pytest.approx(10)
    assert 20 * math.log10(volume_gain(-49)) == pytest.approx(-24.5)
    assert volume_gain(-50) == volume_gain(-1000) == 0.0
    assert volume_gain(50) == volume_gain(1000) == pytest.approx(10 ** (25 / 20))


def test_the_gate_opens_wider_with_the_sensitivity() -> None:
    levels = [input_gate(step) for step in range(101)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] == math.inf
    assert levels[30] == pytest.approx(-56)
    assert levels[50] < -70
    assert levels[100] == -math.inf


def test_levels() -> None:
    assert dbfs(np.zeros(960, np.float32)) == SILENCE_DBFS == -127
    assert dbfs(np.full(960, -32768, np.float32)) == pytest.approx(0, abs=0.001)
    assert dbfs(sine(1000, 1, 32767).astype(np.float32)) == pytest.approx(-3.01, abs=0.01)
    assert dbfs(sine(1000, 1, 3276.7).astype(np.float32)) == pytest.approx(-23.01, abs=0.01)


def test_a_change_of_gain_is_heard_within_five_milliseconds_and_does_not_click() -> None:
    fader = Fader()
    loud = [fader.process(sine(200, 1, 10_000, n), 1.0, -math.inf) for n in range(2)]
    muted = fader.process(sine(200, 1, 10_000, 2), 0.0, -math.inf)
    assert fader.silent
    assert not muted[240:].any()
    whole = np.concatenate([*loud, muted])
    # A sine of 200 Hz moves by at most 262 from one sample to the next; a click by 10 000.
    assert np.abs(np.diff(whole)).max() < 400
    back = fader.process(sine(200, 1, 10_000, 3), 1.0, -math.inf)
    assert not fader.silent
    assert np.abs(np.diff(back)).max() < 400
    assert np.array_equal(back[240:], sine(200, 1, 10_000, 3)[240:])


def test_a_voice_below_the_threshold_is_not_let_in_and_pauses_do_not_cut_it() -> None:
    fader = Fader()
    quiet, loud = sine(400, 1, 30), sine(400, 1, 10_000)  # -64 and -13 dBFS
    assert not fader.process(quiet, 1.0, -40).any()
    assert fader.process(loud, 1.0, -40).any()
    pause = [bool(fader.process(quiet, 1.0, -40)[240:].any()) for _ in range(40)]
    assert pause == [True] * 20 + [False] * 20
    assert not fader.process(loud, 1.0, math.inf).any()
