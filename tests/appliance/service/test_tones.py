from __future__ import annotations

import numpy as np
import pytest

from appliance.media.opus import Samples
from appliance.service.tones import ToneListener
from hal.audio import PERIOD, RATE


def bursts(frequency: float, seconds: float, *, delay: float, gain: float = 0.25) -> Samples:
    """The synthetic microphone's pattern, from a whole second on, `delay` seconds late."""
    time = np.arange(round(seconds * RATE)) / RATE
    tone = gain * 32767 * np.sin(2 * np.pi * frequency * time)
    return np.where((time - delay) % 1.0 < 0.5, tone, 0).astype(np.int16)


def play(listener: ToneListener, samples: Samples, start: float = 100.0) -> float:
    for number in range(len(samples) // PERIOD):
        period = samples[number * PERIOD : (number + 1) * PERIOD]
        listener.hear(period, start + number * PERIOD / RATE)
    return start + len(samples) / RATE


@pytest.mark.parametrize("delay", [0.0, 0.0831, 0.25, 0.6])
@pytest.mark.parametrize("frequency", [1000.0, 1500.0])
def test_latency_is_read_to_the_millisecond(delay: float, frequency: float) -> None:
    listener = ToneListener(frequency)
    play(listener, bursts(frequency, 5.0, delay=delay))
    assert listener.bursts >= 3
    assert listener.latencies() == pytest.approx([delay] * listener.bursts, abs=0.002)


def test_another_tone_is_not_heard() -> None:
    listener = ToneListener(1000.0)
    end = play(listener, bursts(1500.0, 3.0, delay=0.1))
    assert listener.bursts == 0
    assert listener.level_dbfs(end) < -40


def test_the_level_is_that_of_the_loudest_period_of_the_last_second() -> None:
    listener = ToneListener(1000.0)
    end = play(listener, bursts(1000.0, 3.0, delay=0.1))
    assert listener.level_dbfs(end) == pytest.approx(-12.0, abs=0.5)
    end = play(listener, np.zeros(3 * RATE, np.int16), end)
    assert listener.level_dbfs(end) <= -100


def test_a_burst_that_was_cut_tells_no_latency() -> None:
    listener = ToneListener(1000.0)
    samples = bursts(1000.0, 4.0, delay=0.1)
    samples[: round(1.3 * RATE)] = 0  # unmuted within the second burst
    samples[round(2.4 * RATE) : round(2.5 * RATE)] = 0  # a gap within the third
    play(listener, samples)
    assert listener.latencies() == pytest.approx([0.1], abs=0.002)


def test_silence_is_silence() -> None:
    listener = ToneListener(1000.0)
    assert listener.level_dbfs(0.0) <= -100
    end = play(listener, np.zeros(RATE, np.int16))
    assert listener.bursts == 0
    assert listener.level_dbfs(end) <= -100
