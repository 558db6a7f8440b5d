"""H.264 as cameras give it: Annex B, one access unit a packet (ITU-T H.264, annex B and 7.3.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

IDR: Final = 5
SPS: Final = 7
PPS: Final = 8

_START: Final = b"\x00\x00\x01"


def nal_units(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The NAL units of an access unit: the type of each, and its bytes without start code."""
    begin = data.find(_START)
    while begin >= 0:
        begin += len(_START)
        end = data.find(_START, begin)
        # The zero of a four-byte start code, and trailing zeros, belong to no unit.
        unit = (data[begin:] if end < 0 else data[begin:end]).rstrip(b"\x00")
        if unit:
            yield unit[0] & 0x1F, unit
        begin = end


class ParameterSets:
    """Makes each keyframe one that a decoder can begin with.

    Some encoders send SPS and PPS once, or in a buffer of their own: the last ones are
    remembered, and put before a keyframe that comes without.
    """

    def __init__(self) -> None:
        self._sps = b""
        self._pps = b""

    def complete(self, data: bytes) -> tuple[bytes, bool]:
        """An access unit, with its parameter sets where it is a keyframe; and whether it is."""
        sps = pps = b""
        keyframe = False
        for kind, unit in nal_units(data):
            if kind == SPS:
                sps = unit
            elif kind == PPS:
                pps = unit
            elif kind == IDR:
                keyframe = True
                break
            elif kind < IDR:
                break  # a slice: only more slices follow
        self._sps, self._pps = sps or self._sps, pps or self._pps
        if not keyframe or (sps and pps) or not (self._sps and self._pps):
            return data, keyframe
        heads = (self._sps, self._pps)
        return b"".join(b"\x00" + _START + head for head in heads) + data, True
