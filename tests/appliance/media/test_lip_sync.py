"""Picture and sound of one sender, seen and heard together."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from av import Packet, VideoFrame

from appliance.media.audio_receiver import AudioReceiver
from appliance.media.leg import MediaLeg
from appliance.media.lip_sync import MOST, TRAIL, LipSync
from appliance.media.opus import FRAME, OpusEncoder
from appliance.media.packet import MediaPacket, packetize
from appliance.media.peer import Peer
from appliance.media.picture_queue import PictureQueue
from appliance.media.playout import DisplayPlayout, SpeakerPlayout
from appliance.media.sender_clock import SenderClock
from appliance.media.video_encoder import VideoEncoder
from hal.audio.synthetic import SyntheticSpeaker
from hal.display.memory import MemoryDisplay
from tests.appliance.media.conftest import DEADLINE, LOOPBACK, luma_of, picture, tone, until

PERIOD = 1
"""Seconds from one flash, and one beep, to the next."""

BURST = 6
"""Packets of sound that arrive together: the jitter buffer holds 120 ms."""


class Bench:
    """What a device shows and plays, on a time of the test's own."""

    def __init__(self, sound_lag: float | None, picture_lag: float) -> None:
        self.now = 100.0
        self.sound_lag = sound_lag
        self.picture_lag = picture_lag
        self.audio: Any = SimpleNamespace(playing=None, hold=0.0)
        self.clocks = SenderClock(48_000), SenderClock(90_000)
        # The sender's wall clock is ours plus 1000 s, its streams begin at other times.
        self.clocks[0].report(48_000 * 7, 1100 * 2**32)
        self.clocks[1].report(90_000 * 3, 1100 * 2**32)
        self.sync = LipSync(self.audio, *self.clocks, now=lambda: self.now)

    def run(self, seconds: float) -> list[float]:
        """The hold of each picture, 30 a second."""
        holds = []
        for _ in range(round(seconds * 30)):
            self.now += 1 / 30
            if self.sound_lag is not None:
                lag = self.sound_lag + self.audio.hold
                captured = self.now - lag
                self.audio.playing = (round((captured - 100 + 7) * 48_000), self.now)
            captured = self.now - self.picture_lag
            due = self.sync.due(round((captured - 100 + 3) * 90_000))
            holds.append(due - self.now)
        return holds


def test_the_picture_waits_for_the_sound() -> None:
    bench = Bench(sound_lag=0.150, picture_lag=0.010)
    holds = bench.run(10)
    assert holds[-1] == pytest.approx(0.140 - TRAIL, abs=0.002)
    assert bench.audio.hold == 0
    steps = np.abs(np.diff(holds))
    assert steps.max() < 0.005


def test_the_sound_waits_for_the_picture() -> None:
    bench = Bench(sound_lag=0.030, picture_lag=0.130)
    bench.run(20)
    assert bench.audio.hold == pytest.approx(0.100, abs=TRAIL + 0.002)
    # The picture is there sooner: the sound's hold is given back, the picture's helps out.
    bench.picture_lag = 0.010
    bench.run(20)
    assert bench.audio.hold <= 0.002 + TRAIL
    late = bench.sound_lag + bench.audio.hold - bench.picture_lag - bench.sync.hold  # type: ignore[operator]
    assert abs(late) <= TRAIL + 0.002


def test_neither_waits_for_more_than_the_most() -> None:
    late_sound, late_picture = Bench(0.700, 0.010), Bench(0.020, 0.700)
    assert max(late_sound.run(20)) == pytest.approx(MOST, abs=1e-6)
    late_picture.run(20)
    assert late_picture.audio.hold == MOST
    # No seconds are lost on the way back from there.
    late_sound.sound_lag = 0.100
    assert late_sound.run(2)[-1] == pytest.approx(0.090 - TRAIL, abs=0.002)


def test_without_reports_or_sound_nothing_waits() -> None:
    silent = Bench(sound_lag=None, picture_lag=0.010)
    assert max(silent.run(2)) == 0
    bench = Bench(sound_lag=0.150, picture_lag=0.010)
    bench.sync = LipSync(bench.audio, SenderClock(48_000), bench.clocks[1], now=lambda: bench.now)
    assert max(bench.run(2)) == 0
    bench.sync = LipSync(bench.audio, bench.clocks[0], SenderClock(90_000), now=lambda: bench.now)
    assert max(bench.run(2)) == 0
    assert bench.sync.due(None) == bench.now


def test_a_late_picture_holds_no_other() -> None:
    silent = Bench(sound_lag=None, picture_lag=0.010)
    talking = Bench(sound_lag=0.100, picture_lag=0.010)
    for bench in (silent, talking):
        usual = bench.run(5)[-1]
        bench.picture_lag = 0.300
        assert bench.run(1 / 30) == [0]
        bench.picture_lag = 0.010
        assert bench.run(1)[0] == pytest.approx(usual, abs=0.005)


def test_when_the_sound_ends_the_pictures_come_at_once_again() -> None:
    bench = Bench(sound_lag=0.150, picture_lag=0.010)
    assert bench.run(5)[-1] > 0.1
    bench.sound_lag = None
    assert bench.run(5)[-1] == pytest.approx(0, abs=1e-6)


def test_clocks_that_do_not_belong_together_hold_nothing() -> None:
    bench = Bench(sound_lag=0.150, picture_lag=0.010)
    bench.run(5)
    # The sender's wall clock was set, and only one stream has told so yet.
    bench.clocks[1].report(90_000 * 8, 5105 * 2**32)
    assert max(bench.run(1)) == 0
    bench.clocks[0].report(48_000 * 12, 5105 * 2**32)
    assert bench.run(5)[-1] == pytest.approx(0.140 - TRAIL, abs=0.002)


class FarEnd:
    """Flashes and beeps at the same moments, from 0 s on."""

    def __init__(self) -> None:
        self._opus = OpusEncoder()
        self._tone, self._quiet = tone(1000, 48_000), np.zeros(FRAME, np.int16)

    def picture(self, index: int) -> VideoFrame:
        """The picture of index / 30 s."""
        return picture(index, 235 if (index % (30 * PERIOD)) < 6 else 20)

    def sound(self, index: int) -> Packet[Any]:
        """The packet of index * 20 ms, to be asked for in order."""
        start = index % (50 * PERIOD) * FRAME
        loud = start < 0.2 * 48_000
        return self._opus.encode(self._tone[start : start + FRAME] if loud else self._quiet)


def run_device(seconds: int, *, reports: bool) -> tuple[list[float], list[float]]:
    """When a device shows the flashes and plays the beeps of a far end, whose sound comes in
    bursts.  Time is the test's own, in steps of 5 ms."""
    far, now = FarEnd(), 0.0
    inlet = SimpleNamespace(on_packet=None)
    audio = AudioReceiver(inlet)  # type: ignore[arg-type]
    clocks = SenderClock(48_000), SenderClock(90_000)
    sync = LipSync(audio, *clocks, now=lambda: now)
    queue = PictureQueue()
    flashes: list[float] = []
    beeps: list[float] = []
    bright = loud = False
    pictures = packets = 0
    for step in range(seconds * 200):
        now = step * 0.005
        if reports and step % 200 == 0:
            clocks[0].report(round(now * 48_000), round((5000 + now) * 2**32))
            clocks[1].report(round(now * 90_000), round((5000 + now) * 2**32))
        while pictures / 30 + 0.010 <= now:  # the way of a picture takes 10 ms
            queue.put(far.picture(pictures), sync.due(pictures * 3000))
            pictures += 1
        if now >= (packets + BURST) * 0.02:
            for index in range(packets, packets + BURST):
                data = bytes(far.sound(index))
                inlet.on_packet(MediaPacket("opus", index, index * FRAME, False, data, now))
            packets += BURST
        if step % 4 == 0:
            heard_at = now + 0.040  # what waits in the card
            samples = audio.pull(heard_at)
            was_loud, loud = loud, bool(np.abs(samples).max() > 2000)
            if loud and not was_loud:
                first = int(np.argmax(np.abs(samples) > 2000))
                beeps.append(heard_at + first / 48_000)
        if (frame := queue.take(now)) is not None:
            was_bright, bright = bright, luma_of(frame) > 150
            if bright and not was_bright:
                flashes.append(now)
    assert audio.delay_ms > 0
    return flashes, beeps


@pytest.mark.parametrize("reports", [True, False])
def test_a_flash_and_its_beep_come_together(reports: bool) -> None:
    flashes, beeps = run_device(20, reports=reports)
    trails = [beep - flash for flash, beep in zip(flashes, beeps, strict=False)]
    assert len(trails) >= 18
    # Two seconds to adapt; then each of them.
    if reports:
        assert max(map(abs, trails[3:])) <= 0.060
    else:
        assert min(trails[3:]) > 0.100


@pytest.mark.parametrize("reports", [True, False])
async def test_reports_from_the_wire_hold_the_pictures(reports: bool) -> None:
    """Over two peers and the device's own threads."""
    speaker, screen = SyntheticSpeaker(), MemoryDisplay()
    playout, display = SpeakerPlayout(speaker), DisplayPlayout(screen)
    leg = MediaLeg(speaker=playout, display=display, addresses=LOOPBACK)
    peer, far = Peer(addresses=LOOPBACK), FarEnd()
    video = VideoEncoder("h264", 320, 180, 30)
    due: list[tuple[float, float]] = []

    async def send() -> None:
        assert peer.audio_out
        assert peer.video_out
        begin, pictures, packets = time.monotonic(), 0, 0
        while True:
            now = time.monotonic() - begin
            while pictures / 30 <= now:
                encoded = video.encode(far.picture(pictures), keyframe=pictures % 15 == 0)
                peer.video_out.send(packetize(encoded, "h264"))
                pictures += 1
            if (packets + BURST) * 0.02 <= now:
                for index in range(packets, packets + BURST):
                    peer.audio_out.send(packetize(far.sound(index), "opus"))
                packets += BURST
            await asyncio.sleep(0.005)

    def show(frame: VideoFrame | None, at: float | None = None) -> None:
        due.append((time.monotonic(), at or 0.0))
        DisplayPlayout.show(display, frame, at)

    display.show = show  # type: ignore[method-assign]
    sending: asyncio.Task[None] | None = None
    try:
        await playout.start()
        await display.start()
        await leg.accept(await peer.answer(await leg.offer()))
        clocks = [end.clock for end in (leg.peer.audio_in, leg.peer.video_in) if end is not None]
        if not reports:
            for sender in (peer.audio_out, peer.video_out):
                sender._sender._send_rtcp = ignore  # type: ignore[union-attr]
        async with asyncio.timeout(DEADLINE):
            await peer.wait_connected()
            await leg.peer.wait_connected()
        sending = asyncio.create_task(send())
        hold: float = 0.0

        def held() -> bool:
            nonlocal hold
            assert not sending.done(), sending.exception()
            hold = max(hold, leg.stats()["video_hold_ms"])
            return hold > 50 if reports else display.frames_shown > 90

        await until(held, 60)
        assert all((clock.moment(0) is not None) is reports for clock in clocks)
        assert hold <= 1000 * MOST + 1e-6
        if reports:
            # That is what the screen was told.
            assert max(at - now for now, at in due) > 0.030
        else:
            assert hold == 0
    finally:
        if sending is not None:
            sending.cancel()
        await leg.close()
        await peer.close()
        await playout.stop()
        await display.stop()


async def ignore(*_: object) -> None:
    """Send nothing."""
