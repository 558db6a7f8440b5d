from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from av import CodecContext, VideoFrame
from av.video.frame import PictureType

from hal.camera import VideoFormat
from hal.camera.scene import Scene, decode
from hal.camera.x264 import X264
from hal.errors import FormatUnsupported

SIZE = VideoFormat(640, 360, 30)


def picture(number: int) -> VideoFrame:
    frame = Scene(5, SIZE.width, SIZE.height).draw(number, 0)
    frame.pts = number * 33_333
    frame.time_base = Fraction(1, 1_000_000)
    return frame


@pytest.mark.parametrize("threads", [1, 4])
def test_one_packet_for_each_picture_at_once(threads: int) -> None:
    codec = X264(SIZE, 2_000_000, threads)
    screen: Any = CodecContext.create("h264", "r")
    screen.options = {"flags": "low_delay"}
    shown = []
    for number in range(8):
        packet = codec.encode(picture(number), keyframe=False)
        assert packet.pts == number * 33_333
        assert packet.is_keyframe == (number == 0)
        shown += [decode(one) for one in screen.decode(packet)]
    shown += [decode(one) for one in screen.decode(None)]
    assert [code.frame for code in shown if code] == list(range(8))


def test_frame_threads_would_hold_pictures_back() -> None:
    # What this codec is set up against: if FFmpeg stops doing so, the set-up can go.
    codec: Any = CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = SIZE.width, SIZE.height, "yuv420p"
    codec.time_base = Fraction(1, 1_000_000)
    codec.thread_count, codec.thread_type = 4, "FRAME"
    codec.options = {"preset": "ultrafast", "tune": "zerolatency"}
    counts = []
    for number in range(6):
        frame = picture(number)
        frame.pict_type = PictureType.NONE
        counts.append(len(codec.encode(frame)))
    assert counts[:3] == [0, 0, 0]


def test_keyframes_on_demand_alone() -> None:
    codec = X264(VideoFormat(64, 64, 30), 500_000, 1)
    frames = []
    for number in range(300):
        frame = VideoFrame(64, 64, "yuv420p")
        frame.pts = number * 33_333
        frames.append(codec.encode(frame, keyframe=number == 290).is_keyframe)
    assert [number for number, key in enumerate(frames) if key] == [0, 290]


def test_the_bit_rate_follows_without_a_keyframe() -> None:
    codec = X264(SIZE, 4_000_000, 2)
    sizes = []
    for number in range(120):
        if number == 60:
            codec.set_bitrate(400_000)
        packet = codec.encode(picture(number), keyframe=False)
        assert packet.is_keyframe == (number == 0)
        sizes.append(packet.size)
    before, after = sum(sizes[30:60]), sum(sizes[90:])
    assert after < before / 3
    assert after * 8 == pytest.approx(400_000, rel=0.6), "of one second"


def test_a_size_that_cannot_be() -> None:
    with pytest.raises(FormatUnsupported, match="ask for another size"):
        X264(VideoFormat(63, 63, 30), 500_000, 1)
