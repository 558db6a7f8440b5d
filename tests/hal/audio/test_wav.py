from __future__ import annotations

import struct
import threading
import wave
from pathlib import Path

import numpy as np
import pytest

from hal.audio import PERIOD, RATE
from hal.audio import wav as module
from hal.audio.frames import to_frame, to_samples
from hal.audio.spectrum import level_dbfs, peak_frequency
from hal.audio.wav import WavMicrophone, WavSpeaker, load
from hal.errors import DeviceNotFound, DeviceUnplugged, FormatUnsupported, OptionInvalid


def write(path: Path, samples: np.ndarray, rate: int = RATE, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def tone(frequency: float, seconds: float, rate: int = RATE) -> np.ndarray:
    return np.rint(8000 * np.sin(2 * np.pi * frequency * np.arange(seconds * rate) / rate))


def test_loops_without_a_gap(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.arange(1000))
    with WavMicrophone(device=str(path)) as microphone:
        microphone.open()
        sound = [sample for _ in range(5) for sample in to_samples(microphone.read()).tolist()]
        assert microphone.xruns == 0
    assert sound == [n % 1000 for n in range(5 * PERIOD)]


def test_resamples_and_mixes_down(tmp_path: Path) -> None:
    left_and_right = np.repeat(tone(1000, 0.5, 44_100), 2)
    sound = load(write(tmp_path / "a.wav", left_and_right, rate=44_100, channels=2))
    assert sound.size == pytest.approx(RATE / 2, abs=64)
    assert peak_frequency(sound) == pytest.approx(1000, abs=1)
    assert level_dbfs(sound, 1000) == pytest.approx(-12.25, abs=0.5)


def test_takes_a_name_in_old_letters(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.arange(1000))
    info = b"INFOINAM" + struct.pack("<I", 10) + "März-Film\0".encode("latin-1")
    data = path.read_bytes() + b"LIST" + struct.pack("<I", len(info)) + info
    path.write_bytes(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])
    assert load(path).tolist() == list(range(1000))


def test_refuses_what_is_no_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceNotFound, match=r"none\.wav"):
        WavMicrophone(device=str(tmp_path / "none.wav")).open()
    (tmp_path / "text.wav").write_text("no sound" * 100)
    with pytest.raises(FormatUnsupported):
        WavMicrophone(device=str(tmp_path / "text.wav")).open()
    with pytest.raises(FormatUnsupported, match="no sound"):
        load(write(tmp_path / "empty.wav", np.zeros(0)))
    monkeypatch.setattr(module, "LONGEST_S", 1)
    with pytest.raises(FormatUnsupported, match="longer than 1 s"):
        load(write(tmp_path / "long.wav", np.zeros(3 * RATE)))
    with pytest.raises(OptionInvalid):
        WavMicrophone(device="")
    with pytest.raises(OptionInvalid):
        WavSpeaker(device="")


def test_writes_what_it_plays(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    sound = tone(1000, 0.3).astype(np.int16)
    with WavSpeaker(device=str(path), buffer_ms=500) as speaker:
        speaker.open()
        for start in range(0, sound.size, PERIOD):
            speaker.write(to_frame(sound[start : start + PERIOD], start))
        assert speaker.xruns == 0
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
    assert np.array_equal(load(path), sound)


def test_file_is_whole_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    with WavSpeaker(device=str(path)) as speaker:
        speaker.open()
        speaker.write(to_frame(np.full(PERIOD, 5, np.int16), 0))
        assert load(path).tolist() == [5] * PERIOD


def test_silence_stands_where_it_ran_dry(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    with WavSpeaker(device=str(path)) as speaker:
        speaker.open()
        speaker.write(to_frame(np.full(PERIOD, 5, np.int16), 0))
        threading.Event().wait(0.2)
        speaker.write(to_frame(np.full(PERIOD, 7, np.int16), PERIOD))
        first, second = speaker.heard()
        assert speaker.xruns == 1
    sound = load(path)
    assert sound[:PERIOD].tolist() == [5] * PERIOD
    assert sound[-PERIOD:].tolist() == [7] * PERIOD
    assert not sound[PERIOD:-PERIOD].any()
    assert sound.size / RATE == pytest.approx(second.at - first.at + 0.01, abs=0.001)


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DeviceNotFound):
        WavSpeaker(device=str(tmp_path / "none" / "out.wav")).open()


def test_full_disk_is_told(tmp_path: Path) -> None:
    speaker = WavSpeaker(device="/dev/full")
    speaker.open()
    frame = to_frame(np.ones(PERIOD, np.int16), 0)
    with pytest.raises(DeviceUnplugged, match="disk is full"):
        write_much(speaker, frame)
    speaker.close()


def write_much(speaker: WavSpeaker, frame: object) -> None:
    for _ in range(30):
        speaker.write(frame)  # type: ignore[arg-type]
