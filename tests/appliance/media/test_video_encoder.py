"""The encoder: keyframes on demand, bit rate at run time, no delay."""

from __future__ import annotations

import numpy as np
import pytest
from av import CodecContext, VideoFrame

from appliance.media.errors import CodecError
from appliance.media.video_encoder import VideoCodec, VideoEncoder
from tests.appliance.media.conftest import luma_of, picture

CODECS: list[VideoCodec] = ["h264", "vp8"]


def noisy(index: int, width: int = 640, height: int = 360) -> VideoFrame:
    """A picture that nothing before it helps to code: fresh coarse noise."""
    grain = np.random.default_rng(index).integers(0, 255, (-(-height // 8), width // 8), np.uint8)
    luma = grain.repeat(8, 0).repeat(8, 1)[:height]
    frame = picture(index, width=width, height=height)
    plane = frame.planes[0]
    padded = np.zeros((height, plane.line_size), np.uint8)
    padded[:, :width] = luma
    plane.update(padded.tobytes())
    return frame


@pytest.mark.parametrize("codec", CODECS)
def test_each_picture_leaves_at_once_and_decodes_to_itself(codec: VideoCodec) -> None:
    encoder = VideoEncoder(codec, 320, 180)
    decoder = CodecContext.create("h264" if codec == "h264" else "libvpx", "r")
    for index in range(20):
        packet = encoder.encode(picture(index, luma=40 + 8 * index))
        (frame,) = decoder.decode(packet)
        assert luma_of(frame) == pytest.approx(40 + 8 * index, abs=3)


@pytest.mark.parametrize("codec", CODECS)
def test_keyframes_come_when_asked_for_and_only_then(codec: VideoCodec) -> None:
    encoder = VideoEncoder(codec, 320, 180)
    keys = [bool(encoder.encode(noisy(i, 320, 180), i == 30).is_keyframe) for i in range(60)]
    assert [i for i, key in enumerate(keys) if key] == [0, 30]


def test_bit_rate_follows_at_run_time_without_a_keyframe() -> None:
    encoder = VideoEncoder("h264", 640, 360, bitrate=1_500_000)
    sizes = []
    for index in range(240):
        if index == 120:
            encoder.bitrate = 500_000
        sizes.append(encoder.encode(noisy(index)).size)
    assert encoder.keyframes == 1
    before, after = sum(sizes[60:120]), sum(sizes[180:240])
    assert after < 0.5 * before


def test_another_size_is_scaled() -> None:
    encoder = VideoEncoder("h264", 320, 180)
    decoder = CodecContext.create("h264", "r")
    (frame,) = decoder.decode(encoder.encode(picture(0, luma=90, width=640, height=360)))
    assert (frame.width, frame.height) == (320, 180)
    assert luma_of(frame) == pytest.approx(90, abs=3)


def test_a_closed_encoder_says_so() -> None:
    encoder = VideoEncoder("h264", 320, 180)
    encoder.close()
    with pytest.raises(CodecError, match="closed"):
        encoder.encode(picture(0))
