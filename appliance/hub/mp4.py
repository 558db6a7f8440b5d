"""MP4 files that were cut off: finding what is whole, and making it a plain file again."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import av
from av.container import InputContainer
from av.error import FFmpegError

SPARE: Final = 64 << 20
"""Bytes that stay free on the disk: for the database, logs, and the end of a recording."""

_FRAGMENT: Final = re.compile(rb"moof.{4}mfhd", re.DOTALL)
"""How each begins: a box whose first one, behind its length, is the fragment's header."""

_TOLERANCE: Final = 0.1
"""Seconds by which the same film may be shorter in another form, by how its last picture counts."""


@dataclass(frozen=True, slots=True)
class _Box:
    kind: bytes
    start: int
    end: int


def finish_interrupted(path: Path) -> float:
    """Repair a recording whose writing was cut off; returns its seconds.

    What is not whole at its end is cut away, then its fragments are joined to a plain MP4,
    which replaces it; on a disk too full for both it stays in fragments, which plays as well. So it
    does where joining would cost some of what plays. 0.0 is returned for a file in which nothing
    plays. A whole file stays as it is. Takes its time with a long recording: not for the loop.
    Raises OSError for a file that cannot be read or changed.
    """
    fragments = _cut(path)
    seconds = _duration(path)
    if not fragments or not seconds:
        return seconds
    if shutil.disk_usage(path.parent).free < path.stat().st_size + SPARE:
        return seconds
    joined = path.with_name(f"{path.name}.joined")
    try:
        _join(path, joined)
        if _duration(joined) > seconds - _TOLERANCE:
            joined.replace(path)
    except (OSError, FFmpegError, ValueError):
        # PyAV's ValueError is of a stream that nobody knows any more.
        pass
    # Where it has not replaced the fragments, they are still there, and play.
    with contextlib.suppress(OSError):
        joined.unlink(missing_ok=True)
    return _duration(path)


def _cut(path: Path) -> bool:
    """Cut off what is not whole at the end. Returns whether the file is one of fragments.

    Where fragments follow, it is damage and no end: all of it stays, for what can still be read.
    """
    keep = end = 0
    fragments = False
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        for box in _boxes(file, size):
            end = box.start
            if box.end > size:
                break
            end = box.end
            # The index of a fragment is of no use without its data.
            if box.kind == b"moof":
                fragments = True
            else:
                keep = box.end
        if keep < size:
            if _has_fragment(file, end + 8):
                return True
            file.truncate(keep)
            os.fsync(file.fileno())
    return fragments


def _has_fragment(file: BinaryIO, start: int) -> bool:
    """Whether one begins anywhere from there on, in a box or not."""
    file.seek(start)
    before = b""
    while data := file.read(1 << 20):
        if _FRAGMENT.search(before + data):
            return True
        before = data[-12:]
    return False


def _boxes(file: BinaryIO, size: int) -> Iterator[_Box]:
    """The boxes of the top level; the last one may end beyond the end of the file."""
    start = 0
    while start + 8 <= size:
        file.seek(start)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:
            # The length did not fit, and follows. Cut off, it counts as endless.
            more = file.read(8)
            length = struct.unpack(">Q", more)[0] if len(more) == 8 else size + 1
        if length < 8:
            # No box begins like this: what the disk made of the last block.
            return
        yield _Box(kind, start, start + length)
        start += length


def _duration(path: Path) -> float:
    """Seconds that can be played, 0.0 of a file without any."""
    try:
        with _read(path) as container:
            return (container.duration or 0) / 1_000_000
    except FFmpegError:
        return 0.0


def _read(path: Path) -> InputContainer:
    """The file, whatever bytes stand where its texts should be. Raises FFmpegError."""
    return av.open(str(path), format="mp4", metadata_errors="replace")


def _join(path: Path, joined: Path) -> None:
    with _read(path) as source, av.open(str(joined), "w", format="mp4") as out:
        streams = {
            stream.index: out.add_stream_from_template(stream, opaque=True)
            for stream in (*source.streams.video, *source.streams.audio)
        }
        for packet in source.demux():
            # The last ones are empty, to flush decoders.
            if packet.dts is not None and packet.stream_index in streams:
                packet.stream = streams[packet.stream_index]
                out.mux_one(packet)
    with joined.open("rb") as file:
        os.fsync(file.fileno())
