"""Devices to RTP: what leaves, when the gate closes, when the device fails.

The verdicts come from the packets that left, tapped before encryption.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytest
from aiortc.rtp import RtpPacket, is_rtcp
from av import AudioFrame, Packet, VideoFrame

from appliance.media.capture import CameraCapture, MicCapture
from appliance.media.ends import Outlet
from appliance.media.gate import CameraGate, MicGate, Party
from appliance.media.opus import FRAME, OpusDecoder, Samples
from appliance.media.peer import Peer
from appliance.media.video_encoder import VideoEncoder
from appliance.media.video_receiver import VideoReceiver
from hal.audio import PERIOD, RATE, CardTime
from hal.audio.paced import PacedMicrophone
from hal.audio.synthetic import SyntheticMicrophone
from hal.camera import VideoFormat
from hal.camera.scene import decode
from hal.camera.synthetic import SyntheticCamera
from hal.device import Device
from hal.errors import DeviceNotFound, HalError
from tests.appliance.media.conftest import level_at, until

AUDIBLE = 32768 * 10 ** (-60 / 20)


@dataclass
class Wire:
    """Every RTP packet of the peer's audio, with the time at which it left."""

    peer: Peer
    packets: list[tuple[float, RtpPacket]] = field(default_factory=list)

    def __post_init__(self) -> None:
        assert self.peer.audio_out
        ssrc = self.peer.audio_out._sender._ssrc
        self._ssrc = ssrc
        self.peer.tap = self._tap

    def _tap(self, data: bytes) -> None:
        if not is_rtcp(data):
            packet = RtpPacket.parse(data)
            if packet.ssrc == self._ssrc:
                self.packets.append((time.monotonic(), packet))

    def audible(self) -> list[bool]:
        """For each packet, whether it carries sound."""
        # Each with a decoder of its own: in one that has played sound it rings on for a packet.
        payloads = [packet.payload for _, packet in self.packets]
        peaks = [np.abs(OpusDecoder().decode(payload)).max(initial=0) for payload in payloads]
        return [bool(peak > AUDIBLE) for peak in peaks]


@pytest.fixture
async def live(pair: tuple[Peer, Peer]) -> AsyncIterator[tuple[MicCapture, Wire]]:
    caller, _ = pair
    assert caller.audio_out
    capture = MicCapture(SyntheticMicrophone(pattern="continuous"), MicGate())
    capture.attach(caller.audio_out)
    await capture.start()
    yield capture, Wire(caller)
    await capture.stop()


async def test_nothing_but_silence_leaves_before_the_first_state(
    live: tuple[MicCapture, Wire],
) -> None:
    _, wire = live
    await until(lambda: len(wire.packets) >= 20)
    assert not any(wire.audible())


async def test_an_open_gate_lets_the_tone_out(live: tuple[MicCapture, Wire]) -> None:
    capture, wire = live
    capture.gate.unmute(Party.START)
    await until(lambda: len(wire.packets) >= 60)
    decoder = OpusDecoder()
    # Packet by packet: a loaded machine may overrun the microphone, which is a step in the tone.
    heard = [decoder.decode(p.payload) for _, p in wire.packets][-25:]
    assert np.median([level_at(one, 1000) for one in heard]) == pytest.approx(-12, abs=1.5)
    assert all(wire.audible()[-25:])
    assert capture.level_dbfs == pytest.approx(-15, abs=1.5)


async def test_another_bit_rate_counts_from_the_next_packets(
    live: tuple[MicCapture, Wire],
) -> None:
    capture, wire = live
    capture.gate.unmute(Party.START)
    await until(lambda: len(wire.packets) >= 60)
    capture.bitrate = 96_000
    await until(lambda: len(wire.packets) >= 120)
    sizes = [len(packet.payload) for _, packet in wire.packets]
    # A steady tone is more than an average sound, at any rate.
    assert np.mean(sizes[-30:]) > 2 * np.mean(sizes[30:60])
    assert all(wire.audible()[20:])


async def test_after_the_gate_closed_at_most_one_packet_carries_sound(
    live: tuple[MicCapture, Wire],
) -> None:
    capture, wire = live
    for party in (Party.ROOM, Party.SOFTWARE, Party.REMOTE, Party.ROOM):
        capture.gate.unmute(Party.START)
        capture.gate.unmute(Party.ROOM)
        start = len(wire.packets)
        await until(lambda start=start: len(wire.packets) >= start + 20)  # type: ignore[misc]
        capture.gate.mute(party)
        closed = len(wire.packets)
        await until(lambda closed=closed: len(wire.packets) >= closed + 20)  # type: ignore[misc]
        audible = wire.audible()
        assert any(audible[start:closed])
        assert sum(audible[closed:]) <= 1
        assert not any(audible[closed + 1 :])


async def test_closing_from_another_thread_is_as_quick(live: tuple[MicCapture, Wire]) -> None:
    capture, wire = live
    capture.gate.unmute(Party.START)
    await until(lambda: len(wire.packets) >= 20)
    thread = threading.Thread(target=capture.gate.mute, args=(Party.WATCHDOG,))
    thread.start()
    thread.join()
    closed = len(wire.packets)
    await until(lambda: len(wire.packets) >= closed + 20)
    assert sum(wire.audible()[closed:]) <= 1


async def test_what_waits_for_a_held_up_loop_never_leaves_after_the_gate_closed(
    live: tuple[MicCapture, Wire],
) -> None:
    capture, wire = live
    capture.gate.unmute(Party.START)
    await until(lambda: len(wire.packets) >= 20)
    time.sleep(0.3)  # packets with sound come to the loop meanwhile, and wait there
    capture.gate.mute(Party.ROOM)
    closed = len(wire.packets)
    await until(lambda: len(wire.packets) >= closed + 20)
    audible = wire.audible()
    assert any(audible[:closed])
    assert not any(audible[closed + 1 :])


class _Talker(PacedMicrophone):
    """Somebody who says one thing up to `opened` (`time.monotonic`) and another after it."""

    SECRET, PUBLIC = 1000, 3000

    def __init__(self) -> None:
        super().__init__(Device("talker", "Talker", "microphone", "test"))
        self.opened = float("inf")
        self.late = 0.0
        """Seconds by which the thread comes late for the next period, as on a busy machine."""

    @classmethod
    def devices(cls) -> list[Device]:
        return []

    def sound(self, position: int, moment: int) -> Samples:
        at = (moment + np.arange(PERIOD)) / RATE
        tone = np.where(at < self.opened, self.SECRET, self.PUBLIC)
        return (12_000 * np.sin(2 * np.pi * tone * at)).astype(np.int16)

    def read(self) -> AudioFrame:
        late, self.late = self.late, 0.0
        threading.Event().wait(late)
        return super().read()

    def close(self) -> None:
        pass


@pytest.mark.parametrize("late", [0.0, 0.1])
async def test_what_was_said_before_the_opening_does_not_leave_after_it(
    pair: tuple[Peer, Peer], late: float
) -> None:
    caller, _ = pair
    assert caller.audio_out
    talker = _Talker()
    capture = MicCapture(talker, MicGate())
    capture.attach(caller.audio_out)
    wire = Wire(caller)
    await capture.start()
    await until(lambda: len(wire.packets) >= 10)
    talker.late = late
    await until(lambda: not talker.late)
    await asyncio.sleep(0.9 * late)  # what is said now waits in the card
    talker.opened = time.monotonic()
    capture.gate.unmute(Party.START)
    opened = len(wire.packets)
    await until(lambda: len(wire.packets) >= opened + 40)
    await capture.stop()
    decoder = OpusDecoder()
    sound = np.concatenate([decoder.decode(p.payload) for _, p in wire.packets])
    pieces = [sound[start : start + FRAME] for start in range(0, len(sound) - FRAME, FRAME // 2)]
    assert max(level_at(piece, talker.PUBLIC) for piece in pieces) > -15
    assert max(level_at(piece, talker.SECRET) for piece in pieces) < -35


class _Voice(_Talker):
    """The harmonics of a voice that swells and ebbs: to a steady tone Opus does other things."""

    def sound(self, position: int, moment: int) -> Samples:
        at = (position + np.arange(PERIOD)) / RATE
        voice = sum(np.sin(2 * np.pi * 120 * k * at) / k for k in range(1, 20))
        return np.asarray(voice * (1 + np.sin(2 * np.pi * 4 * at)) * 3000).astype(np.int16)


async def test_another_expected_loss_counts_from_the_next_packets(pair: tuple[Peer, Peer]) -> None:
    caller, _ = pair
    assert caller.audio_out
    capture = MicCapture(_Voice(), MicGate(), loss_percent=10)
    capture.attach(caller.audio_out)
    wire = Wire(caller)
    await capture.start()
    capture.gate.unmute(Party.START)
    await until(lambda: len(wire.packets) >= 80)
    capture.loss_percent = 0
    # So many of those that are made already may still wait for the loop, and in the outlet.
    changed = len(wire.packets) + 12
    await until(lambda: len(wire.packets) >= changed + 60)
    await capture.stop()
    # Whether a packet carries the words of the one before: see `repeats` in test_opus.
    flags = [p.payload[0] >> 3 < 16 and bool(p.payload[1] & 0x40) for _, p in wire.packets]
    assert sum(flags[20:80]) > 20
    assert not any(flags[changed:])


async def test_a_clock_that_errs_does_not_silence_a_microphone() -> None:
    class Erring(_Talker):
        @property
        def clock(self) -> CardTime:
            return CardTime(1e12, 0.0)

    capture = MicCapture(Erring(), MicGate())
    await capture.start()
    capture.gate.unmute(Party.START)
    await until(lambda: capture.level_dbfs > -30)
    await capture.stop()


async def test_time_on_the_wire_is_steady_through_mutes(live: tuple[MicCapture, Wire]) -> None:
    capture, wire = live
    capture.gate.unmute(Party.START)
    await until(lambda: len(wire.packets) >= 10)
    capture.gate.mute(Party.ROOM)
    await until(lambda: len(wire.packets) >= 20)
    capture.gate.unmute(Party.ROOM)
    await until(lambda: len(wire.packets) >= 30)
    times = np.array([p.timestamp for _, p in wire.packets], np.uint32)
    steps = np.diff(times)
    # One frame may be dropped at each change of the gate, never more.
    assert set(steps.tolist()) <= {960, 1920}
    assert (steps == 1920).sum() <= 2


@pytest.mark.parametrize("exchanged", [False, True])
async def test_in_a_pause_nothing_is_sent_and_it_is_as_long_on_the_wire_as_it_was(
    live: tuple[MicCapture, Wire], exchanged: bool
) -> None:
    capture, wire = live
    capture.gate.unmute(Party.START)
    await until(lambda: len(wire.packets) >= 30)
    await capture.suspend()
    assert capture.suspended
    await asyncio.sleep(0)
    count = len(wire.packets)
    with pytest.raises(TimeoutError):
        await until(lambda: len(wire.packets) > count, deadline=0.5)
    if exchanged:
        # An exchange opens a microphone only to see whether it can be had.
        await capture.swap(SyntheticMicrophone(pattern="continuous"))
    await capture.resume()
    await until(lambda: len(wire.packets) >= count + 20)
    assert any(wire.audible()[count:])

    def as_before() -> bool:
        """How late each packet is, by its own time, tells of the clock: the soonest does. A pause
        begins with the last packet, however late a busy machine was with that."""
        late = [at - p.timestamp / 48_000 for at, p in wire.packets]
        return min(late[:count]) - 0.1 < min(late[count:]) < late[count - 1] + 0.1

    # On such a machine none may be in time for a while.
    await until(as_before)


async def test_a_pulled_microphone_is_told_once_and_comes_back() -> None:
    microphone = SyntheticMicrophone(pattern="continuous")
    capture = MicCapture(microphone, MicGate())
    errors: list[HalError | None] = []
    capture.on_error = errors.append
    await capture.start()
    assert errors == [None]
    microphone.unplug()
    await until(lambda: len(errors) >= 2)
    assert isinstance(errors[1], HalError)
    assert capture.failed
    microphone.replug()
    await until(lambda: errors[-1] is None)
    assert not capture.failed
    await capture.stop()


async def test_stopping_ends_every_thread() -> None:
    before = set(threading.enumerate())
    mic = MicCapture(SyntheticMicrophone(), MicGate())
    camera = CameraCapture(SyntheticCamera(), CameraGate(), VideoFormat(320, 180, 30))
    for _ in range(3):
        await mic.start()
        await camera.start()
        await mic.stop()
        await camera.stop()
    left = {t.name for t in set(threading.enumerate()) - before}
    assert not left & {"MicCapture", "CameraCapture"}


async def test_pictures_leave_only_while_the_camera_gate_is_open(pair: tuple[Peer, Peer]) -> None:
    caller, callee = pair
    assert caller.video_out
    assert callee.video_in
    camera = CameraCapture(SyntheticCamera(device_id=7), CameraGate(), VideoFormat(640, 360, 30))
    receiver = VideoReceiver(callee.video_in)
    camera.attach(caller.video_out)
    await camera.start()
    with pytest.raises(TimeoutError):
        await until(lambda: receiver.frames, deadline=0.4)
    assert camera.preview is None
    camera.gate.unmute(Party.START)
    await until(lambda: receiver.frames >= 10)
    assert receiver.latest is not None
    code = decode(receiver.latest)
    assert code is not None
    assert code.camera == 7
    camera.gate.mute(Party.ROOM)
    closed_ms = time.monotonic_ns() // 1_000_000
    await until(lambda: camera.preview is None)
    await camera.stop()
    last = decode(receiver.latest)
    receiver.close()
    assert last is not None
    # Pictures carry the time at which they were drawn: none is newer than the gate's closing.
    assert (closed_ms - last.clock_ms) % 2**24 < 2**23


async def test_nothing_is_encoded_while_nobody_receives() -> None:
    camera = CameraCapture(SyntheticCamera(), CameraGate(), VideoFormat(320, 180, 30))
    camera.gate.unmute(Party.START)
    await camera.start()
    await until(lambda: camera.frames >= 5)
    encoders = dict(camera._encoders)
    await camera.stop()
    assert encoders == {}


class _Picture(NamedTuple):
    """A picture that was encoded."""

    #: Whether it was to be a keyframe, and is one.
    asked: bool
    keyframe: bool
    #: Whether it is its encoder's first, which is a keyframe anyhow.
    first: bool


class _Pictures:
    """The requests for a keyframe that reach a camera, and the pictures that it encodes, in order.

    A receiver on a busy machine asks by itself too, where it lost something.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        #: None is a request.
        log = self.log = list[_Picture | None]()

        class Noted(VideoEncoder):
            def encode(self, frame: VideoFrame, keyframe: bool = False) -> Packet[Any]:
                packet = super().encode(frame, keyframe)
                log.append(_Picture(keyframe, bool(packet.is_keyframe), self.frames == 1))
                return packet

        monkeypatch.setattr("appliance.media.capture.VideoEncoder", Noted)

    def watch(self, outlet: Outlet) -> None:
        """Note the requests that come to an outlet, from now on."""
        request = outlet.on_keyframe_request
        assert request

        def noted() -> None:
            self.log.append(None)
            request()

        outlet.on_keyframe_request = noted

    def since(self, mark: int) -> list[bool]:
        """For each picture since then, whether it is a keyframe."""
        return [entry.keyframe for entry in self.log[mark:] if entry]

    def check(self) -> None:
        """Every keyframe was asked for, and no request gave more than one."""
        open_requests = others = 0
        for entry in self.log:
            if entry is None:
                open_requests += 1
                continue
            assert entry.keyframe == (entry.asked or entry.first)
            if entry.asked:
                assert open_requests
                open_requests -= 1
                others = 0
            else:
                others += 1
            if others == 2:
                # One picture may have been under way when the request came; by now it has been
                # answered, together with those that came at the same time.
                open_requests = 0


async def test_a_keyframe_request_is_answered_by_the_next_picture(
    pair: tuple[Peer, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    caller, callee = pair
    assert caller.video_out
    assert callee.video_in
    pictures = _Pictures(monkeypatch)
    camera = CameraCapture(SyntheticCamera(), CameraGate(), VideoFormat(320, 180, 30))
    camera.gate.unmute(Party.START)
    receiver = VideoReceiver(callee.video_in)
    camera.attach(caller.video_out)
    pictures.watch(caller.video_out)
    await camera.start()
    await until(lambda: receiver.frames >= 5)
    for _ in range(3):
        mark = len(pictures.log)
        callee.video_in.request_keyframe()
        await until(lambda mark=mark: any(pictures.since(mark)))  # type: ignore[misc]
        # And no further one, unless it is asked for again.
        await until(lambda mark=mark: len(pictures.since(mark)) >= 12)  # type: ignore[misc]
    await camera.stop()
    receiver.close()
    pictures.check()


async def test_the_least_estimate_sets_the_bit_rate(pair: tuple[Peer, Peer]) -> None:
    caller, _ = pair
    assert caller.video_out
    camera = CameraCapture(SyntheticCamera(), CameraGate(), bitrate=1_000_000)
    camera.attach(caller.video_out)
    assert camera.bitrate == 1_000_000
    assert caller.video_out.on_bitrate
    caller.video_out.on_bitrate(400_000)
    assert camera.bitrate == 400_000
    caller.video_out.on_bitrate(1_000)
    assert camera.bitrate == 150_000
    camera.limit(120_000)
    camera.limit(300_000)
    assert camera.bitrate == 150_000
    camera.detach(caller.video_out)
    assert camera.bitrate == 300_000


async def test_another_microphone_takes_over_on_the_wire(
    live: tuple[MicCapture, Wire],
) -> None:
    capture, wire = live
    capture.gate.unmute(Party.START)
    await until(lambda: len(wire.packets) >= 20)
    await capture.swap(SyntheticMicrophone(device_id=2, frequency=2500, pattern="continuous"))
    assert capture.device.id == "synthetic:2"
    mark = len(wire.packets)
    await until(lambda: len(wire.packets) >= mark + 40)
    decoder = OpusDecoder()
    # Packet by packet, as above.
    heard = [decoder.decode(p.payload) for _, p in wire.packets][-25:]
    assert np.median([level_at(one, 2500) for one in heard]) == pytest.approx(-12, abs=1.5)
    before = [level_at(one, 1000) for one in heard]
    assert np.median(before) < -50
    assert max(before) < -25, "a step rings at all frequencies, but no packet is of the one before"
    # One stream for the receiver: its time only goes forward.
    times = [p.timestamp for _, p in wire.packets]
    assert all(0 < (b - a) & 0xFFFFFFFF < 48_000 * 10 for a, b in itertools.pairwise(times))


async def test_a_swap_that_fails_is_no_news_but_to_its_caller() -> None:
    first, second = SyntheticMicrophone(), SyntheticMicrophone(device_id=2)
    capture = MicCapture(first, MicGate())
    told: list[HalError | None] = []
    await capture.start()
    try:
        end = capture.observe(told.append)
        second.unplug()
        with pytest.raises(DeviceNotFound):
            await capture.swap(second)
        assert capture.device is first.device
        assert not capture.suspended
        assert not capture.failed
        assert [e for e in told if e is not None] == []
        # A broken one that is replaced is told to be well again.
        first.unplug()
        await until(lambda: capture.failed)
        second.replug()
        await capture.swap(second)
        assert told[-1] is None
        assert capture.error is None
        end()
        count = len(told)
        second.unplug()
        await until(lambda: capture.failed)
        assert len(told) == count
    finally:
        await capture.stop()


async def test_a_cancelled_swap_leaves_the_device_before() -> None:
    class Slow(SyntheticCamera):
        opening = threading.Event()
        proceed = threading.Event()

        def open(self, wanted: VideoFormat) -> VideoFormat:
            self.opening.set()
            assert self.proceed.wait(20)
            return super().open(wanted)

    camera, slow = SyntheticCamera(), Slow(device_id=2)
    capture = CameraCapture(camera, CameraGate(), VideoFormat(64, 36, 10))
    await capture.start()
    try:
        swap = asyncio.create_task(capture.swap(slow, VideoFormat(128, 72, 10)))
        await asyncio.to_thread(slow.opening.wait, 20)
        swap.cancel()
        await asyncio.sleep(0)
        slow.proceed.set()
        with pytest.raises(asyncio.CancelledError):
            await swap
        assert capture.device is camera.device
        assert capture.wanted == VideoFormat(64, 36, 10)
        assert not capture.suspended
    finally:
        await capture.stop()


async def test_a_resting_capture_rests_after_a_swap() -> None:
    capture = CameraCapture(SyntheticCamera(), CameraGate(), VideoFormat(64, 36, 10))
    await capture.start()
    await capture.suspend()
    await capture.swap(SyntheticCamera(device_id=2), VideoFormat(128, 72, 10))
    assert capture.suspended
    assert capture.format == VideoFormat(128, 72, 10)
    await capture.stop()


async def test_another_gate_is_the_only_one_that_counts(live: tuple[MicCapture, Wire]) -> None:
    capture, wire = live
    before, after = capture.gate, MicGate()
    before.unmute(Party.START)
    await until(lambda: len(wire.packets) >= 20)
    await capture.take_gate(after)
    mark = len(wire.packets)
    await until(lambda: len(wire.packets) >= mark + 20)
    assert capture.gate is after
    # One that passed the open gate before may be on its way still.
    assert sum(wire.audible()[mark:]) <= 1
    after.unmute(Party.START)
    before.mute(Party.ROOM)
    mark = len(wire.packets)
    await until(lambda: len(wire.packets) >= mark + 20)
    assert any(wire.audible()[mark:])
    # Closing the new one still takes effect on the very next frame.
    after.mute(Party.ROOM)
    mark = len(wire.packets)
    await until(lambda: len(wire.packets) >= mark + 20)
    assert sum(wire.audible()[mark:]) <= 1


class _Faulty(SyntheticMicrophone):
    """A driver with a bug: its third read fails with what no driver should raise."""

    reads = 0

    def read(self) -> AudioFrame:
        _Faulty.reads += 1
        if _Faulty.reads == 3:
            raise OSError(5, "Input/output error")
        return super().read()


async def test_a_drivers_bug_is_told_and_the_device_comes_back() -> None:
    capture = MicCapture(_Faulty(), MicGate())
    errors: list[HalError | None] = []
    capture.on_error = errors.append
    await capture.start()
    await until(lambda: len(errors) >= 3)
    await capture.stop()
    assert errors[0] is None
    assert "Input/output error" in str(errors[1])
    assert errors[2] is None


class _Slow(SyntheticMicrophone):
    """A read that takes its time, and a count of how many threads are in the device."""

    inside = 0
    most = 0

    def open(self) -> None:
        _Slow.inside += 1
        _Slow.most = max(_Slow.most, _Slow.inside)
        super().open()

    def read(self) -> AudioFrame:
        threading.Event().wait(0.2)
        return super().read()

    def close(self) -> None:
        super().close()
        _Slow.inside -= 1


async def test_a_suspend_that_is_cut_short_never_leaves_two_threads_on_a_device() -> None:
    capture = MicCapture(_Slow(), MicGate())
    await capture.start()
    suspending = asyncio.ensure_future(capture.suspend())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    suspending.cancel()
    await asyncio.gather(suspending, return_exceptions=True)
    await capture.resume()
    await capture.stop()
    assert _Slow.most == 1
    assert _Slow.inside == 0


class _Encoding(SyntheticCamera):
    """A camera that encodes by itself while it is asked to."""

    def __init__(self) -> None:
        super().__init__(device_id=9)
        self.asked: list[bool] = []
        self.rates: list[int] = []
        self._newest: VideoFrame | None = None
        self._codec: VideoEncoder | None = None

    def set_encoding(self, wanted: bool) -> None:
        self.asked.append(wanted)
        self._codec = VideoEncoder("h264", 320, 180) if wanted else None

    def set_bitrate(self, bps: int) -> None:
        self.rates.append(bps)

    @property
    def preview(self) -> VideoFrame | None:
        return self._newest

    def read(self) -> VideoFrame | Packet[Any]:
        frame = super().read()
        self._newest = frame
        return frame if self._codec is None else self._codec.encode(frame)


async def test_a_camera_that_encodes_does_so_only_for_receivers_and_shows_itself(
    pair: tuple[Peer, Peer],
) -> None:
    caller, callee = pair
    assert caller.video_out
    assert callee.video_in
    device = _Encoding()
    camera = CameraCapture(device, CameraGate(), VideoFormat(320, 180, 30), 900_000)
    camera.gate.unmute(Party.START)
    await camera.start()
    await until(lambda: camera.preview is not None)
    assert device.asked == [False]
    assert device.rates == [900_000]
    receiver = VideoReceiver(callee.video_in)
    camera.attach(caller.video_out)
    await until(lambda: receiver.frames >= 5)
    assert device.asked == [False, True]
    assert camera._encoders.keys() <= {"h264"}
    assert receiver.latest is not None
    code = decode(receiver.latest)
    assert code is not None
    assert code.camera == 9
    assert camera.preview is not None
    camera.gate.mute(Party.ROOM)
    await until(lambda: device.asked == [False, True, False])
    await camera.stop()
    receiver.close()
