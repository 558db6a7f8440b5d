from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.hub import mixbus
from appliance.hub.mixbus import MixBus, Voice
from appliance.media.errors import CodecError
from appliance.media.opus import FRAME
from appliance.media.packet import Encoded
from tests.appliance.hub.far_end import hear, level, sine

AMPLITUDE = 6000.0
PLAIN = 20 * math.log10(AMPLITUDE / 32768)
BEATS = 60
FREQUENCIES = {"a": 1000.0, "b": 1500.0, "c": 2200.0, "d": 3100.0}


class Speaker:
    """Says one tone for ever."""

    def __init__(self, frequency: float, amplitude: float = AMPLITUDE) -> None:
        self.beat = 0
        self._tone = sine(frequency, 50, amplitude)  # whole hertz repeat after a second

    def pull(self) -> NDArray[np.int16]:
        start = self.beat % 50 * FRAME
        self.beat += 1
        return self._tone[start : start + FRAME]


class Silent:
    def pull(self) -> NDArray[np.int16]:
        return np.zeros(FRAME, np.int16)


class Room:
    """A mix bus, and what each member was sent."""

    def __init__(self, **voices: Voice) -> None:
        self.voices = dict(voices)
        self.bus = MixBus()
        self.beat = 0
        self.sent: dict[str, list[Encoded]] = {}
        self.levels: dict[str, list[float]] = {}

    def run(self, beats: int = BEATS) -> None:
        for _ in range(beats):
            self.beat += 1
            result = self.bus.mix(self.voices, self.beat * FRAME)
            for shared in result.packets:
                for member in shared.members:
                    self.sent.setdefault(member, []).append(shared.packet)
            for member, dbfs in result.levels:
                self.levels.setdefault(member, []).append(dbfs)

    def heard(self, member: str, frequency: float, last: int = 25) -> float:
        """The level of a tone in the last half second of what the member hears."""
        return level(hear(self.sent[member])[-last * FRAME :], frequency)

    def change(self, member: str, **values: object) -> None:
        self.voices[member] = replace(self.voices[member], **values)  # type: ignore[arg-type]


def silent(samples: NDArray[np.int16]) -> bool:
    return bool(np.abs(samples).max() <= 2)  # what the decoder makes of digital silence


def speakers(*members: str) -> dict[str, Voice]:
    return {member: Voice(Speaker(FREQUENCIES[member])) for member in members}


def test_everybody_hears_the_others_and_never_itself() -> None:
    room = Room(**speakers("a", "b", "c", "d"))
    room.run()
    for member in "abcd":
        for other, frequency in FREQUENCIES.items():
            heard = room.heard(member, frequency)
            if other == member:
                assert heard < PLAIN - 60  # what the codec itself adds lies below this
            else:
                assert heard == pytest.approx(PLAIN, abs=0.5)


def test_before_the_codec_the_own_voice_is_gone_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    mixes: list[NDArray[np.int16]] = []

    class Tap:
        def __init__(self, bitrate: int) -> None:
            self._real = real(bitrate)

        def encode(self, samples: NDArray[np.int16]) -> object:
            mixes.append(samples)
            return self._real.encode(samples)

    real = mixbus.OpusEncoder
    monkeypatch.setattr(mixbus, "OpusEncoder", Tap)
    room = Room(**speakers("a", "b"))
    room.run()
    heard_by_a = np.concatenate(mixes[-50::2])
    heard_by_b = np.concatenate(mixes[-49::2])
    if level(heard_by_a, 1000) > level(heard_by_a, 1500):
        heard_by_a, heard_by_b = heard_by_b, heard_by_a
    assert level(heard_by_a, 1500) == pytest.approx(PLAIN, abs=0.01)
    assert level(heard_by_b, 1000) == pytest.approx(PLAIN, abs=0.01)
    assert level(heard_by_a, 1000) < PLAIN - 80
    assert level(heard_by_b, 1500) < PLAIN - 80


@pytest.mark.parametrize(("volume", "decibel"), [(20, 10.0), (-20, -10.0), (-40, -20.0), (10, 5.0)])
def test_volumes_change_what_is_heard_by_half_a_decibel_a_step(volume: int, decibel: float) -> None:
    room = Room(**speakers("a", "b", "c"))
    room.run(10)
    room.change("a", input_volume=volume)
    room.change("c", output_volume=-6)
    room.run()
    assert room.heard("b", 1000) == pytest.approx(PLAIN + decibel, abs=0.5)
    assert room.heard("b", 2200) == pytest.approx(PLAIN, abs=0.5)
    assert room.heard("c", 1000) == pytest.approx(PLAIN + decibel - 3, abs=0.5)
    assert room.heard("c", 1500) == pytest.approx(PLAIN - 3, abs=0.5)


def test_the_lowest_volumes_are_silence() -> None:
    room = Room(**speakers("a", "b", "c"))
    room.change("a", input_volume=-50)
    room.change("b", output_volume=-50)
    room.run()
    assert room.heard("c", 1000) < -90
    assert room.heard("c", 1500) == pytest.approx(PLAIN, abs=0.5)
    assert silent(hear(room.sent["b"])[FRAME:])


def test_a_mute_is_heard_at_once_and_undone() -> None:
    room = Room(**speakers("a", "b", "c"))
    room.run(40)
    room.change("a", muted=True)
    room.run()
    assert room.heard("b", 1000) < PLAIN - 60
    assert room.heard("b", 2200) == pytest.approx(PLAIN, abs=0.5)
    assert room.heard("a", 1500) == pytest.approx(PLAIN, abs=0.5)
    assert room.levels["a"][40:42] == [pytest.approx(PLAIN - 13.8, abs=1), -127]  # 5 ms of 20
    assert room.voices["a"].source.beat == 100  # type: ignore[union-attr]  # it does not fill up
    room.change("a", muted=False)
    room.run()
    assert room.heard("b", 1000) == pytest.approx(PLAIN, abs=0.5)
    assert room.heard("a", 1000) < PLAIN - 60


def test_a_deaf_member_gets_silence_and_is_still_heard() -> None:
    room = Room(**speakers("a", "b", "c"))
    room.run(5)
    room.change("a", deaf=True)
    room.run()
    assert silent(hear(room.sent["a"])[-25 * FRAME :])
    assert len(room.sent["a"]) == 65  # packets still come, so nobody takes it for a loss
    assert room.heard("b", 1000) == pytest.approx(PLAIN, abs=0.5)
    room.change("a", deaf=False)
    room.run()
    assert room.heard("a", 1500) == pytest.approx(PLAIN, abs=0.5)


def test_an_input_below_its_sensitivity_is_not_mixed() -> None:
    room = Room(a=Voice(Speaker(1000, 20)), b=Voice(Speaker(1500)), c=Voice())
    room.change("a", input_sensitivity=20)  # -44 dBFS; the tone has -67
    room.change("b", input_sensitivity=20)
    room.run()
    assert room.heard("c", 1000) < -85
    assert room.heard("c", 1500) == pytest.approx(PLAIN, abs=0.5)
    room.change("b", input_sensitivity=0)
    room.run()
    assert room.heard("c", 1500) < -85


def test_many_loud_voices_are_turned_down_together() -> None:
    room = Room(**{m: Voice(Speaker(f, 30_000)) for m, f in FREQUENCIES.items()}, e=Voice())
    room.run(150)
    heard = hear(room.sent["e"])[-50 * FRAME :]
    voices = [level(heard, frequency) for frequency in FREQUENCIES.values()]
    assert max(voices) - min(voices) < 1.5
    assert min(voices) > -18
    for product in (500, 700, 1700, 2000, 4000, 5300):
        assert level(heard, product) < min(voices) - 25


def test_who_hears_the_same_shares_one_encoder() -> None:
    listeners = {f"l{n}": Voice() for n in range(20)}
    room = Room(**speakers("a", "b"), **listeners)
    room.run(10)
    assert room.bus.encoded == 10 * 3
    assert room.sent["l0"] == room.sent["l19"]
    assert room.sent["l0"][-1] is room.sent["l19"][-1]
    room.change("a", muted=True)
    room.run(10)
    # One beat to fade out, then the muted member hears what the listeners hear.
    assert room.bus.encoded == 10 * 3 + 3 + 9 * 2
    assert room.sent["a"][-1] is room.sent["l0"][-1]
    for member in ("b", "l3"):
        room.change(member, deaf=True)
    room.run(10)
    assert room.sent["b"][-1] is room.sent["l3"][-1]


def test_joining_a_shared_stream_and_leaving_it_is_clean_for_everybody() -> None:
    room = Room(**speakers("a", "b"), l=Voice())
    for muted in (True, False, True, False):
        room.run(50)
        for member in "abl":
            for frequency in (1000, 1500):
                own = FREQUENCIES.get(member) == frequency
                gone = own or (frequency == 1000 and room.voices["a"].muted)
                heard = room.heard(member, frequency)
                if gone:
                    assert heard < PLAIN - 55
                else:
                    assert heard == pytest.approx(PLAIN, abs=0.5)
        room.change("a", muted=muted)


def test_who_joins_a_shared_stream_hears_nothing_of_its_own_voice_that_is_in_it() -> None:
    room = Room(a=Voice(Speaker(1000, 20_000)), b=Voice(Speaker(1500, 400)), l=Voice(), m=Voice())
    room.run(50)
    room.change("a", muted=True)
    room.run(50)
    assert room.sent["a"][-1] is room.sent["l"][-1]
    sound = hear(room.sent["a"])[45 * FRAME :].astype(np.float64).reshape(-1, 480)
    loudness = np.sqrt((sound**2).mean(axis=1))
    assert loudness.max() < 400 / math.sqrt(2) * 1.2


def test_the_stream_of_who_stays_where_it_was_goes_on_without_a_gap() -> None:
    room = Room(**speakers("a", "b", "c"))
    room.run(50)
    for member, values in (("a", {"muted": True}), ("b", {"output_volume": -1.0})):
        room.change(member, **values)
        room.run(50)
    room.voices["d"] = Voice(Speaker(FREQUENCIES["d"]))
    room.run(50)
    del room.voices["d"]
    room.run(50)
    # 1500 Hz all the time for c: a restarted stream would show as a hole in it.
    sound = hear(room.sent["c"])[FRAME * 5 :].astype(np.float64)
    windows = sound[: len(sound) // 480 * 480].reshape(-1, 480)
    loudness = np.sqrt((windows**2).mean(axis=1))
    assert loudness.min() > AMPLITUDE / math.sqrt(2) * 0.9


def test_timestamps_are_the_rooms_for_all_members() -> None:
    room = Room(**speakers("a", "b"), l=Voice())
    room.run(5)
    room.change("a", muted=True)
    room.run(5)
    for packets in room.sent.values():
        assert [packet.timestamp for packet in packets] == [n * FRAME for n in range(1, 11)]


def test_legs_of_one_member_do_not_hear_each_other() -> None:
    room = Room(**speakers("a", "b"))
    room.voices["screen"] = Voice(Speaker(2200), hears=False, parent_id="a")
    room.run()
    assert "screen" not in room.sent
    assert room.heard("a", 2200) < PLAIN - 55
    assert room.heard("a", 1000) < PLAIN - 55
    assert room.heard("a", 1500) == pytest.approx(PLAIN, abs=0.5)
    assert room.heard("b", 2200) == pytest.approx(PLAIN, abs=0.5)
    assert room.heard("b", 1000) == pytest.approx(PLAIN, abs=0.5)
    room.change("a", muted=True)
    room.run()
    assert room.heard("a", 2200) < PLAIN - 55


def test_levels_are_what_the_room_hears() -> None:
    room = Room(a=Voice(Speaker(1000)), b=Voice(Silent()), c=Voice())
    room.change("a", input_volume=10)
    room.run(5)
    assert room.levels["a"] == [pytest.approx(PLAIN - 3.01 + 5, abs=0.1)] * 5
    assert room.levels["b"] == [-127] * 5
    assert "c" not in room.levels


def broken_raises() -> NDArray[np.int16]:
    raise RuntimeError("no such sound")


def too_short() -> NDArray[np.int16]:
    return np.ones(480, np.int16)


@pytest.mark.parametrize("pull", [broken_raises, too_short])
def test_a_source_that_fails_is_silent_and_said_so_once(
    pull: Callable[[], NDArray[np.int16]], caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        pass

    source = Broken()
    source.pull = pull  # type: ignore[attr-defined]
    room = Room(**speakers("a", "b"), c=Voice(source))  # type: ignore[arg-type]
    room.run()
    assert room.heard("a", 1500) == pytest.approx(PLAIN, abs=0.5)
    assert room.heard("c", 1000) == pytest.approx(PLAIN, abs=0.5)
    assert caplog.text.count("member c is not heard") == 1


def test_an_encoder_that_fails_costs_one_packet(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    room = Room(**speakers("a", "b"))
    room.run(10)
    real = mixbus.OpusEncoder.encode
    failing = [True]

    def encode(encoder: mixbus.OpusEncoder, samples: NDArray[np.int16]) -> object:
        if failing.pop() if failing else False:
            raise CodecError("out of tune")
        return real(encoder, samples)

    monkeypatch.setattr(mixbus.OpusEncoder, "encode", encode)
    room.run(40)
    assert sorted(map(len, room.sent.values())) == [49, 50]
    assert "out of tune" in caplog.text
    assert room.heard("a", 1500) == pytest.approx(PLAIN, abs=0.5)
    assert room.heard("b", 1000) == pytest.approx(PLAIN, abs=0.5)


def test_nobody_and_one_alone() -> None:
    room = Room()
    room.run(3)
    assert room.sent == {}
    room.voices["a"] = Voice(Speaker(1000))
    room.run(30)
    assert silent(hear(room.sent["a"]))
    assert len(room.sent["a"]) == 30
