from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.hub import mixer as mixer_module
from appliance.hub.gain import SILENCE_DBFS
from appliance.hub.mixer import Mixer
from appliance.media.opus import FRAME
from appliance.media.packet import Encoded
from tests.appliance.hub.far_end import hear, level, sine

FREQUENCIES = {"a": 1000.0, "b": 1500.0, "c": 2200.0}


class Speaker:
    def __init__(self, frequency: float) -> None:
        self.pulls = 0
        self.threads: set[int] = set()
        self._tone = sine(frequency, 50, 6000)

    def pull(self) -> NDArray[np.int16]:
        start = self.pulls % 50 * FRAME
        self.pulls += 1
        self.threads.add(threading.get_ident())
        return self._tone[start : start + FRAME]


class Ears:
    """What every member of a mixer is sent, and how loud it says that they are."""

    def __init__(self) -> None:
        self.sent: dict[str, list[Encoded]] = {}
        self.levels: dict[str, list[float]] = {}
        self.threads: set[int] = set()

    def packet(self, member_id: str, packet: Encoded) -> None:
        self.threads.add(threading.get_ident())
        self.sent.setdefault(member_id, []).append(packet)

    def level(self, member_id: str, dbfs: float) -> None:
        self.threads.add(threading.get_ident())
        self.levels.setdefault(member_id, []).append(dbfs)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.005)

    async def told(self, member_id: str, count: int) -> None:
        """Wait until so many levels of a member have been told in all."""
        levels = self.levels.setdefault(member_id, [])
        await self.until(lambda: len(levels) >= count)

    async def more(self, member_id: str, count: int) -> list[Encoded]:
        packets = self.sent.setdefault(member_id, [])
        start = len(packets)
        await self.until(lambda: len(packets) >= start + count)
        return packets[start:]

    async def tones(self, member_id: str) -> dict[str, float]:
        """The level of each member's tone in half a second from now on."""
        # Of what was said before so much may still be under way, and the codec rings on.
        before = mixer_module._IN_FLIGHT + 5
        samples = hear(await self.more(member_id, before + 25))[-25 * FRAME :]
        return {one: level(samples, frequency) for one, frequency in FREQUENCIES.items()}


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
async def mixer(ears: Ears) -> AsyncIterator[Mixer]:
    one = Mixer(on_packet=ears.packet, on_level=ears.level)
    one.start()
    yield one
    await one.stop()


async def test_members_hear_each_other_and_not_themselves(mixer: Mixer, ears: Ears) -> None:
    speakers = {one: Speaker(frequency) for one, frequency in FREQUENCIES.items()}
    for one, speaker in speakers.items():
        mixer.add(one, speaker)
    for one in FREQUENCIES:
        tones = await ears.tones(one)
        others = [tones[other] for other in FREQUENCIES if other != one]
        assert min(others) > -17
        assert tones[one] < min(others) - 40
    assert ears.threads == {threading.get_ident()}
    assert all(threading.get_ident() not in speaker.threads for speaker in speakers.values())
    assert ears.levels["a"][-1] == pytest.approx(-17.8, abs=0.2)


async def test_members_come_go_and_change_while_it_runs(mixer: Mixer, ears: Ears) -> None:
    mixer.add("a", Speaker(1000))
    mixer.add("listener", None)
    assert (await ears.tones("listener"))["a"] > -17
    mixer.add("b", Speaker(1500))
    mixer.set("a", muted=True)
    tones = await ears.tones("listener")
    assert tones["b"] > -17
    assert tones["a"] < -75
    mixer.set("listener", deaf=True)
    assert max((await ears.tones("listener")).values()) < -85
    mixer.set("listener", deaf=False)
    mixer.set("a", muted=False, input_volume=-20, output_volume=10)
    mixer.remove("b")
    tones = await ears.tones("listener")
    assert tones["a"] == pytest.approx(-14.75 - 10, abs=0.5)
    assert tones["b"] < -75
    assert "listener" not in ears.levels
    mixer.remove("listener")
    mixer.remove("nobody")
    count = len(ears.sent["listener"])
    await ears.more("a", 5)
    assert len(ears.sent["listener"]) == count
    with pytest.raises(KeyError):
        mixer.set("listener", muted=True)


async def test_a_mute_counts_from_the_next_beat(mixer: Mixer, ears: Ears) -> None:
    speaker = Speaker(1000)
    mixer.add("a", speaker)
    levels = ears.levels.setdefault("a", [])
    for _ in range(5):
        mixer.set("a", muted=False)
        await ears.told("a", len(levels) + 16)
        assert levels[-1] > -20
        mixer.set("a", muted=True)
        # Each beat asks once and tells once.  One may be under way, and one fades the sound out.
        last = speaker.pulls + 2
        await ears.told("a", last + 10)
        assert set(levels[last : last + 10]) == {SILENCE_DBFS}


async def test_another_receiver_keeps_what_was_set(mixer: Mixer, ears: Ears) -> None:
    mixer.add("a", Speaker(1000))
    mixer.add("listener", None)
    mixer.set("a", muted=True)
    second = Speaker(1000)
    mixer.add("a", second)
    assert (await ears.tones("listener"))["a"] < -75
    mixer.set("a", muted=False)
    assert (await ears.tones("listener"))["a"] > -17
    assert second.pulls > 0


async def test_time_goes_on_by_one_frame_a_packet(mixer: Mixer, ears: Ears) -> None:
    mixer.add("a", Speaker(1000))
    packets = await ears.more("a", 50)
    steps = [later.timestamp - earlier.timestamp for earlier, later in pairwise(packets)]
    assert all(step >= FRAME and step % FRAME == 0 for step in steps)
    assert steps.count(FRAME) > len(steps) / 2


async def test_it_is_paced_by_the_clock(mixer: Mixer, ears: Ears) -> None:
    speaker = Speaker(1000)
    mixer.add("a", speaker)
    await ears.more("a", 1)
    started, before = time.monotonic(), speaker.pulls
    await ears.more("a", 100)
    # What the machine was too slow for is made good or skipped, never hurried ahead of time.
    beats = speaker.pulls - before
    assert beats * 0.02 <= time.monotonic() - started + 0.2


async def test_a_stalled_loop_gets_no_backlog(mixer: Mixer, ears: Ears) -> None:
    mixer.add("a", Speaker(1000))
    await ears.more("a", 5)
    time.sleep(1.0)  # the loop itself hangs
    before = len(ears.sent["a"])
    await asyncio.sleep(0)
    assert len(ears.sent["a"]) - before <= mixer_module._IN_FLIGHT
    await ears.more("a", 20)
    packets = ears.sent["a"][before:]
    gaps = [later.timestamp - earlier.timestamp for earlier, later in pairwise(packets)]
    assert max(gaps) > 10 * FRAME  # what nobody could send is missing, and the time shows it
    assert mixer.skipped > 0


async def test_a_callback_that_fails_costs_the_others_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ears = Ears()

    def packet(member_id: str, encoded: Encoded) -> None:
        if member_id == "a":
            raise RuntimeError("not taken")
        ears.packet(member_id, encoded)

    def dbfs(member_id: str, value: float) -> None:
        if member_id == "a":
            raise RuntimeError("not known")
        ears.level(member_id, value)

    mixer = Mixer(on_packet=packet, on_level=dbfs)
    mixer.start()
    mixer.add("a", Speaker(1000))
    mixer.add("b", Speaker(1500))
    await ears.more("b", 5)
    await mixer.stop()
    assert len(ears.levels["b"]) >= 5
    assert "a packet for member a was not taken" in caplog.text
    assert "the level of member a was not taken" in caplog.text


async def test_a_callback_may_remove_members(ears: Ears) -> None:
    def packet(member_id: str, encoded: Encoded) -> None:
        ears.packet(member_id, encoded)
        mixer.remove("a")
        mixer.remove("b")

    mixer = Mixer(on_packet=packet, on_level=ears.level)
    mixer.start()
    mixer.add("a", Speaker(1000))
    mixer.add("b", Speaker(1500))
    await ears.until(lambda: bool(ears.sent))
    await mixer.stop()
    assert sum(map(len, ears.sent.values())) == 1
    assert ears.levels == {}


async def test_it_sleeps_in_an_empty_room_and_wakes_for_who_comes(mixer: Mixer, ears: Ears) -> None:
    mixer.add("a", Speaker(1000))
    await ears.more("a", 3)
    mixer.remove("a")
    await ears.until(lambda: not mixer._wake.is_set())
    beats = mixer.beats
    await asyncio.sleep(0.2)
    assert mixer.beats == beats
    mixer.add("b", Speaker(1500))
    await ears.more("b", 3)


async def test_stop_ends_the_thread_and_the_callbacks(ears: Ears) -> None:
    await Mixer(on_packet=ears.packet).stop()
    mixer = Mixer(on_packet=ears.packet)
    mixer.start()
    with pytest.raises(RuntimeError, match="started before"):
        mixer.start()
    thread = mixer._thread
    assert thread is not None
    mixer.add("a", Speaker(1000))
    await ears.more("a", 3)
    await mixer.stop()
    await mixer.stop()
    assert not thread.is_alive()
    count = len(ears.sent["a"])
    await asyncio.sleep(0.1)
    assert len(ears.sent["a"]) == count


def test_a_loop_that_was_closed_ends_the_thread() -> None:
    ears = Ears()

    async def leave_it_running() -> threading.Thread:
        mixer = Mixer(on_packet=ears.packet)
        mixer.start()
        mixer.add("a", Speaker(1000))
        await ears.more("a", 2)
        assert mixer._thread is not None
        return mixer._thread

    thread = asyncio.run(leave_it_running())
    thread.join(20)
    assert not thread.is_alive()
