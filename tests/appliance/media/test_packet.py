"""Cutting frames into RTP payloads."""

from __future__ import annotations

from fractions import Fraction

import pytest
from aiortc.codecs.h264 import h264_depayload
from aiortc.codecs.vpx import vp8_depayload
from av import Packet
from hypothesis import given
from hypothesis import strategies as st

from appliance.media.errors import CodecError
from appliance.media.packet import PAYLOAD_MAX, packetize


def packet(data: bytes, pts: int = 0, time_base: Fraction = Fraction(1, 90_000)) -> Packet:
    made = Packet(data)
    made.pts = made.dts = pts
    made.time_base = time_base
    return made


def test_time_is_in_ticks_of_the_codec() -> None:
    assert (
        packetize(packet(b"\x00\x00\x01\x65abc", 1500, Fraction(1, 1000)), "h264").timestamp
        == 135_000
    )
    assert packetize(packet(b"abc", 960, Fraction(1, 48_000)), "opus").timestamp == 960


def test_a_frame_without_time_is_refused() -> None:
    with pytest.raises(CodecError, match="time"):
        packetize(Packet(b"abc"), "opus")


@given(
    st.lists(
        st.binary(min_size=2, max_size=4000).filter(lambda b: b"\x00\x00" not in b and b[-1]),
        min_size=1,
        max_size=4,
    )
)
def test_h264_units_come_back_whole(bodies: list[bytes]) -> None:
    units = [bytes([0x65]) + body for body in bodies]
    access = b"".join(b"\x00\x00\x00\x01" + unit for unit in units)
    payloads = packetize(packet(access), "h264").payloads
    assert all(len(p) <= 1300 for p in payloads)
    assert b"".join(h264_depayload(p) for p in payloads) == access


@given(st.binary(min_size=1, max_size=6000))
def test_vp8_frames_come_back_whole(frame: bytes) -> None:
    payloads = packetize(packet(frame), "vp8").payloads
    assert all(len(p) <= PAYLOAD_MAX for p in payloads)
    assert [bool(p[0] & 0x10) for p in payloads] == [True] + [False] * (len(payloads) - 1)
    assert b"".join(vp8_depayload(p) for p in payloads) == frame
