from __future__ import annotations

import os
import sys
import threading
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from hal.audio import PERIOD, RATE
from hal.audio import alsa as module
from hal.audio.alsa import AlsaMicrophone, AlsaSpeaker
from hal.audio.convert import FORMATS
from hal.audio.frames import Samples, to_frame, to_samples
from hal.audio.pcm import failure
from hal.audio.spectrum import level_dbfs, peak_frequency
from hal.errors import (
    BackendUnavailable,
    DeviceBusy,
    DeviceForbidden,
    DeviceNotFound,
    DeviceStalled,
    DeviceUnplugged,
    FormatUnsupported,
    OptionInvalid,
)

if TYPE_CHECKING:
    from .conftest import SoundServer


def tone(start: int) -> Samples:
    moments = np.arange(start, start + PERIOD) / RATE
    return np.rint(8231 * np.sin(2 * np.pi * 1000 * moments)).astype(np.int16)


class Player:
    """A thread that plays 1 kHz until the end of the block."""

    def __init__(self, speaker: AlsaSpeaker) -> None:
        self.speaker = speaker
        self.written = 0
        self.error: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self.speaker.write(to_frame(tone(self.written), self.written))
                self.written += PERIOD
        except Exception as error:
            self.error = error

    def __enter__(self) -> Player:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join(10)


def repeat(count: int, call: Callable[[], object]) -> None:
    for _ in range(count):
        call()


def test_plays_and_captures_through_a_sound_server(sound_server: SoundServer) -> None:
    # With room for a machine that is busy with something else.
    speaker = AlsaSpeaker(device="spk", buffer_ms=200)
    with AlsaMicrophone(device="mic") as microphone, speaker:
        speaker.open()
        microphone.open()
        with Player(speaker) as player:
            begin = time.monotonic()
            frames, delays = [], []
            for _ in range(120):
                frames.append(microphone.read())
                delays.append(speaker.delay)
            took = time.monotonic() - begin
            written = player.written
    assert player.error is None
    assert [frame.pts for frame in frames] == [n * PERIOD for n in range(120)]
    assert microphone.xruns == 0
    sound = np.concatenate([to_samples(frame) for frame in frames])[-RATE // 2 :]
    assert peak_frequency(sound) == pytest.approx(1000, abs=0.5)
    assert level_dbfs(sound, 1000) == pytest.approx(-12, abs=0.2)
    assert level_dbfs(sound, 1500) < -60
    assert took > 0.9, "capture is paced by the card's clock"
    assert written <= (took + 0.5) * RATE, "playback is paced by the card's clock"
    assert min(delays) >= 0
    assert 2 * PERIOD < max(delays) <= 20 * PERIOD


def test_underrun_is_counted_and_healed(sound_server: SoundServer) -> None:
    speaker = AlsaSpeaker(device="spk", buffer_ms=200)
    with AlsaMicrophone(device="mic") as microphone, speaker:
        speaker.open()
        repeat(10, lambda: speaker.write(to_frame(tone(0), 0)))
        assert speaker.xruns == 0
        threading.Event().wait(0.6)
        speaker.write(to_frame(tone(0), 0))
        assert speaker.xruns == 1
        microphone.open()
        with Player(speaker) as player:
            frames = [microphone.read() for _ in range(40)]
    assert player.error is None
    sound = np.concatenate([to_samples(frame) for frame in frames])[-4800:]
    assert level_dbfs(sound, 1000) == pytest.approx(-12, abs=0.5), "it sounds again"


def test_the_cards_clock_goes_with_the_sound(sound_server: SoundServer) -> None:
    speaker = AlsaSpeaker(device="spk", buffer_ms=200)
    with AlsaMicrophone(device="mic") as microphone, speaker:
        speaker.open()
        microphone.open()
        assert (microphone.clock, speaker.clock) == (None, None)
        with Player(speaker):
            times = []
            for _ in range(150):
                microphone.read()
                times.append((microphone.clock, speaker.clock, time.monotonic()))
    assert (microphone.clock, speaker.clock) == (None, None)
    for side in (0, 1):
        first, last = times[40][side], times[-1][side]
        assert first is not None
        assert last is not None
        assert abs(first.at - times[40][2]) < 1, "the moments are those of time.monotonic"
        # The sound server counts in blocks, and is late when the machine is busy.
        speed = (last.position - first.position) / (last.at - first.at)
        assert speed == pytest.approx(RATE, rel=0.2)


def test_volume_and_mute_are_the_cards(sound_server: SoundServer) -> None:
    speaker = AlsaSpeaker(device="spk", buffer_ms=200)
    with AlsaMicrophone(device="mic") as microphone, speaker:
        speaker.open()
        microphone.open()
        assert (speaker.volume, speaker.hardware_mute) == (1.0, False)
        with Player(speaker):
            assert hears(microphone, -13, -11)
            assert speaker.set_volume(0.5)
            assert speaker.volume == pytest.approx(0.5, abs=0.02)
            # PulseAudio's volume is cubic: half of it is 18 dB down.
            assert hears(microphone, -31.1, -29.1)
            assert speaker.set_hardware_mute(True)
            assert speaker.hardware_mute is True
            assert hears(microphone, -120, -80)
            assert speaker.set_hardware_mute(False)
            assert speaker.set_volume(7.0)
            assert hears(microphone, -13, -11)
            assert microphone.set_hardware_mute(True)
            assert microphone.hardware_mute is True
            assert hears(microphone, -120, -80)
            assert microphone.set_hardware_mute(False)
            assert microphone.set_volume(0.5)
            assert microphone.volume == pytest.approx(0.5, abs=0.02)
            assert hears(microphone, -31.1, -29.1)


def hears(microphone: AlsaMicrophone, least: float, most: float) -> bool:
    """Whether 1 kHz comes to lie between two levels in dB, and stays there for half a second.
    What was under way comes first; on a busy machine there are gaps as well."""
    deadline = time.monotonic() + 30
    good = 0
    while good < 10 and time.monotonic() < deadline:
        sound = np.concatenate([to_samples(microphone.read()) for _ in range(5)])
        good = good + 1 if least <= max(level_dbfs(sound, 1000), -120.0) <= most else 0
    return good == 10


def test_a_card_without_a_mixer_says_so(plugins: Path) -> None:
    speaker = AlsaSpeaker(device="nothing")
    assert (speaker.volume, speaker.hardware_mute) == (None, None)
    assert not speaker.set_volume(0.5)
    assert not speaker.set_hardware_mute(True)


def test_a_card_of_two_channels_gets_the_same_on_both(plugins: Path) -> None:
    sound = [tone(n * PERIOD) for n in range(20)]
    with AlsaSpeaker(device="stereo") as speaker:
        speaker.open()
        for number, period in enumerate(sound):
            speaker.write(to_frame(period, number * PERIOD))
    with wave.open(str(plugins / "out.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 2, 2)
    data = np.frombuffer((plugins / "out.wav").read_bytes()[44:], "<i2").reshape(-1, 2)
    for channel in (0, 1):
        played = data[2 * PERIOD :, channel][: 20 * PERIOD]
        assert np.array_equal(played, np.concatenate(sound))


@pytest.mark.parametrize("endpoint", [AlsaMicrophone, AlsaSpeaker])
def test_the_thread_gets_the_priority_that_it_may_have(
    plugins: Path, endpoint: type[AlsaMicrophone] | type[AlsaSpeaker]
) -> None:
    results: dict[str, int] = {}

    def probe() -> None:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(20))
        except OSError:
            results["allowed"] = os.SCHED_OTHER
        else:
            results["allowed"] = os.SCHED_FIFO

    def drive() -> None:
        with endpoint(device="nothing") as device:
            device.open()
            results["open"] = scheduler()
            if isinstance(device, AlsaMicrophone):
                device.read()
            else:
                device.write(to_frame(tone(0), 0))
            results["busy"] = scheduler()
            results["said"] = os.SCHED_FIFO if device.realtime else os.SCHED_OTHER
            device.close()
            results["closed"] = scheduler()

    for work in (probe, drive):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(10)
    assert results["open"] == results["closed"] == os.SCHED_OTHER
    assert results["busy"] == results["said"] == results["allowed"]


def scheduler() -> int:
    return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK


def test_without_leave_it_works_all_the_same(
    plugins: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*args: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    with AlsaMicrophone(device="nothing") as microphone:
        microphone.open()
        repeat(3, microphone.read)
        assert not microphone.realtime
    assert not caplog.records, "an ordinary user is no reason for a warning"


def test_sound_server_that_dies_is_an_unplugged_device(sound_server: SoundServer) -> None:
    with AlsaMicrophone(device="mic") as microphone, AlsaSpeaker(device="spk") as speaker:
        speaker.open()
        microphone.open()
        microphone.read()
        speaker.write(to_frame(tone(0), 0))
        sound_server.kill()
        with pytest.raises(DeviceUnplugged):
            repeat(100, microphone.read)
        with pytest.raises(DeviceUnplugged):
            repeat(100, lambda: speaker.write(to_frame(tone(0), 0)))
    with pytest.raises(BackendUnavailable, match="sound server that is not up"):
        microphone.open()


def test_the_configured_default_is_listed(sound_server: SoundServer) -> None:
    assert [device.id for device in AlsaSpeaker.devices()] == ["default"]
    with AlsaSpeaker() as speaker:
        speaker.open()
        assert speaker.device.id == "default"
        speaker.write(to_frame(tone(0), 0))


def test_playback_reaches_the_device_bit_for_bit(plugins: Path) -> None:
    sound = [tone(n * PERIOD) for n in range(20)]
    with AlsaSpeaker(device="wavout") as speaker:
        speaker.open()
        for number, period in enumerate(sound):
            speaker.write(to_frame(period, number * PERIOD))
    with wave.open(str(plugins / "out.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        data = np.frombuffer((plugins / "out.wav").read_bytes()[44:], "<i2")
    assert not data[: 2 * PERIOD].any(), "two periods of silence go ahead"
    assert np.array_equal(data[2 * PERIOD :][: 20 * PERIOD], np.concatenate(sound))


def test_capture_comes_from_the_device_bit_for_bit(plugins: Path) -> None:
    sound = np.concatenate([tone(n * PERIOD) for n in range(20)])
    (plugins / "in.raw").write_bytes(sound.tobytes())
    with AlsaMicrophone(device="rawin") as microphone:
        microphone.open()
        heard = np.concatenate([to_samples(microphone.read()) for _ in range(20)])
    assert np.array_equal(heard, sound)


def test_null_device_takes_and_gives(plugins: Path) -> None:
    with AlsaMicrophone(device="nothing") as microphone, AlsaSpeaker(device="nothing") as speaker:
        microphone.open()
        speaker.open()
        # What it captures is uninitialised memory: only the shape is worth a look.
        assert microphone.read().samples == PERIOD
        speaker.write(to_frame(tone(0), 0))
        assert 0 <= speaker.delay <= 4 * PERIOD


def test_unknown_devices_are_told(plugins: Path) -> None:
    for name in ("nosuch", "plughw:CARD=Nope,DEV=0"):
        with pytest.raises(DeviceNotFound, match="is not there"):
            AlsaMicrophone(device=name).open()
        with pytest.raises(DeviceNotFound, match="is not there"):
            AlsaSpeaker(device=name).open()


@pytest.mark.parametrize(
    ("text", "opened", "expected"),
    [
        ("Device or resource busy [hw:0]", False, DeviceBusy),
        ("Permission denied [hw:0]", False, DeviceForbidden),
        ("Invalid argument [hw:0]", False, FormatUnsupported),
        ("No such device [hw:0]", True, DeviceUnplugged),
        ("Connection refused [hw:0]", True, DeviceUnplugged),
        ("Sound protocol is not compatible [hw:0]", False, DeviceNotFound),
    ],
)
def test_reasons_of_alsa(text: str, opened: bool, expected: type[Exception]) -> None:
    error = failure(Exception(text), "microphone hw:0", opened=opened)
    assert type(error) is expected
    assert str(error).startswith("microphone hw:0 ")
    assert "group audio" in str(error) or expected is not DeviceForbidden


class Card:
    """Stands in for `alsaaudio` where only a real card would do: no sound passes."""

    PCM_CAPTURE, PCM_PLAYBACK, PCM_NONBLOCK = 1, 0, 1
    PCM_FORMAT_S16_LE, PCM_FORMAT_S24_LE, PCM_FORMAT_S32_LE = 2, 6, 10
    PCM_FORMAT_FLOAT_LE, PCM_FORMAT_S24_3LE = 14, 32
    PCM_STATE_DISCONNECTED, PCM_STATE_SUSPENDED = 8, 7
    PCM_TSTAMP_ENABLE, PCM_TSTAMP_TYPE_MONOTONIC = 1, 1

    class ALSAAudioError(Exception):
        pass

    def __init__(self, answers: list[tuple[int, bytes] | Exception]) -> None:
        self.answers = answers
        self.speaks = [("S16_LE", RATE, 1)]
        """What the card says that it gives at each `PCM`; the last one from then on."""
        self.asked: list[tuple[object, ...]] = []
        self.written = b""
        self.waiting = 0
        self.stamp = (0, 0)
        self.condition = 3
        self.dropped = 0
        self.closed = 0

    def PCM(self, **options: object) -> Card:  # noqa: N802 - the library's name
        names = ("rate", "channels", "format", "periodsize")
        self.asked.append(tuple(options[name] for name in names))
        self.given = self.speaks.pop(0) if len(self.speaks) > 1 else self.speaks[0]
        return self

    def info(self) -> dict[str, object]:
        name, rate, channels = self.given
        return {"rate": rate, "channels": channels, "format_name": name, "buffer_size": 9600}

    def htimestamp(self) -> tuple[int, int, int]:
        return *self.stamp, self.waiting

    def set_tstamp_mode(self, mode: int) -> None:
        assert mode == self.PCM_TSTAMP_ENABLE

    def set_tstamp_type(self, kind: int) -> None:
        assert kind == self.PCM_TSTAMP_TYPE_MONOTONIC

    def write(self, data: bytes) -> int:
        self.written += data
        name, _, channels = self.given
        return len(data) // (FORMATS[name] * channels)

    def polldescriptors(self) -> list[tuple[int, int]]:
        return []

    def read(self) -> tuple[int, bytes]:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def state(self) -> int:
        return self.condition

    def drop(self) -> int:
        self.dropped += 1
        return 0

    def close(self) -> None:
        self.closed += 1

    def pcms(self, kind: int) -> list[str]:
        names = ["null", "pulse", "hw:CARD=Jabra,DEV=0", "plughw:CARD=Jabra,DEV=0"]
        names += ["default:CARD=Jabra", "speexrate", "plughw:CARD=vc4hdmi,DEV=0"]
        return names if kind == self.PCM_PLAYBACK else names[:-1]

    def cards(self) -> list[str]:
        return ["vc4hdmi", "Jabra"]

    def card_indexes(self) -> list[int]:
        return [0, 2]

    def card_name(self, index: int) -> tuple[str, str]:
        return {0: ("HDMI", ""), 2: ("Jabra Speak 510", "")}[index]


def with_card(monkeypatch: pytest.MonkeyPatch, *answers: tuple[int, bytes] | Exception) -> Card:
    card = Card(list(answers))
    monkeypatch.setitem(sys.modules, "alsaaudio", card)
    return card


def test_cards_are_listed_by_id_with_their_titles(monkeypatch: pytest.MonkeyPatch) -> None:
    with_card(monkeypatch)
    assert [(d.id, d.label, d.kind) for d in AlsaMicrophone.devices()] == [
        ("plughw:CARD=Jabra,DEV=0", "Jabra Speak 510", "microphone")
    ]
    assert [(d.id, d.label, d.kind) for d in AlsaSpeaker.devices()] == [
        ("plughw:CARD=Jabra,DEV=0", "Jabra Speak 510", "speaker"),
        ("plughw:CARD=vc4hdmi,DEV=0", "HDMI", "speaker"),
    ]


def test_cards_may_come_and_go_while_they_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    card = with_card(monkeypatch)
    looks = iter([["vc4hdmi"], ["vc4hdmi", "Jabra"], ["vc4hdmi", "Jabra"], ["vc4hdmi", "Jabra"]])
    monkeypatch.setattr(card, "cards", lambda: next(looks))
    assert [device.label for device in AlsaMicrophone.devices()] == ["Jabra Speak 510"]
    monkeypatch.setattr(card, "cards", lambda: ["vc4hdmi"])
    assert [device.label for device in AlsaMicrophone.devices()] == ["plughw:CARD=Jabra,DEV=0"]

    def gone(index: int) -> tuple[str, str]:
        raise card.ALSAAudioError("No such device")

    monkeypatch.setattr(card, "card_name", gone)
    assert [device.label for device in AlsaMicrophone.devices()] == ["plughw:CARD=Jabra,DEV=0"]


def test_periods_are_put_together_from_what_the_card_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sound = np.arange(2 * PERIOD, dtype=np.int16).tobytes()
    card = with_card(monkeypatch, (441, sound[:882]), (441, sound[882:1764]), (78, sound[1764:]))
    with AlsaMicrophone(device="hw:0") as microphone:
        microphone.open()
        first, second = microphone.read(), microphone.read()
    assert (to_samples(first).tobytes(), to_samples(second).tobytes()) == (
        sound[:960],
        sound[960:],
    )
    assert card.closed == 1


@pytest.mark.parametrize(
    ("name", "raw", "asked"),
    [
        ("S32_LE", "<i4", 10),
        ("S24_LE", "<i4", 6),
        ("FLOAT_LE", "<f4", 14),
    ],
)
def test_another_format_is_asked_for_as_the_card_gave_it(
    monkeypatch: pytest.MonkeyPatch, name: str, raw: str, asked: int
) -> None:
    scale = {"S32_LE": 65536, "S24_LE": 256, "FLOAT_LE": 1 / 32768}[name]
    sound = tone(0)
    data = np.repeat((sound * float(scale)).astype(raw), 2).tobytes()
    card = with_card(monkeypatch, (PERIOD, data))
    card.speaks = [(name, RATE, 2)]
    with AlsaMicrophone(device="hw:0") as microphone:
        microphone.open()
        frame = microphone.read()
    assert card.asked == [(RATE, 1, 2, PERIOD), (RATE, 2, asked, PERIOD)]
    assert np.abs(to_samples(frame).astype(int) - sound).max() <= 1


@pytest.mark.parametrize("rate", [44_100, 16_000, 96_000])
def test_another_rate_is_resampled_on_the_way_in(
    monkeypatch: pytest.MonkeyPatch, rate: int
) -> None:
    moments = np.arange(rate) / rate
    sound = np.rint(8231 * np.sin(2 * np.pi * 1000 * moments)).astype("<i2")
    step = rate // 100
    periods = [sound[n : n + step].tobytes() for n in range(0, rate, step)]
    card = with_card(monkeypatch, *[(step, period) for period in periods])
    card.speaks = [("S16_LE", rate, 1)]
    with AlsaMicrophone(device="hw:0") as microphone:
        microphone.open()
        frames = [microphone.read() for _ in range(95)]
    assert card.asked[1] == (rate, 1, 2, step)
    heard = np.concatenate([to_samples(frame) for frame in frames])[-RATE // 2 :]
    assert peak_frequency(heard) == pytest.approx(1000, abs=0.5)
    assert level_dbfs(heard, 1000) == pytest.approx(-12, abs=0.2)
    assert level_dbfs(heard, 7000) < -60
    assert [frame.pts for frame in frames] == [n * PERIOD for n in range(95)]


def test_another_rate_is_resampled_on_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    card = with_card(monkeypatch)
    card.speaks = [("S24_3LE", 44_100, 2)]
    with AlsaSpeaker(device="hw:0") as speaker:
        speaker.open()
        for number in range(100):
            speaker.write(to_frame(tone(number * PERIOD), number * PERIOD))
    packed = np.frombuffer(card.written, np.uint8).reshape(-1, 2, 3)
    wide = np.zeros((packed.shape[0], 2, 4), np.uint8)
    wide[:, :, 1:] = packed
    both = wide.view("<i4").reshape(-1, 2) / 65536
    assert np.array_equal(both[:, 0], both[:, 1])
    # Two periods of silence went ahead; a resampler keeps a few samples to itself.
    assert 44_100 * 1.02 - 100 <= len(both) <= 44_100 * 1.02
    played = both[-22_050:, 0].astype(np.int16)
    spectrum = np.abs(np.fft.rfft(played * np.hanning(played.size)))
    assert np.argmax(spectrum) * 44_100 / played.size == pytest.approx(1000, abs=2)
    assert np.abs(played).max() == pytest.approx(8231, rel=0.02)


def test_an_odd_format_first_is_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    card = with_card(monkeypatch, (PERIOD, bytes(4 * PERIOD)))
    card.speaks = [("U8", RATE, 1), ("U8", RATE, 1), ("S32_LE", RATE, 1)]
    with AlsaMicrophone(device="hw:0") as microphone:
        microphone.open()
        assert microphone.read().samples == PERIOD
    assert [asked[2] for asked in card.asked] == [2, 2, 10, 10]


@pytest.mark.parametrize("speaks", [[("U8", 8000, 1)], [("S32_LE", 8000, 2), ("S32_LE", 9000, 2)]])
def test_a_card_that_cannot_be_understood(
    monkeypatch: pytest.MonkeyPatch, speaks: list[tuple[str, int, int]]
) -> None:
    card = with_card(monkeypatch)
    card.speaks = speaks
    with pytest.raises(FormatUnsupported, match="use its plughw name"):
        AlsaMicrophone(device="hw:0").open()
    assert card.closed == len(card.asked)


def test_the_clock_counts_in_our_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    card = with_card(monkeypatch, *[(441, bytes(882))] * 4)
    card.speaks = [("S16_LE", 44_100, 1)]
    card.waiting = 882
    card.stamp = (int(time.monotonic()), 0)
    with AlsaMicrophone(device="hw:0") as microphone:
        microphone.open()
        repeat(2, microphone.read)
        clock = microphone.clock
        assert clock is not None
        # Two periods read, 20 ms in the card, and what the resampler gave beyond a period.
        assert 4 * PERIOD <= clock.position <= 5 * PERIOD
        assert clock.at == card.stamp[0]
    card.stamp = (1_790_000_000, 0)
    card.answers = [(441, bytes(882))] * 4
    microphone.open()
    repeat(2, microphone.read)
    assert microphone.clock is None, "a time of another clock is none"
    microphone.close()


def test_overrun_is_counted_and_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    period = bytes(960)
    with_card(monkeypatch, (480, period), (100, bytes(200)), (-32, b""), (480, period))
    with AlsaMicrophone(device="hw:0") as microphone:
        microphone.open()
        assert microphone.read().pts == 0
        microphone._edge = time.monotonic() - 0.5  # as if the reader had been away
        frame = microphone.read()
        assert microphone.xruns == 1
        assert frame.pts is not None
        assert PERIOD + 0.49 * RATE <= frame.pts <= PERIOD + 5 * RATE


def test_a_card_that_slept_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    card = with_card(monkeypatch, Card.ALSAAudioError("Streams pipe error [hw]"), (480, bytes(960)))
    card.condition = card.PCM_STATE_SUSPENDED
    with AlsaMicrophone(device="hw:0") as microphone:
        microphone.open()
        microphone.read()
        assert microphone.xruns == 1
        assert card.dropped == 1


def test_a_card_that_was_pulled(monkeypatch: pytest.MonkeyPatch) -> None:
    with_card(monkeypatch, (480, bytes(960)), Card.ALSAAudioError("No such device [hw:0]"))
    with AlsaMicrophone(device="hw:0") as microphone:
        microphone.open()
        microphone.read()
        with pytest.raises(DeviceUnplugged, match="plug it in"):
            microphone.read()


def test_a_card_that_falls_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    with_card(monkeypatch, *[(0, b"")] * 3)
    monkeypatch.setattr(module, "STALL_S", 0.05)
    with AlsaMicrophone(device="hw:0") as microphone:
        microphone.open()
        with pytest.raises(DeviceStalled, match="gives no sound"):
            microphone.read()


def test_without_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find", lambda kind: [])
    with pytest.raises(DeviceNotFound, match="plug in a sound card"):
        AlsaMicrophone().open()
    with pytest.raises(DeviceNotFound, match="plug in a sound card"):
        AlsaSpeaker().open()


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "alsaaudio", None)
    with pytest.raises(BackendUnavailable, match="pyalsaaudio"):
        AlsaMicrophone.devices()


def test_closed_endpoints() -> None:
    microphone, speaker = AlsaMicrophone(device="x"), AlsaSpeaker(device="x")
    with pytest.raises(DeviceUnplugged, match="not open"):
        microphone.read()
    with pytest.raises(DeviceUnplugged, match="not open"):
        speaker.write(to_frame(tone(0), 0))
    assert speaker.delay == 0
    microphone.close()
    speaker.close()
    with pytest.raises(OptionInvalid):
        AlsaSpeaker(buffer_ms=10)
    with pytest.raises(OptionInvalid, match="realtime"):
        AlsaMicrophone(realtime=100)
