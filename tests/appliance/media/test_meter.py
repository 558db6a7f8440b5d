from __future__ import annotations

import numpy as np
import pytest

from appliance.media.meter import SILENCE_DBFS, Meter


def test_level_is_that_of_all_since_the_last_look() -> None:
    meter = Meter()
    assert meter.take() is None
    meter.add(np.full(480, 32767, np.int16))
    assert meter.take() == pytest.approx(0.0, abs=0.01)
    assert meter.take() is None
    # A tenth of the power: half a period of full swing in five.
    meter.add(np.full(240, -32768, np.int16))
    meter.add(np.zeros(2160, np.int16))
    assert meter.take() == pytest.approx(-10.0, abs=0.01)


def test_silence_has_a_level_too() -> None:
    meter = Meter()
    meter.add(np.zeros(480, np.int16))
    assert meter.take() == SILENCE_DBFS
