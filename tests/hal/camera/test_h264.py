from __future__ import annotations

from av import VideoFrame

from hal.camera import VideoFormat
from hal.camera.h264 import IDR, PPS, SPS, ParameterSets, nal_units
from hal.camera.x264 import X264

START = b"\x00\x00\x00\x01"
SPS_UNIT, PPS_UNIT = b"\x67\x42\xc0\x1f", b"\x68\xce\x3c\x80"
IDR_UNIT, SLICE_UNIT, SEI_UNIT, AUD_UNIT = (
    b"\x65\x88\x80",
    b"\x41\x9a\x20",
    b"\x06\x05",
    b"\x09\x10",
)


def unit(*units: bytes) -> bytes:
    return b"".join(START + one for one in units)


def test_units_with_long_and_short_start_codes() -> None:
    data = START + SPS_UNIT + b"\x00\x00\x01" + PPS_UNIT + START + IDR_UNIT
    assert list(nal_units(data)) == [(SPS, SPS_UNIT), (PPS, PPS_UNIT), (IDR, IDR_UNIT)]
    assert list(nal_units(b"no start code")) == []
    assert list(nal_units(START)) == []


def test_a_keyframe_with_its_sets_is_left_alone() -> None:
    data = unit(AUD_UNIT, SPS_UNIT, PPS_UNIT, SEI_UNIT, IDR_UNIT)
    assert ParameterSets().complete(data) == (data, True)


def test_the_last_sets_are_put_before_a_keyframe_without() -> None:
    sets = ParameterSets()
    other = b"\x67\x4d\x00\x28"
    assert sets.complete(unit(SPS_UNIT, PPS_UNIT))[1] is False, "a buffer of their own"
    assert sets.complete(unit(SLICE_UNIT)) == (unit(SLICE_UNIT), False)
    assert sets.complete(unit(IDR_UNIT)) == (unit(SPS_UNIT, PPS_UNIT, IDR_UNIT), True)
    sets.complete(unit(other, PPS_UNIT, IDR_UNIT))
    assert sets.complete(unit(IDR_UNIT)) == (unit(other, PPS_UNIT, IDR_UNIT), True)


def test_a_keyframe_whose_sets_nobody_knows() -> None:
    assert ParameterSets().complete(unit(IDR_UNIT)) == (unit(IDR_UNIT), True)


def test_what_x264_writes_is_understood() -> None:
    codec = X264(VideoFormat(64, 64), 200_000, 1)
    found = []
    for number in range(3):
        frame = VideoFrame(64, 64, "yuv420p")
        frame.pts = number * 33_333
        packet = codec.encode(frame, keyframe=number == 2)
        found.append(ParameterSets().complete(bytes(packet))[1])
        assert found[-1] == packet.is_keyframe
    assert found == [True, False, True]
