from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from av import VideoFrame

from appliance.hub import shared_encoder
from appliance.hub.shared_encoder import KEYFRAME_INTERVAL, SharedEncoder
from appliance.hub.yuv import Colour, Picture, Rect, planes
from appliance.media.errors import CodecError
from appliance.media.packet import Encoded
from appliance.media.video_encoder import VideoCodec
from tests.appliance.hub.far_end import Screen

RATE = 30


def picture(index: int, luma: int = 90) -> VideoFrame:
    painted = Picture(320, 180)
    painted.fill(Rect(0, 0, 320, 180), Colour(luma, 110, 140))
    painted.frame.pts = index * 3000
    painted.frame.time_base = Fraction(1, 90_000)
    return painted.frame


def encode(encoder: SharedEncoder, index: int, *, still: bool = False) -> Encoded | None:
    return encoder.encode(picture(index, 60 + index % 100), index / RATE, still=still)


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_the_first_frame_is_a_keyframe_and_the_pictures_come_out(codec: VideoCodec) -> None:
    encoder = SharedEncoder(codec, 320, 180, RATE, 500_000)
    screen = Screen(codec)
    for index in range(10):
        encoded = encode(encoder, index)
        assert encoded is not None
        assert encoded.keyframe is (index == 0)
        assert encoded.timestamp == index * 3000
        shown = screen.show(encoded)
        assert planes(shown)[0].mean() == pytest.approx(60 + index, abs=4)
        assert planes(shown)[2].mean() == pytest.approx(140, abs=4)
    encoder.close()


def test_a_keyframe_comes_with_the_next_frame_after_the_interval_and_only_once() -> None:
    encoder = SharedEncoder("h264", 320, 180, RATE, 500_000)
    keyframes = []
    for index in range(60):
        if index in (2, 3, 30):
            encoder.ask()
        encoded = encode(encoder, index)
        assert encoded is not None
        if encoded.keyframe:
            keyframes.append(index)
            encoder.answer()
    # The first request is served when 300 ms have passed since frame 0, the last one at once.
    assert keyframes == [0, 9, 30]
    assert KEYFRAME_INTERVAL == 0.3


def test_who_asks_after_the_keyframe_was_made_but_before_it_arrived_is_served_by_it() -> None:
    encoder = SharedEncoder("h264", 320, 180, RATE, 500_000)
    assert encode(encoder, 0) is not None
    encoder.ask()
    made = encode(encoder, 20)
    assert made is not None
    assert made.keyframe
    encoder.ask()  # a frame from before the keyframe arrived, at somebody who joined
    encoder.answer()
    later = [encode(encoder, index) for index in range(21, 60)]
    assert not any(encoded.keyframe for encoded in later if encoded is not None)


def test_a_keyframe_that_nobody_got_is_made_again() -> None:
    encoder = SharedEncoder("h264", 320, 180, RATE, 500_000)
    encode(encoder, 0)
    encoder.ask()
    made = [encode(encoder, index) for index in range(20, 40)]
    assert [encoded.keyframe for encoded in made if encoded is not None].count(True) == 3


def test_a_still_picture_is_sent_five_times_a_second_and_sharpened_on_request() -> None:
    encoder = SharedEncoder("h264", 320, 180, RATE, 500_000)
    sent = [index for index in range(60) if encode(encoder, index, still=True) is not None]
    assert sent == list(range(0, 60, 6))
    encoder.ask()
    encoded = encode(encoder, 61, still=True)
    assert encoded is not None
    assert encoded.keyframe
    assert encode(encoder, 62, still=True) is None
    assert encode(encoder, 63, still=False) is not None


def test_a_closed_encoder_starts_again_with_a_keyframe() -> None:
    encoder = SharedEncoder("h264", 320, 180, RATE, 500_000)
    encode(encoder, 0)
    encoder.close()
    encoded = encode(encoder, 1)
    assert encoded is not None
    assert encoded.keyframe


def test_a_codec_that_fails_is_left_alone_for_a_second_and_comes_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    opened = []
    real = shared_encoder.VideoEncoder

    def broken(*args: Any) -> Any:
        opened.append(args)
        if len(opened) < 3:
            raise CodecError("no codec today")
        return real(*args)

    monkeypatch.setattr(shared_encoder, "VideoEncoder", broken)
    encoder = SharedEncoder("h264", 320, 180, RATE, 500_000)
    encoded = [encode(encoder, index) for index in range(75)]
    assert [index for index, one in enumerate(encoded) if one is not None] == list(range(60, 75))
    assert len(opened) == 3
    assert caplog.text.count("no codec today") == 2


def test_the_bitrate_can_change_while_it_runs() -> None:
    def kbit(bitrate: int) -> float:
        encoder = SharedEncoder("h264", 320, 180, RATE, 1_000_000)
        random = np.random.default_rng(0)
        size = 0
        for index in range(90):
            if index == 30:
                encoder.bitrate = bitrate
            frame = picture(index)
            planes(frame)[0][...] = random.normal(120, 10, (180, 320)).clip(16, 235)
            encoded = encoder.encode(frame, index / RATE)
            assert encoded is not None
            assert encoded.keyframe is (index == 0)
            size += encoded.size if index >= 60 else 0
        return size * 8 / 1000

    assert kbit(100_000) < 0.5 * kbit(1_000_000)
