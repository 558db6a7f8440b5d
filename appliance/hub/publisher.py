"""The process that sends one stream out by RTMP.

FFmpeg connects, resolves and says goodbye while it holds Python's global lock, and may wait for
minutes in each: in the hub's own process, one dead target would freeze every room. Here it freezes
nothing but itself, and is ended by an alarm of the kernel's.

Standard input brings one line of JSON, the `Order`, then packets as `pack` makes them; its end is
the end of the stream, in the midst of a packet too. Standard output gets one line of JSON for each
`News`.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
from dataclasses import asdict, dataclass, field
from typing import BinaryIO, Final, Literal

import av
import numpy as np
from av.error import FFmpegError

from appliance.hub.muxing import CONTAINER_OPTIONS, Muxer

PATIENCE: Final = 15
"""Seconds that the target may take for anything before the process ends itself."""

_HEAD: Final = struct.Struct(">cdI")

Kind = Literal["keyframe", "picture", "sound"]

_KINDS: Final[dict[bytes, Kind]] = {b"K": "keyframe", b"P": "picture", b"S": "sound"}
_CODES: Final = {kind: code for code, kind in _KINDS.items()}


@dataclass(frozen=True, slots=True)
class Order:
    """What to do: it goes by a pipe, for others can read a command line."""

    url: str = field(repr=False)
    rate: float
    """Pictures a second."""
    options: dict[str, str] = field(default_factory=dict)
    """For FFmpeg's protocols."""


@dataclass(frozen=True, slots=True)
class News:
    """The target takes the stream, or why it does not any more."""

    up: bool
    reason: str = ""


def pack(kind: Kind, at: float, data: bytes) -> bytes:
    """One packet of the pipe: H.264 (Annex B), or 16 bit samples."""
    return _HEAD.pack(_CODES[kind], at, len(data)) + data


def main() -> int:
    """Send until the input ends. Returns the exit status."""
    source = sys.stdin.buffer
    order = Order(**json.loads(source.readline()))
    av.logging.set_level(av.logging.ERROR)
    with av.logging.Capture() as said:
        try:
            _publish(order, source)
        except (FFmpegError, OSError) as error:
            _tell(News(False, _reason(error, [line for _, _, line in said])))
            return 1
        except Exception as error:
            _tell(News(False, f"unexpected: {error!r}"))
            return 1
    return 0


def _publish(order: Order, source: BinaryIO) -> None:
    options = {"f": "flv", "flvflags": "no_duration_filesize", **order.options}
    # Through the tee, for it is the only way on which options reach the protocols.
    head = ":".join(f"{name}={_escaped(value, ':]')}" for name, value in options.items())
    name = _escaped(f"[{head}]{order.url}", "|")
    container = av.open(name, "w", format="tee", container_options=CONTAINER_OPTIONS)
    muxer = Muxer(container, order.rate)
    at, up = 0.0, False
    while True:
        # Not caught by anybody: it ends the process wherever it hangs.
        signal.alarm(PATIENCE)
        head_of_next = source.read(_HEAD.size)
        if len(head_of_next) < _HEAD.size:
            break
        code, at, size = _HEAD.unpack(head_of_next)
        data = source.read(size)
        if len(data) < size:
            break  # a hub that was killed has left half a packet
        kind = _KINDS[code]
        if kind == "sound":
            muxer.sound(at, np.frombuffer(data, np.int16))
        else:
            muxer.picture(at, data, kind == "keyframe")
        if muxer.started and not up:
            up = True
            _tell(News(True))
    muxer.close(at)


def _escaped(text: str, special: str) -> str:
    return "".join(f"\\{sign}" if sign in f"\\'{special}" else sign for sign in text)


def _tell(news: News) -> None:
    line = json.dumps(asdict(news)) + "\n"
    # Nobody may be there to read it any more.
    try:
        os.write(sys.stdout.fileno(), line.encode())
    except BrokenPipeError:
        return


def _reason(error: Exception, said: list[str]) -> str:
    """The first thing that FFmpeg said is the cause; all else follows from it.

    But for what the tee said: it only tells that there was one.
    """
    text = next((line.strip() for line in said if line.strip()), "")
    if not text or text.startswith(("Slave", "All tee outputs")):
        text = (error.strerror if isinstance(error, OSError | FFmpegError) else "") or str(error)
    return " ".join(text.split())


if __name__ == "__main__":
    sys.exit(main())
