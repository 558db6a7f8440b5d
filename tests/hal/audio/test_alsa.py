from __future__ import annotations

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
    with AlsaMicrophone(device="mic") as microphone, AlsaSpeaker(device="spk") as speaker:
        speaker.open()
        microphone.open()
        with Player(speaker) as player:
            begin = time.monotonic()
            frames = [microphone.read() for _ in range(120)]
            took = time.monotonic() - begin
            written, delay = player.written, speaker.delay
    assert player.error is None
    assert [frame.pts for frame in frames] == [n * PERIOD for n in range(120)]
    assert microphone.xruns == 0
    sound = np.concatenate([to_samples(frame) for frame in frames])[-RATE // 2 :]
    assert peak_frequency(sound) == pytest.approx(1000, abs=0.5)
    assert level_dbfs(sound, 1000) == pytest.approx(-12, abs=0.2)
    assert level_dbfs(sound, 1500) < -60
    assert took > 0.9, "capture is paced by the card's clock"
    assert written <= (took + 0.5) * RATE, "playback is paced by the card's clock"
    assert 0 < delay <= 4 * PERIOD


def test_underrun_is_counted_and_healed(sound_server: SoundServer) -> None:
    with AlsaMicrophone(device="mic") as microphone, AlsaSpeaker(device="spk") as speaker:
        speaker.open()
        repeat(10, lambda: speaker.write(to_frame(tone(0), 0)))
        assert speaker.xruns == 0
        threading.Event().wait(0.4)
        speaker.write(to_frame(tone(0), 0))
        assert speaker.xruns == 1
        microphone.open()
        with Player(speaker) as player:
            frames = [microphone.read() for _ in range(40)]
    assert player.error is None
    sound = np.concatenate([to_samples(frame) for frame in frames])[-4800:]
    assert level_dbfs(sound, 1000) == pytest.approx(-12, abs=0.5), "it sounds again"


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

    PCM_CAPTURE, PCM_PLAYBACK, PCM_NONBLOCK, PCM_FORMAT_S16_LE = 1, 0, 1, 2
    PCM_STATE_DISCONNECTED, PCM_STATE_SUSPENDED = 8, 7

    class ALSAAudioError(Exception):
        pass

    def __init__(self, answers: list[tuple[int, bytes] | Exception]) -> None:
        self.answers = answers
        self.condition = 3
        self.dropped = 0
        self.closed = 0

    def PCM(self, **options: object) -> Card:  # noqa: N802 - the library's name
        assert options["rate"] == RATE
        assert options["periodsize"] == PERIOD
        return self

    def info(self) -> dict[str, object]:
        return {"rate": RATE, "channels": 1, "format_name": "S16_LE", "buffer_size": 9600}

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
