"""From packets to a steady stream, by spectrum and by count."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from appliance.media.audio_receiver import AudioReceiver
from appliance.media.opus import FRAME, OpusEncoder
from appliance.media.packet import MediaPacket
from tests.appliance.media.conftest import level_at, tone


class Source:
    """A sender of a tone whose packets the test delivers when it likes."""

    def __init__(self, frequency: float = 1000) -> None:
        self.inlet = SimpleNamespace(on_packet=None)
        self.receiver = AudioReceiver(self.inlet)  # type: ignore[arg-type]
        self._encoder = OpusEncoder()
        self._packets = [
            bytes(self._encoder.encode(tone(frequency, start=i * FRAME))) for i in range(300)
        ]

    def deliver(self, index: int, arrival: float | None = None) -> None:
        on_packet: Callable[[MediaPacket], None] | None = self.inlet.on_packet
        if on_packet is not None:
            when = index * 0.02 if arrival is None else arrival
            on_packet(MediaPacket("opus", index, index * FRAME, False, self._packets[index], when))


def test_silence_before_the_first_packet() -> None:
    assert not Source().receiver.pull().any()


def test_a_steady_stream_is_played_whole() -> None:
    source = Source()
    heard = []
    for index in range(100):
        source.deliver(index)
        heard.append(source.receiver.pull())
    played = np.concatenate(heard)[20 * FRAME :]
    assert level_at(played, 1000) == pytest.approx(-12, abs=1)
    assert source.receiver.underruns == 0
    assert source.receiver.delay_ms <= 60


def test_every_pull_is_a_whole_frame_whatever_happens() -> None:
    source = Source()
    rng = np.random.default_rng(7)
    for index in range(200):
        if rng.random() > 0.2:
            source.deliver(index, index * 0.02 + rng.random() * 0.05)
        samples = source.receiver.pull()
        assert samples.shape == (FRAME,)
        assert samples.dtype == np.int16


def test_one_lost_packet_keeps_time_and_is_covered() -> None:
    source = Source()
    source.deliver(0)
    source.deliver(1)
    heard = []
    for index in range(2, 60):
        if index != 30:
            source.deliver(index)
        heard.append(source.receiver.pull())
    played = np.concatenate(heard)
    assert source.receiver.underruns == 0
    quiet = [i for i in range(10, 55) if np.abs(heard[i]).max() < 50]
    assert quiet == []
    assert level_at(played[10 * FRAME :], 1000) == pytest.approx(-12, abs=1.5)


def test_a_stream_that_ends_fades_to_digital_silence() -> None:
    source = Source()
    for index in range(20):
        source.deliver(index)
        source.receiver.pull()
    tail = [source.receiver.pull() for _ in range(10)]
    assert not tail[-1].any()
    levels = [int(np.abs(t).max()) for t in tail]
    assert levels == sorted(levels, reverse=True)


def test_delay_of_a_burst_is_given_back() -> None:
    source = Source()
    for index in range(40):
        source.deliver(index)
        source.receiver.pull()
    # Half a second comes at once: a stalled link that recovers.
    for index in range(40, 65):
        source.deliver(index, 65 * 0.02)
    burst = source.receiver.delay_ms
    for index in range(65, 290):
        source.deliver(index)
        source.receiver.pull()
    assert burst > 400
    assert source.receiver.delay_ms < 120
    assert source.receiver.cuts > 0


def test_jitter_costs_its_own_length_and_not_twice_that() -> None:
    source, delays, heard = Source(), [], []
    rng = np.random.default_rng(0)
    under_way: list[tuple[float, int]] = []
    for index in range(300):
        now = index * 0.02
        # Up to 100 ms late, and every tenth of them just that.
        under_way.append((now + (0.1 if index % 10 == 5 else 0.1 * rng.random()), index))
        for arrival, number in sorted(under_way):
            if arrival <= now + 0.007:
                under_way.remove((arrival, number))
                source.deliver(number, arrival)
        delays.append(source.receiver.delay_ms)
        heard.append(source.receiver.pull())
    # The jitter, a frame, and what may be spare.
    assert max(delays[200:]) <= 100 + 20 + 25
    assert source.receiver.underruns <= 1
    assert min(int(np.abs(samples).max()) for samples in heard[100:]) > 5000


def test_rubbish_in_a_packet_is_survived() -> None:
    source = Source()
    for index in range(30):
        source.deliver(index)
        if index == 15 and source.inlet.on_packet is not None:
            source.inlet.on_packet(MediaPacket("opus", 0, 5, False, b"\xff\xff\xff", 0.3))
        samples = source.receiver.pull()
    assert level_at(samples, 1000) > -20


def test_closed_means_silent() -> None:
    source = Source()
    for index in range(10):
        source.deliver(index)
    source.receiver.close()
    source.deliver(11)
    assert not source.receiver.pull().any()


def test_sound_is_held_as_long_as_it_is_told_to_be() -> None:
    source = Source()
    heard = []
    for index in range(280):
        if index == 50:
            usual = source.receiver.delay_ms
            source.receiver.hold = 0.100
        if index == 160:
            held = source.receiver.delay_ms
            source.receiver.hold = 0.0
        source.deliver(index)
        heard.append(source.receiver.pull())
    assert held == pytest.approx(usual + 100, abs=15)
    assert source.receiver.delay_ms == pytest.approx(usual, abs=30)
    assert source.receiver.underruns == 0
    # No pull of the whole way is a hole.
    assert min(int(np.abs(samples).max()) for samples in heard[10:]) > 5000


def test_what_is_playing_is_told_in_the_senders_time() -> None:
    source = Source()
    assert source.receiver.playing is None
    for index in range(40):
        source.deliver(index)
        source.receiver.pull(100 + index * 0.02)
    assert source.receiver.playing is not None
    time, at = source.receiver.playing
    assert at == pytest.approx(100 + 39 * 0.02)
    # What is heard next is as old as what is buffered and what was pulled are long.
    buffered = round(source.receiver.delay_ms * 48)
    assert time == 40 * FRAME - buffered - FRAME
    for _ in range(20):
        source.receiver.pull(200.0)
    # Silence that covers a gap is nobody's sound.
    assert source.receiver.playing[0] <= 39 * FRAME
