"""Sound cards: what goes in at one end comes out at the other."""

from __future__ import annotations

import threading
import time
from typing import Any

import alsaaudio
import numpy as np
import pytest

from hal.audio import PERIOD, RATE
from hal.audio.alsa import AlsaMicrophone, AlsaSpeaker
from hal.audio.frames import to_frame
from hal.audio.spectrum import level_dbfs, peak_frequency
from hal.errors import DeviceBusy, DeviceNotFound, DeviceUnplugged
from tests.lab.conftest import GUEST, Cards
from tests.lab.kernel_devices import PlatformDevice, wait_for
from tests.lab.sounds import LEVEL_DBFS, Voice, listen, tone

pytestmark = pytest.mark.lab

ROOMY_MS = 1000
"""A buffer for a machine that is busy with something else."""


def test_sound_passes_at_the_cards_pace(cards: Cards) -> None:
    speaker = AlsaSpeaker(device=cards.voice, buffer_ms=ROOMY_MS)
    microphone = AlsaMicrophone(device=cards.microphone, buffer_ms=ROOMY_MS)
    with speaker, microphone:
        speaker.open()
        microphone.open()
        with Voice(speaker) as voice:
            listen(microphone, 50)
            begin = time.monotonic()
            sound = listen(microphone, 150)
            took = time.monotonic() - begin
    assert voice.error is None
    assert microphone.xruns == 0
    end = sound[-RATE // 2 :]
    assert peak_frequency(end) == pytest.approx(1000, abs=1)
    assert level_dbfs(end, 1000) == pytest.approx(LEVEL_DBFS, abs=0.5)
    assert level_dbfs(end, 1500) < -60
    assert took > 1.0, "capture does not run ahead of the card"


def test_an_underrun_is_counted_and_healed(cards: Cards) -> None:
    speaker = AlsaSpeaker(device=cards.voice, buffer_ms=200)
    microphone = AlsaMicrophone(device=cards.microphone, buffer_ms=ROOMY_MS)
    with speaker, microphone:
        speaker.open()
        for position in range(0, 30 * PERIOD, PERIOD):
            speaker.write(to_frame(tone(position), position))
        before = speaker.xruns
        threading.Event().wait(1.0)
        speaker.write(to_frame(tone(0), 0))
        assert speaker.xruns == before + 1
        microphone.open()
        with Voice(speaker) as voice:
            sound = listen(microphone, 100)
    assert voice.error is None
    assert level_dbfs(sound[-4800:], 1000) == pytest.approx(LEVEL_DBFS, abs=1), "it sounds again"


@pytest.mark.kernel
def test_an_overrun_is_counted_and_skipped(cards: Cards) -> None:
    speaker = AlsaSpeaker(device=cards.voice, buffer_ms=ROOMY_MS)
    microphone = AlsaMicrophone(device=cards.microphone, buffer_ms=500)
    with speaker, microphone:
        speaker.open()
        microphone.open()
        with Voice(speaker):
            listen(microphone, 20)
            xruns = microphone.xruns
            before = microphone.read().pts
            at = time.monotonic()
            threading.Event().wait(2.0)
            after = microphone.read().pts
            for _ in range(100):
                if microphone.xruns > xruns:
                    break
                after = microphone.read().pts
            lost = time.monotonic() - at
            sound = listen(microphone, 60)
    assert microphone.xruns > xruns
    assert before is not None
    assert after is not None
    # Time goes on as if all had been read.
    assert (after - before) / RATE == pytest.approx(lost, abs=1.0)
    assert level_dbfs(sound[-4800:], 1000) == pytest.approx(LEVEL_DBFS, abs=1)


def test_the_cards_clock_goes_with_the_sound(cards: Cards) -> None:
    speaker = AlsaSpeaker(device=cards.voice, buffer_ms=ROOMY_MS)
    microphone = AlsaMicrophone(device=cards.microphone, buffer_ms=ROOMY_MS)
    with speaker, microphone:
        speaker.open()
        microphone.open()
        with Voice(speaker):
            times = []
            for _ in range(300):
                microphone.read()
                times.append((microphone.clock, speaker.clock))
    for side in (0, 1):
        first, last = times[100][side], times[-1][side]
        assert first is not None
        assert last is not None
        speed = (last.position - first.position) / (last.at - first.at)
        # A sound server counts in blocks; a card does not.
        assert speed == pytest.approx(RATE, rel=0.02 if GUEST else 0.2)


def test_volume_and_mute_are_the_cards(cards: Cards) -> None:
    with AlsaSpeaker(device=cards.mixer, buffer_ms=ROOMY_MS) as speaker:
        speaker.open()
        for volume in (0.3, 0.8):
            assert speaker.set_volume(volume)
            assert speaker.volume == pytest.approx(volume, abs=0.1)


@pytest.mark.kernel
def test_a_card_without_a_mixer_says_so(cards: Cards) -> None:
    with AlsaMicrophone(device=cards.microphone) as microphone:
        microphone.open()
        assert microphone.volume is None
        assert microphone.hardware_mute is None
        assert not microphone.set_volume(0.5)
        assert not microphone.set_hardware_mute(True)


@pytest.mark.kernel
def test_a_capture_switch_of_a_card(cards: Cards) -> None:
    with AlsaMicrophone(device=cards.mixer) as microphone:
        microphone.open()
        for muted in (True, False):
            assert microphone.set_hardware_mute(muted)
            assert microphone.hardware_mute is muted


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("rate", "name", "channels"),
    [(44100, "S32_LE", 2), (96000, "S16_LE", 2), (16000, "S16_LE", 1)],
)
def test_a_card_with_a_format_of_its_own(cards: Cards, rate: int, name: str, channels: int) -> None:
    """Behind a bare "hw" name nobody converts but us.  The loopback's capture side knows only
    the format that its playback side has."""
    card = cards.microphone.partition(":")[2]
    far = alsaaudio.PCM(
        type=alsaaudio.PCM_PLAYBACK,
        mode=alsaaudio.PCM_NORMAL,
        rate=rate,
        channels=channels,
        format=getattr(alsaaudio, f"PCM_FORMAT_{name}"),
        periodsize=rate // 50,
        periods=10,
        device="hw:" + cards.voice.partition(":")[2],
    )
    over = threading.Event()

    def play() -> None:
        position = 0
        dtype, scale = (np.int32, 2**31) if name == "S32_LE" else (np.int16, 2**15)
        while not over.is_set():
            moments = np.arange(position, position + rate // 50) / rate
            wave = (np.sin(2 * np.pi * 1000 * moments) * 0.25 * scale).astype(dtype)
            far.write(np.repeat(wave, channels).tobytes())
            position += rate // 50

    thread = threading.Thread(target=play)
    thread.start()
    try:
        with AlsaMicrophone(device=f"hw:{card}", buffer_ms=ROOMY_MS) as microphone:
            microphone.open()
            sound = listen(microphone, 150)[-RATE // 2 :]
    finally:
        over.set()
        thread.join(30)
        far.close()
    assert peak_frequency(sound) == pytest.approx(1000, abs=2)
    assert level_dbfs(sound, 1000) == pytest.approx(-12, abs=0.6)


@pytest.mark.kernel
def test_a_card_is_busy_while_another_has_it(cards: Cards) -> None:
    with AlsaMicrophone(device=cards.microphone) as first:
        first.open()
        second = AlsaMicrophone(device=cards.microphone)
        with pytest.raises(DeviceBusy, match="in use"):
            second.open()
    with second:
        second.open()


@pytest.mark.kernel
def test_cards_are_listed_by_their_ids(cards: Cards) -> None:
    listed = {device.id: device.label for device in AlsaMicrophone.devices()}
    assert "plughw:CARD=Desk,DEV=1" in listed
    assert "Loopback" in listed["plughw:CARD=Desk,DEV=1"]
    assert cards.speaker in {device.id for device in AlsaSpeaker.devices()}


@pytest.mark.kernel
def test_a_card_is_pulled_and_comes_back(cards: Cards, desk: PlatformDevice) -> None:
    speaker = AlsaSpeaker(device=cards.voice, buffer_ms=ROOMY_MS)
    microphone = AlsaMicrophone(device=cards.microphone, buffer_ms=ROOMY_MS)
    for _ in range(3):
        with speaker, microphone:
            speaker.open()
            microphone.open()
            with Voice(speaker) as voice:
                sound = listen(microphone, 100)
                assert level_dbfs(sound[-4800:], 1000) == pytest.approx(LEVEL_DBFS, abs=1)
                desk.pull()
                with pytest.raises(DeviceUnplugged, match="gone"):
                    listen(microphone, 1000)
                wait_for("the speaker's turn", lambda v=voice: v.error is not None)
            assert isinstance(voice.error, DeviceUnplugged)
            with pytest.raises(DeviceNotFound):
                AlsaMicrophone(device=cards.microphone).open()
            names = [device.id for device in AlsaMicrophone.devices()]
            assert not any("Desk" in name for name in names)
        desk.put_back()
        wait_for("the card", lambda: _there(cards.microphone))


def _there(name: str) -> bool:
    found: list[Any] = AlsaMicrophone.devices()
    return name in [device.id for device in found]
