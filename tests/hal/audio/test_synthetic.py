from __future__ import annotations

import math
import threading
import time
import wave
from pathlib import Path

import numpy as np
import pytest

from hal.audio import PERIOD, RATE, Microphone
from hal.audio.frames import Samples, to_frame, to_samples
from hal.audio.spectrum import level_dbfs, peak_frequency, rms_dbfs
from hal.audio.synthetic import SyntheticMicrophone, SyntheticSpeaker
from hal.errors import (
    DeviceNotFound,
    DeviceStalled,
    DeviceUnplugged,
    FormatUnsupported,
    OptionInvalid,
)


def listen(microphone: Microphone, seconds: float, after_holes: set[int] | None = None) -> Samples:
    """What it gives in so many seconds; what an overrun lost is silence, and where the sound
    goes on after it is put into `after_holes`."""
    parts: list[Samples] = []
    position = 0
    while position < seconds * RATE:
        frame = microphone.read()
        assert frame.pts is not None
        if after_holes is not None and frame.pts > position:
            after_holes.add(frame.pts)
        parts += [np.zeros(frame.pts - position, np.int16), to_samples(frame)]
        position = frame.pts + PERIOD
    return np.concatenate(parts)


def quiet(count: int = PERIOD) -> Samples:
    return np.zeros(count, np.int16)


def test_continuous_tone_by_its_spectrum() -> None:
    with SyntheticMicrophone(frequency=1000, pattern="continuous") as microphone:
        microphone.open()
        sound = listen(microphone, 0.3)
    assert microphone.xruns == 0
    assert peak_frequency(sound) == pytest.approx(1000, abs=0.5)
    assert level_dbfs(sound, 1000) == pytest.approx(-12, abs=0.1)
    assert level_dbfs(sound, 1500) < -70


def test_devices_differ_by_frequency() -> None:
    assert SyntheticMicrophone(device_id=1).frequency == 1000
    assert SyntheticMicrophone(device="synthetic:2").frequency == 1500
    assert 20 <= SyntheticMicrophone(device_id=255).frequency <= 10_000


def test_a_frequency_that_is_no_whole_number_has_no_clicks() -> None:
    microphone = SyntheticMicrophone(frequency=440.7, pattern="continuous")
    sound = np.concatenate([microphone.sound(n * PERIOD, 0) for n in range(300)])
    steps = np.abs(np.diff(sound.astype(int), 2))
    assert steps.max() < 8231 * (2 * np.pi * 440.7 / RATE) ** 2 + 3


def test_bursts_begin_at_each_whole_second_of_the_clock() -> None:
    with SyntheticMicrophone(frequency=1000) as microphone:
        begin = time.monotonic()
        microphone.open()
        opened = time.monotonic()
        holes: set[int] = set()
        sound = listen(microphone, 2.2, holes)
    loud = np.flatnonzero(np.abs(sound.astype(int)) > 1000)
    before = np.concatenate([[-RATE], loud[:-1]])
    # A burst that had begun when the microphone was opened says nothing.
    starts = loud[(loud - before > 0.2 * RATE) & (loud > 0.1 * RATE)]
    # Nor does one that goes on after an overrun, on a busy machine.
    starts = [start for start in starts if not any(0 <= start - hole < 100 for hole in holes)]
    assert len(starts) >= 2 or holes
    for start in starts:
        whole = math.floor(opened + start / RATE)
        # A sine under a rising edge is loud at most 3 ms after the beginning.
        assert begin + start / RATE <= whole + 0.003
    assert np.diff(starts) == pytest.approx(RATE, abs=2)


def test_burst_lasts_half_a_second_with_soft_edges() -> None:
    microphone = SyntheticMicrophone(frequency=1000)
    second = np.concatenate(
        [microphone.sound(0, 7 * RATE + n * PERIOD) for n in range(RATE // PERIOD)]
    )
    assert level_dbfs(second[1000:23_000], 1000) == pytest.approx(-12, abs=0.1)
    assert not second[24_000:].any()
    edge = np.abs(second[:240].astype(int))
    assert edge[:48].max() < 0.12 * 8231 + 1
    assert edge[192:].max() > 0.85 * 8231
    assert np.array_equal(second, microphone._burst)


def test_keeps_real_time() -> None:
    with SyntheticMicrophone() as microphone:
        microphone.open()
        begin = time.monotonic()
        sound = listen(microphone, 0.5)
        took = time.monotonic() - begin
    assert took >= sound.size / RATE - 0.005


def test_a_late_reader_loses_what_the_buffer_cannot_hold() -> None:
    with SyntheticMicrophone() as microphone:
        microphone.open()
        first = microphone.read()
        threading.Event().wait(0.6)
        second = microphone.read()
        assert microphone.xruns == 1
        assert first.pts == 0
        assert second.pts is not None
        assert second.pts >= 0.58 * RATE, "pts skips what was lost"


def test_xrun_on_demand() -> None:
    with SyntheticMicrophone() as microphone:
        microphone.open()
        microphone.read()
        microphone.xrun(100)
        frame = microphone.read()
        assert frame.pts is not None
        assert frame.pts >= PERIOD + RATE // 10
        assert microphone.xruns >= 1


def test_silence_pattern() -> None:
    with SyntheticMicrophone(pattern="silence") as microphone:
        microphone.open()
        assert not listen(microphone, 0.05).any()


def test_speaks_a_sound_file(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(np.arange(700, dtype="<i2").tobytes())
    with SyntheticMicrophone(wav=str(tmp_path / "a.wav")) as microphone:
        microphone.open()
        assert listen(microphone, 0.03).tolist() == [n % 700 for n in range(1440)]
    with pytest.raises(DeviceNotFound):
        SyntheticMicrophone(wav=str(tmp_path / "none.wav")).open()


def test_microphone_faults() -> None:
    microphone = SyntheticMicrophone()
    microphone.open()
    microphone.read()
    microphone.stall()
    with pytest.raises(DeviceStalled):
        microphone.read()
    microphone.resume()
    frame = microphone.read()
    assert frame.pts is not None
    assert frame.pts > 0.9 * RATE
    assert microphone.xruns == 1
    microphone.unplug()
    with pytest.raises(DeviceUnplugged):
        microphone.read()
    microphone.close()
    with pytest.raises(DeviceNotFound):
        microphone.open()
    microphone.replug()
    microphone.open()
    assert microphone.read().pts == 0
    assert microphone.xruns == 0
    microphone.close()
    microphone.close()


def test_speaker_paces_its_writer() -> None:
    with SyntheticSpeaker() as speaker:
        speaker.open()
        begin = time.monotonic()
        for number in range(60):
            speaker.write(to_frame(quiet(), number * PERIOD))
            # Up to now 40 ms may lie in its buffer, of those the two of the head start.
            assert time.monotonic() - begin >= (number + 1) / 100 - 0.042
    assert speaker.delay <= 4 * PERIOD + RATE // 50


def test_speaker_remembers_what_and_when() -> None:
    tone = SyntheticMicrophone(frequency=1000, pattern="continuous")
    with SyntheticSpeaker(keep_s=0.3) as speaker:
        speaker.open()
        begin = time.monotonic()
        for number in range(50):
            speaker.write(to_frame(tone.sound(number * PERIOD, 0), number * PERIOD))
        heard = speaker.heard()
        assert len(heard) == 30
        assert np.array_equal(heard[-1].samples, tone.sound(49 * PERIOD, 0))
        times = [period.at for period in heard]
        assert times[-1] >= begin + 0.49
        if speaker.xruns == 0:
            assert np.diff(times) == pytest.approx(0.01, abs=1e-6)
        sound = speaker.samples()
        assert sound.size == 30 * PERIOD
        assert peak_frequency(sound) == pytest.approx(1000, abs=1)
        assert level_dbfs(sound, 1000) == pytest.approx(-12, abs=0.1)
        assert speaker.samples(0.05).size == 5 * PERIOD
        assert speaker.samples(0).size == 0


def test_speaker_delay_falls_as_it_plays() -> None:
    with SyntheticSpeaker(buffer_ms=200) as speaker:
        speaker.open()
        assert speaker.delay == 0
        for number in range(10):
            speaker.write(to_frame(quiet(), number * PERIOD))
        full = speaker.delay
        assert 0 < full <= 200 * 48
        threading.Event().wait(0.3)
        assert speaker.delay == 0


def test_speaker_that_ran_dry_counts_and_goes_on() -> None:
    with SyntheticSpeaker() as speaker:
        speaker.open()
        speaker.write(to_frame(quiet(), 0))
        threading.Event().wait(0.2)
        speaker.write(to_frame(quiet(), PERIOD))
        assert speaker.xruns == 1
        first, second = speaker.heard()
        assert second.at - first.at >= 0.2, "there was a gap"
        speaker.xrun(300)
        speaker.write(to_frame(quiet(), PERIOD))
        assert speaker.xruns == 2
        assert speaker.heard()[-1].at - second.at >= 0.3


def test_samples_may_be_read_while_playing() -> None:
    with SyntheticSpeaker(keep_s=0.1) as speaker:
        speaker.open()
        done = threading.Event()
        sizes: list[int] = []

        def look() -> None:
            while not done.is_set():
                sizes.append(speaker.samples().size)

        watcher = threading.Thread(target=look)
        watcher.start()
        for number in range(40):
            speaker.write(to_frame(quiet(), number * PERIOD))
        done.set()
        watcher.join(10)
    assert sizes
    assert all(size % PERIOD == 0 and size <= 10 * PERIOD for size in sizes)


def test_speaker_faults() -> None:
    speaker = SyntheticSpeaker()
    frame = to_frame(quiet(), 0)
    with pytest.raises(DeviceUnplugged, match="not open"):
        speaker.write(frame)
    speaker.open()
    speaker.write(frame)
    speaker.stall()
    with pytest.raises(DeviceStalled):
        speaker.write(frame)
    speaker.resume()
    speaker.write(frame)
    speaker.unplug()
    with pytest.raises(DeviceUnplugged):
        speaker.write(frame)
    speaker.close()
    speaker.replug()
    speaker.open()
    assert speaker.samples().size == 0
    speaker.close()


def test_speaker_refuses_other_formats() -> None:
    with SyntheticSpeaker() as speaker:
        speaker.open()
        with pytest.raises(FormatUnsupported):
            speaker.write(to_frame(quiet(960), 0))


def test_sound_passes_from_microphone_to_speaker() -> None:
    with SyntheticMicrophone(frequency=2000, pattern="continuous") as microphone:
        with SyntheticSpeaker() as speaker:
            microphone.open()
            speaker.open()
            for _ in range(30):
                speaker.write(microphone.read())
            sound = speaker.samples()
    assert level_dbfs(sound[-4800:], 2000) == pytest.approx(-12, abs=1)
    assert rms_dbfs(sound[-4800:]) == pytest.approx(-15, abs=1)


@pytest.mark.parametrize(
    "options",
    [{"frequency": 5}, {"frequency": 24_000}, {"pattern": "polka"}, {"device": "mic"}],
)
def test_bad_microphone_options(options: dict[str, object]) -> None:
    with pytest.raises(OptionInvalid):
        SyntheticMicrophone(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"buffer_ms": 5}, {"keep_s": 0}])
def test_bad_speaker_options(options: dict[str, int]) -> None:
    with pytest.raises(OptionInvalid):
        SyntheticSpeaker(**options)


def test_the_clocks_of_virtual_cards_are_the_machines() -> None:
    with SyntheticMicrophone() as microphone, SyntheticSpeaker() as speaker:
        microphone.open()
        speaker.open()
        assert (microphone.clock, speaker.clock) == (None, None)
        heard = [microphone.read() for _ in range(10)]
        for frame in heard:
            speaker.write(frame)
        first, played = microphone.clock, speaker.clock
        for _ in range(10):
            microphone.read()
        last = microphone.clock
    assert first is not None
    assert last is not None
    assert played is not None
    assert first.position >= 10 * PERIOD
    speed = (last.position - first.position) / (last.at - first.at)
    assert speed == pytest.approx(RATE, rel=1e-6)
    assert played.position <= 10 * PERIOD
    assert (microphone.volume, microphone.hardware_mute) == (None, None)
    assert not speaker.set_volume(0.5)
    assert not speaker.set_hardware_mute(True)
