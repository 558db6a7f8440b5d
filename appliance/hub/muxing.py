"""The pictures and the sound of a room, written into a container.

The pictures pass as they were encoded for the members; only the sound is encoded here. No threads
and no clock in here: every item brings its time.
"""

from __future__ import annotations

import io
from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import av
import numpy as np
from av import AudioCodecContext, AudioFrame, Packet
from av.codec.context import Flags
from av.container import OutputContainer
from av.stream import Stream
from numpy.typing import NDArray

from appliance.media.opus import RATE

if TYPE_CHECKING:
    # At run time this module does without WebRTC: a publisher's process need not load it.
    from appliance.hub.tap import Samples

AUDIO_BITRATE: Final = 96_000
"""Bits a second of AAC: transparent for speech, good for the music of a film."""

CONTAINER_OPTIONS: Final = {
    # Written out at once: what waits in a buffer is lost when the process is killed.
    "flush_packets": "1",
    # Microseconds that one stream waits for the other before it is written without it.
    "max_interleave_delta": "1000000",
}

_AAC_FRAME: Final = 1024

_SLACK: Final = RATE // 1000
"""Samples by which a piece of sound may be off and still follows the last one as it is."""

_SOUND_LATE: Final = 1.0
"""Seconds by which sound may lag behind the pictures before silence takes its place."""

_PREROLL: Final = 50
"""Pieces of sound (1 s) that are kept until the keyframe arrives that belongs to them: a
picture takes longer than the sound of its moment."""

_VIDEO_TIME: Final = Fraction(1, 90_000)
_AUDIO_TIME: Final = Fraction(1, RATE)


class Muxer:
    """Writes one container: H.264 as it comes, and sound as AAC.

    Time in the container begins with the first keyframe and has no gaps: a `pause` cuts out what
    lies between it and the next keyframe. Raises FFmpegError, or the OSError of a file object,
    when something cannot be written; then nothing but `abandon` is of use.
    """

    def __init__(self, container: OutputContainer, rate: float) -> None:
        """`rate` in pictures a second, for players that ask; every picture has its own time."""
        self._container = container
        self._rate = rate
        self._video: Stream | None = None
        self._sound: _AacTrack | None = None
        # What to subtract from an item's time; None while waiting for a keyframe.
        self._zero: float | None = None
        self._end = 0.0
        self._held: Packet[Any] | None = None
        self._preroll: deque[tuple[float, Samples]] = deque(maxlen=_PREROLL)

    @property
    def duration(self) -> float:
        """Seconds written, up to the newest picture."""
        if self._zero is None or self._held is None or self._held.pts is None:
            return self._end
        return float(self._held.pts * _VIDEO_TIME)

    @property
    def started(self) -> bool:
        """Whether there was a keyframe."""
        return self._video is not None

    def picture(self, at: float, data: bytes, keyframe: bool) -> None:
        """Write one frame (Annex B) of the time `at`, in seconds of any steady clock.

        Ignored before the first keyframe, and after a pause before the next.
        """
        waiting = self._zero is None
        if waiting:
            if not keyframe:
                return
            if self._video is None:
                self._open(data)
            self._zero = at - self._end
        assert self._video is not None
        assert self._zero is not None
        now = at - self._zero
        pts = round(now / _VIDEO_TIME)
        if self._held is not None and self._held.pts is not None:
            pts = max(pts, self._held.pts + 1)
            self._release(pts)
        packet: Packet[Any] = Packet(data)
        packet.stream = self._video
        packet.time_base = _VIDEO_TIME
        packet.pts = packet.dts = pts
        packet.is_keyframe = keyframe
        # Written when the next one tells how long this one is seen.
        self._held = packet
        if waiting:
            for then, samples in self._preroll:
                self.sound(then, samples)
            self._preroll.clear()
        self._fill(now - _SOUND_LATE)

    def sound(self, at: float, samples: Samples) -> None:
        """Write a piece of sound that begins at `at`.

        Silence fills what is missing before it; what lies before the newest sound is left out.
        """
        if self._zero is None or self._sound is None:
            self._preroll.append((at, samples))
            return
        start = round((at - self._zero) * RATE)
        missing = start - self._sound.written
        if missing > _SLACK:
            self._fill(at - self._zero)
        elif missing < -_SLACK:
            samples = samples[-missing:]
        if samples.size:
            self._mux(self._sound.feed(samples))

    def pause(self, at: float) -> None:
        """Leave out what comes after `at`, up to the next keyframe."""
        self._preroll.clear()
        if self._zero is None or self._sound is None:
            return
        end = max(at - self._zero, self._sound.written / RATE)
        if self._held is not None and self._held.pts is not None:
            end = max(end, float((self._held.pts + 1) * _VIDEO_TIME))
        self._fill(end)
        self._release(round(end / _VIDEO_TIME))
        self._end, self._zero = end, None

    def close(self, at: float) -> None:
        """Write the last picture, which is seen until `at`, and the end of the container."""
        self.pause(at)
        if self._sound is not None:
            self._mux(self._sound.finish())
        self._container.close()

    def _open(self, keyframe: bytes) -> None:
        """Lay out the container for pictures such as this one."""
        options = {"framerate": f"{self._rate:g}"}
        # The demuxer reads the parameter sets, of which the streams' headers are made.
        with av.open(io.BytesIO(keyframe), format="h264", options=options) as source:
            template = source.streams.video[0]
            self._video = self._container.add_stream_from_template(template, opaque=True)
        self._video.time_base = _VIDEO_TIME
        self._sound = _AacTrack(self._container)
        self._container.start_encoding()

    def _release(self, until: int) -> None:
        """Write the picture that was held back, seen until this time."""
        packet, self._held = self._held, None
        if packet is not None and packet.pts is not None:
            packet.duration = until - packet.pts
            self._container.mux_one(packet)

    def _fill(self, until: float) -> None:
        """Silence up to this second of the container, if there is no sound up to it."""
        assert self._sound is not None
        while (missing := round(until * RATE) - self._sound.written) > 0:
            # Bit by bit: a gap may be long.
            self._mux(self._sound.feed(np.zeros(min(missing, RATE), np.int16)))

    def _mux(self, packets: list[Packet[Any]]) -> None:
        for packet in packets:
            self._container.mux_one(packet)


class _AacTrack:
    """The stream of the sound in a container."""

    def __init__(self, container: OutputContainer) -> None:
        self.written = 0
        """Samples taken."""
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        context: AudioCodecContext = stream.codec_context
        context.bit_rate = AUDIO_BITRATE
        context.time_base = _AUDIO_TIME
        # In the header, also where the container does not ask for it itself.
        context.flags |= Flags.global_header
        self._stream = stream
        self._waiting: NDArray[np.int16] = np.zeros(0, np.int16)
        self._encoded = 0

    def feed(self, samples: Samples) -> list[Packet[Any]]:
        """The packets that these samples complete."""
        self.written += samples.size
        waiting = np.concatenate((self._waiting, samples))
        packets: list[Packet[Any]] = []
        while waiting.size >= _AAC_FRAME:
            packets += self._encode(waiting[:_AAC_FRAME])
            waiting = waiting[_AAC_FRAME:]
        self._waiting = waiting
        return packets

    def finish(self) -> list[Packet[Any]]:
        """The packets that are left."""
        packets = self.feed(np.zeros(-self._waiting.size % _AAC_FRAME, np.int16))
        return packets + self._heard(self._stream.encode(None))

    def _encode(self, samples: Samples) -> list[Packet[Any]]:
        planar = (samples.astype(np.float32) / 32768).reshape(1, _AAC_FRAME)
        frame = AudioFrame.from_ndarray(planar, format="fltp", layout="mono")
        frame.sample_rate = RATE
        frame.time_base = _AUDIO_TIME
        frame.pts = self._encoded
        self._encoded += _AAC_FRAME
        return self._heard(self._stream.encode(frame))

    @staticmethod
    def _heard(packets: list[Packet[Any]]) -> list[Packet[Any]]:
        # The encoder's run-up lies before the beginning. Left out, both streams begin at 0 in
        # every container, and no player has to know of it.
        return [packet for packet in packets if packet.pts is not None and packet.pts >= 0]
