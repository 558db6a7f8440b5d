"""The jitter buffers, fed packet by packet."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from appliance.media.jitter import AudioJitterBuffer, FrameAssembler, Unwrapper, VideoUnit
from appliance.media.packet import MediaPacket

KEY = b"\x00\x00\x00\x01\x67\x42\x00\x00\x00\x01\x65"
DELTA = b"\x00\x00\x00\x01\x41"


def frame(number: int, *, key: bool = False, parts: int = 3, first: int = 0) -> list[MediaPacket]:
    """One picture in `parts` packets; numbers wrap as on the wire."""
    return [
        MediaPacket(
            "h264",
            (first + number * parts + part) % 65536,
            number * 3000 % 2**32,
            part == parts - 1,
            (KEY if key else DELTA) + bytes([number % 256]) if part == 0 else bytes([part]),
            number / 30,
        )
        for part in range(parts)
    ]


def push_all(assembler: FrameAssembler, packets: list[MediaPacket]) -> list[VideoUnit]:
    return [unit for packet in packets for unit in assembler.push(packet)]


@given(st.lists(st.integers(-30_000, 30_000), max_size=50), st.integers(0, 65535))
def test_unwrapping_follows_any_walk(steps: list[int], start: int) -> None:
    unwrap, value = Unwrapper(16), start
    assert unwrap(start) == start
    for step in steps:
        value += step
        assert unwrap(value % 65536) == value


def test_audio_leaves_in_order_across_the_wrap() -> None:
    buffer = AudioJitterBuffer()
    base = 2**32 - 2 * 960
    for index in (1, 0, 3, 2, 4):
        buffer.push((base + index * 960) % 2**32, bytes([index]), index * 0.02)
    out = []
    while (packet := buffer.pop()) is not None:
        out.append(packet.data[0])
    assert out == [0, 1, 2, 3, 4]


def test_late_audio_is_dropped_and_counted() -> None:
    buffer = AudioJitterBuffer()
    buffer.push(960, b"b", 0.02)
    assert buffer.pop() is not None
    buffer.push(0, b"a", 0.03)
    assert buffer.pop() is None
    assert buffer.late == 1


def test_the_target_rises_with_jitter_and_falls_when_it_is_over() -> None:
    buffer = AudioJitterBuffer()
    for index in range(50):
        buffer.push(index * 960, b"", index * 0.02)
    calm = buffer.target
    for index in range(50, 60):
        buffer.push(index * 960, b"", index * 0.02 + 0.1)
    assert calm <= 0.030
    assert buffer.target >= 0.1
    for index in range(60, 260):
        buffer.push(index * 960, b"", index * 0.02)
    assert buffer.target <= 0.030


def test_a_sender_that_starts_again_is_heard() -> None:
    buffer = AudioJitterBuffer()
    buffer.push(100 * 48_000, b"old", 0.0)
    buffer.pop()
    buffer.push(1000, b"new", 1.0)
    packet = buffer.pop()
    assert packet is not None
    assert packet.data == b"new"


def test_a_picture_leaves_with_its_marker_not_with_the_next_picture() -> None:
    assembler = FrameAssembler()
    packets = frame(0, key=True)
    assert push_all(assembler, packets[:-1]) == []
    (unit,) = assembler.push(packets[-1])
    assert unit.keyframe
    assert unit.data == KEY + b"\x00" + b"\x01\x02"


def test_nothing_leaves_before_a_keyframe() -> None:
    assembler = FrameAssembler()
    assert push_all(assembler, frame(0) + frame(1)) == []
    assert assembler.waits_for_keyframe
    assert [u.timestamp for u in push_all(assembler, frame(2, key=True) + frame(3))] == [6000, 9000]


@given(st.randoms(use_true_random=False), st.integers(0, 65535))
def test_any_order_within_reach_gives_the_same_pictures(rng: random.Random, first: int) -> None:
    assembler = FrameAssembler()
    units = push_all(assembler, frame(0, key=True, first=first))
    rest = [p for number in range(1, 12) for p in frame(number, first=first)]
    rng.shuffle(rest)
    units += push_all(assembler, rest)
    assert [u.timestamp for u in units] == [n * 3000 for n in range(12)]
    assert all(u.follows for u in units[1:])


def test_a_hole_holds_the_rest_back_until_it_is_filled() -> None:
    assembler = FrameAssembler()
    push_all(assembler, frame(0, key=True))
    lost, *others = frame(1)
    assert push_all(assembler, others + frame(2)) == []
    assert assembler.overdue(1.0) > 0
    assert [u.timestamp for u in assembler.push(lost)] == [3000, 6000]
    assert assembler.overdue(2.0) == 0


def test_a_hole_given_up_needs_a_keyframe() -> None:
    assembler = FrameAssembler()
    push_all(assembler, frame(0, key=True))
    push_all(assembler, frame(1)[1:])
    assembler.skip()
    assert push_all(assembler, frame(2) + frame(3)) == []
    (unit,) = push_all(assembler, frame(4, key=True))
    assert unit.keyframe
    assert not unit.follows


def test_the_rest_of_a_keyframe_whose_beginning_was_missed_is_not_one() -> None:
    assembler = FrameAssembler()
    first, *rest = frame(0, key=True)
    second_slice = MediaPacket(
        "h264", first.sequence + 1, first.timestamp, False, b"\x00\x00\x00\x01\x65\x01", 0.0
    )
    assert push_all(assembler, [second_slice, rest[1]]) == []
    assert assembler.waits_for_keyframe


def test_memory_is_bounded_by_an_endless_hole() -> None:
    assembler = FrameAssembler()
    push_all(assembler, frame(0, key=True))
    for number in range(1, 2000):
        push_all(assembler, frame(number)[1:])
    assert len(assembler._packets) <= 513


def test_audio_that_nobody_takes_is_bounded_and_the_newest_stays() -> None:
    buffer = AudioJitterBuffer()
    for index in range(5000):
        buffer.push(index * 960, b"", index * 0.0001)
    assert len(buffer) <= 50
    assert buffer.tail == 4999 * 960


@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=300))
def test_the_target_covers_the_spread_of_the_window(delays: list[float]) -> None:
    buffer = AudioJitterBuffer()
    arrivals: list[tuple[float, float]] = []
    latest = 0.0
    for index, delay in enumerate(delays):
        latest = max(latest, index * 0.02 + delay)
        buffer.push(index * 960, b"", latest)
        arrivals.append((latest, latest - index * 0.02))
        recent = [transit for at, transit in arrivals if latest - at <= 3.0]
        wanted = max(recent) - min(recent) + 0.01
        assert abs(buffer.target - min(max(0.02, wanted), 0.3)) < 1e-6
