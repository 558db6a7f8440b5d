from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from av import AudioFrame

from appliance.service.doctor.check import Finding, Verdict
from appliance.service.doctor.sound import TONE_HZ, look_at_microphone, look_at_speaker
from hal.audio import PERIOD, RATE
from hal.audio.frames import Samples
from hal.audio.spectrum import level_dbfs, peak_frequency
from hal.audio.synthetic import SyntheticMicrophone, SyntheticSpeaker
from hal.errors import DeviceNotFound, DeviceStalled, DeviceUnplugged


class Sounding(SyntheticMicrophone):
    """Gives what a function makes."""

    def __init__(self, make: Callable[[], Samples]) -> None:
        super().__init__()
        self._make = make

    def sound(self, position: int, moment: int) -> Samples:
        return self._make()


def noise(amplitude: int) -> Callable[[], Samples]:
    rng = np.random.default_rng(1)
    return lambda: rng.integers(-amplitude, amplitude + 1, PERIOD).astype(np.int16)


async def listen(make: Callable[[], Samples]) -> Finding:
    return await look_at_microphone(lambda: Sounding(make))


async def test_a_good_microphone_and_its_level() -> None:
    finding = await look_at_microphone(lambda: SyntheticMicrophone(pattern="continuous"))
    # A sine that peaks at -12 dBFS.
    assert finding.text.startswith("Synthetic microphone 1: -15 dBFS, peak -12")


async def test_digital_silence() -> None:
    finding = await look_at_microphone(lambda: SyntheticMicrophone(pattern="silence"))
    assert finding.verdict is Verdict.WARN
    assert "digital silence" in finding.text


async def test_a_microphone_that_hears_hardly_anything() -> None:
    finding = await listen(noise(3))
    assert finding.verdict is Verdict.WARN
    assert "hardly anything" in finding.text


async def test_a_microphone_that_clips() -> None:
    loud = np.where(np.arange(PERIOD) % 40 < 20, 32767, -32768).astype(np.int16)
    finding = await listen(lambda: loud)
    assert finding.verdict is Verdict.WARN
    assert "100.0% of it clipped" in finding.text


async def test_a_microphone_that_its_card_mutes() -> None:
    class Muted(SyntheticMicrophone):
        hardware_mute = True

    finding = await look_at_microphone(Muted)
    assert finding.verdict is Verdict.WARN
    assert "muted by its card" in finding.text


async def test_overruns_are_told() -> None:
    class Hasty(SyntheticMicrophone):
        def read(self) -> AudioFrame:
            if not self.xruns:
                self.xrun(20)
            return super().read()

    finding = await look_at_microphone(lambda: Hasty(pattern="continuous"))
    assert finding.verdict is Verdict.WARN
    assert "overruns" in finding.text


@pytest.mark.parametrize(
    ("fault", "error"), [("unplug", DeviceUnplugged), ("stall", DeviceStalled)]
)
async def test_a_microphone_that_fails(fault: str, error: type[Exception]) -> None:
    class Failing(SyntheticMicrophone):
        def read(self) -> AudioFrame:
            frame = super().read()
            getattr(self, fault)()
            return frame

    with pytest.raises(error):
        await look_at_microphone(Failing)


class Person:
    def __init__(self, answer: bool | None) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def tell(self, text: str) -> None:
        self.asked.append(text)

    async def agrees(self, question: str) -> bool | None:
        self.asked.append(question)
        return self.answer


async def play(speaker: SyntheticSpeaker, person: Person | None, volume: int = 100) -> Finding:
    quiet = noise(50)
    return await look_at_speaker(lambda: speaker, lambda: Sounding(quiet), person, volume)


async def test_the_tone_is_played_at_the_volume_of_the_device() -> None:
    speaker = SyntheticSpeaker()
    finding = await play(speaker, None, volume=50)
    assert "listen yourself" in finding.text
    played = speaker.samples()
    sound = played[np.flatnonzero(played)[0] : np.flatnonzero(played)[-1]]
    assert peak_frequency(sound) == pytest.approx(TONE_HZ, abs=1)
    # -20 dBFS, and a quarter of the amplitude at half the way.
    assert level_dbfs(sound, TONE_HZ) == pytest.approx(-32, abs=0.5)


class Coupled(SyntheticMicrophone):
    """Stands before a loudspeaker: hears what it plays, 20 dB down and over noise."""

    def __init__(self, speaker: SyntheticSpeaker) -> None:
        super().__init__()
        self._speaker = speaker
        self._noise = noise(50)

    def sound(self, position: int, moment: int) -> Samples:
        now, heard = time.monotonic(), self._speaker.heard()
        due = [one.samples for one in heard if now - 2 * PERIOD / RATE <= one.at <= now]
        return self._noise() + (due[-1] // 10 if due else np.zeros(PERIOD, np.int16))


async def test_a_microphone_that_hears_the_loudspeaker() -> None:
    speaker, person = SyntheticSpeaker(), Person(None)
    finding = await look_at_speaker(lambda: speaker, lambda: Coupled(speaker), person)
    assert "which the microphone heard at -" in finding.text
    # Then nobody has to be asked.
    assert person.asked == []


async def test_a_microphone_with_a_tone_of_its_own_hears_nothing() -> None:
    finding = await look_at_speaker(SyntheticSpeaker, SyntheticMicrophone, None)
    assert "did not hear it" in finding.text


@pytest.mark.parametrize(
    ("answer", "failed", "says"),
    [
        (True, False, "which you heard"),
        (False, True, "nobody heard it"),
        (None, False, "nobody confirmed"),
    ],
)
async def test_a_person_is_asked(answer: bool | None, failed: bool, says: str) -> None:
    person = Person(answer)
    finding = await play(SyntheticSpeaker(), person)
    assert (finding.verdict is Verdict.FAIL) == failed
    assert says in finding.text
    assert person.asked == ["Did you hear a tone?"]


async def test_a_loudspeaker_needs_no_microphone() -> None:
    broken = SyntheticMicrophone()
    broken.unplug()
    finding = await look_at_speaker(SyntheticSpeaker, lambda: broken, None)
    assert finding.text.startswith("Synthetic speaker 1 took a tone")


async def test_a_loudspeaker_that_fails() -> None:
    gone = SyntheticSpeaker()
    gone.unplug()
    with pytest.raises(DeviceNotFound):
        await play(gone, None)
    stalled = SyntheticSpeaker()
    stalled.stall()
    with pytest.raises(DeviceStalled):
        await play(stalled, None)
