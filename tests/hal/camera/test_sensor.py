from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.camera import VideoFormat
from hal.camera.sensor import SensorMode, choose, choose_named, fit, parse
from hal.errors import OptionInvalid

# What Picamera2 says of a Camera Module 2 (IMX219) and a Camera Module 3 (IMX708).
IMX219 = [SensorMode(640, 480, 206.65, bits, (1280, 960)) for bits in (8, 10)] + [
    SensorMode(width, height, rate, bits, seen)
    for width, height, rate, seen in (
        (1640, 1232, 41.85, (3280, 2464)),
        (1920, 1080, 47.57, (1920, 1080)),
        (3280, 2464, 21.19, (3280, 2464)),
    )
    for bits in (8, 10)
]
IMX708 = [
    SensorMode(1536, 864, 120.13, 10, (3072, 1728)),
    SensorMode(2304, 1296, 56.03, 10, (4608, 2592)),
    SensorMode(4608, 2592, 14.35, 10, (4608, 2592)),
]


def name(modes: list[SensorMode], width: int, height: int, rate: float) -> str:
    chosen = choose(modes, VideoFormat(width, height, rate))
    assert chosen is not None
    return chosen.name


def test_the_whole_sensor_is_seen_where_the_rate_allows() -> None:
    assert name(IMX219, 1280, 720, 30) == "1640x1232"
    assert name(IMX219, 640, 480, 30) == "1640x1232"
    assert name(IMX708, 1280, 720, 30) == "2304x1296"
    assert name(IMX708, 1920, 1080, 30) == "2304x1296"


def test_size_goes_before_the_view_and_rate_before_size() -> None:
    assert name(IMX219, 1920, 1080, 30) == "1920x1080"
    assert name(IMX219, 1280, 720, 60) == "640x480"
    assert name(IMX708, 1280, 720, 60) == "1536x864"
    assert name(IMX708, 3840, 2160, 30) == "2304x1296"
    assert name(IMX708, 3840, 2160, 10) == "4608x2592"


def test_ten_bits_are_enough_and_eight_are_not() -> None:
    chosen = choose(IMX219, VideoFormat(1280, 720, 30))
    assert chosen is not None
    assert chosen.bit_depth == 10
    twelve = [SensorMode(2028, 1080, 50, bits, (4056, 2160)) for bits in (12, 10, 8)]
    best = choose(twelve, VideoFormat())
    assert best is not None
    assert best.bit_depth == 10


def test_a_sensor_just_short_of_the_rate_will_do() -> None:
    modes = [SensorMode(640, 480, 90, 10, (100, 100)), SensorMode(1280, 720, 29.97, 10, (9, 9))]
    assert name(modes, 1280, 720, 30) == "1280x720"


def test_no_mode_at_all() -> None:
    assert choose([], VideoFormat()) is None
    assert parse([{"format": "MJPEG"}]) == []


def test_parse() -> None:
    entry = {
        "format": "SRGGB10_CSI2P",
        "bit_depth": 10,
        "size": (1640, 1232),
        "fps": 41.85,
        "crop_limits": (0, 0, 3280, 2464),
    }
    assert parse([entry]) == [SensorMode(1640, 1232, 41.85, 10, (3280, 2464))]


@given(st.integers(64, 3840), st.integers(36, 2160), st.integers(64, 4608), st.integers(36, 2592))
def test_fit_stays_within_and_keeps_the_aspect(
    width: int, height: int, most_wide: int, most_high: int
) -> None:
    made = fit(VideoFormat(width, height, 30), (most_wide, most_high), 24.5)
    assert made.width <= min(width, most_wide)
    assert made.height <= min(height, most_high)
    assert made.width % 2 == made.height % 2 == 0
    assert made.rate == 24.5
    exact = min(1.0, most_wide / width, most_high / height)
    assert abs(made.width - width * exact) < 2.001
    assert abs(made.height - height * exact) < 2.001


def test_a_named_mode_is_taken_and_an_unknown_one_told() -> None:
    wanted = VideoFormat(1280, 720, 30)
    named = choose_named(IMX708, "1536x864", wanted)
    assert named is not None
    assert named.name == "1536x864"
    assert choose_named(IMX708, None, wanted) == choose(IMX708, wanted)
    assert choose_named([], None, wanted) is None
    with pytest.raises(OptionInvalid, match="it has 1536x864, 2304x1296, 4608x2592"):
        choose_named(IMX708, "640x480", wanted)
    with pytest.raises(OptionInvalid, match="none at all"):
        choose_named([], "640x480", wanted)
