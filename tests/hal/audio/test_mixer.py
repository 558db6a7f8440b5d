from __future__ import annotations

import sys
from typing import Any

import pytest

from hal.audio.mixer import CardMixer, mixer_of
from hal.errors import DeviceUnplugged


class Control:
    """One control of a card, with alsaaudio's calls."""

    def __init__(self, volumes: tuple[str, ...] = (), switches: tuple[str, ...] = ()) -> None:
        self.volumes, self.switches = list(volumes), list(switches)
        self.volume, self.off, self.recorded = [40, 60], [0, 0], [1, 1]
        self.stuck = False
        self.opened = 0

    def volumecap(self) -> list[str]:
        return self.volumes

    def switchcap(self) -> list[str]:
        return self.switches

    def getvolume(self, pcmtype: int) -> list[int]:
        return self.volume

    def setvolume(self, volume: int, *, pcmtype: int) -> None:
        if not self.stuck:
            self.volume = [volume, volume]

    def getmute(self) -> list[int]:
        return self.off

    def setmute(self, mute: int) -> None:
        if not self.stuck:
            self.off = [mute, mute]

    def getrec(self) -> list[int]:
        return self.recorded

    def setrec(self, capture: int) -> None:
        if not self.stuck:
            self.recorded = [capture, capture]

    def close(self) -> None:
        self.opened -= 1


class Alsa:
    """Stands in for `alsaaudio`: a card with some controls."""

    PCM_PLAYBACK, PCM_CAPTURE = 0, 1

    class ALSAAudioError(Exception):
        pass

    def __init__(self, **controls: Control) -> None:
        self.controls = controls
        self.devices: set[str] = set()

    def mixers(self, *, device: str) -> list[str]:
        self.devices.add(device)
        return list(self.controls)

    def Mixer(self, name: str, *, device: str) -> Control:  # noqa: N802 - the library's name
        self.controls[name].opened += 1
        return self.controls[name]


def card(monkeypatch: pytest.MonkeyPatch, **controls: Control) -> Alsa:
    made = Alsa(**controls)
    monkeypatch.setitem(sys.modules, "alsaaudio", made)
    return made


PLAYBACK: dict[str, Any] = {"volumes": ("Playback Volume",), "switches": ("Playback Mute",)}
CAPTURE: dict[str, Any] = {"volumes": ("Capture Volume",), "switches": ("Capture Mute",)}


@pytest.mark.parametrize(
    ("pcm", "mixer"),
    [
        ("plughw:CARD=Jabra,DEV=0", "hw:CARD=Jabra"),
        ("hw:1,0", "hw:1"),
        ("sysdefault:CARD=S3", "hw:CARD=S3"),
        ("default", "default"),
        ("spk", "spk"),
    ],
)
def test_the_mixer_of_a_pcm(pcm: str, mixer: str) -> None:
    assert mixer_of(pcm) == mixer


def test_each_direction_has_its_control(monkeypatch: pytest.MonkeyPatch) -> None:
    beep, pcm, mic = Control(**PLAYBACK), Control(**PLAYBACK), Control(**CAPTURE)
    alsa = card(monkeypatch, Beep=beep, PCM=pcm, Mic=mic)
    speaker = CardMixer("plughw:CARD=Jabra,DEV=0", "speaker", "speaker x")
    microphone = CardMixer("plughw:CARD=Jabra,DEV=0", "microphone", "microphone x")
    assert speaker.volume == 0.6, "the loudest channel"
    assert speaker.set_volume(0.25)
    assert (beep.volume, pcm.volume, mic.volume) == ([40, 60], [25, 25], [40, 60])
    assert speaker.muted is False
    assert speaker.set_muted(True)
    assert (pcm.off, beep.off) == ([1, 1], [0, 0])
    assert microphone.muted is False
    assert microphone.set_muted(True)
    assert mic.recorded == [0, 0]
    assert microphone.muted is True
    assert alsa.devices == {"hw:CARD=Jabra"}
    assert [one.opened for one in (beep, pcm, mic)] == [0, 0, 0], "none stays open"


def test_one_open_channel_is_not_muted(monkeypatch: pytest.MonkeyPatch) -> None:
    mic = Control(**CAPTURE)
    card(monkeypatch, Mic=mic)
    mic.recorded = [0, 1]
    assert CardMixer("hw:0", "microphone", "x").muted is False


def test_a_card_without_a_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    card(monkeypatch, Capture=Control(volumes=("Capture Volume",)))
    mixer = CardMixer("hw:0", "microphone", "x")
    assert mixer.muted is None
    assert not mixer.set_muted(True)
    assert CardMixer("hw:0", "speaker", "x").volume is None


def test_a_setting_for_both_directions_goes_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    both: dict[str, Any] = {"volumes": ("Volume",), "switches": ()}
    line, master, mic = Control(**both), Control(**both), Control(**both)
    card(monkeypatch, Line=line, Master=master, Mic=mic)
    assert CardMixer("hw:0", "speaker", "x").set_volume(0.25)
    assert CardMixer("hw:0", "microphone", "x").set_volume(0.75)
    assert (line.volume, master.volume, mic.volume) == ([40, 60], [25, 25], [75, 75])
    assert CardMixer("hw:0", "microphone", "x").muted is None


def test_a_card_that_does_not_obey_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    mic = Control(**CAPTURE)
    mic.stuck = True
    card(monkeypatch, Mic=mic)
    mixer = CardMixer("hw:0", "microphone", "microphone hw:0")
    with pytest.raises(DeviceUnplugged, match="mute switch of microphone hw:0"):
        mixer.set_muted(True)
    with pytest.raises(DeviceUnplugged, match="volume of microphone hw:0"):
        mixer.set_volume(1.0)


def test_a_card_that_is_pulled_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    mic = Control(**CAPTURE)
    alsa = card(monkeypatch, Mic=mic)

    def gone(capture: int) -> None:
        raise alsa.ALSAAudioError("No such device [hw:0]")

    monkeypatch.setattr(mic, "setrec", gone)
    with pytest.raises(DeviceUnplugged, match="plug it in"):
        CardMixer("hw:0", "microphone", "microphone hw:0").set_muted(True)
    assert mic.opened == 0
