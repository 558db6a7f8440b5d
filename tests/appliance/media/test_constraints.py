"""Constraints against settings, by the letter of the specification."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.media.constraints import (
    MediaTrackConstraints,
    Overconstrained,
    audio_settings,
    video_settings,
)
from hal.camera import VideoFormat
from hal.device import Device

CAMERA = Device("cam-1", "A camera", "camera", "test")
MICROPHONE = Device("mic-1", "A microphone", "microphone", "test")
HD = video_settings(CAMERA, VideoFormat(1280, 720, 30.0))
VGA = video_settings(CAMERA, VideoFormat(640, 480, 15.0))
SOUND = audio_settings(MICROPHONE)


def constraints(**wishes: Any) -> MediaTrackConstraints:
    return MediaTrackConstraints.of(wishes)


class TestRead:
    def test_either_spelling(self) -> None:
        snake = constraints(device_id="a", frame_rate={"max": 15}, auto_gain_control=True)
        camel = constraints(deviceId="a", frameRate={"max": 15}, autoGainControl=True)
        assert snake == camel
        assert snake.device_id == "a"

    @pytest.mark.parametrize("nothing", [True, False, None, {}, {"zoom": 3}])
    def test_nothing_in_particular(self, nothing: Any) -> None:
        assert MediaTrackConstraints.of(nothing) == MediaTrackConstraints()

    @pytest.mark.parametrize(
        "wrong",
        [
            {"width": "wide"},
            {"width": {"exact": "wide"}},
            {"width": {"exact": True}},
            {"width": math.nan},
            {"device_id": 3},
            {"device_id": {"exact": [3]}},
            {"echo_cancellation": "yes"},
        ],
    )
    def test_wrong_type(self, wrong: Any) -> None:
        with pytest.raises(TypeError, match="constraint"):
            MediaTrackConstraints.of(wrong)

    def test_merged(self) -> None:
        mine = constraints(width={"max": 640, "ideal": 320}, frame_rate=10)
        theirs = constraints(width={"min": 160, "max": 1920, "ideal": 1280}, height=720)
        assert mine.merged(theirs) == constraints(
            width={"min": 160, "max": 640, "ideal": 1280},
            height={"ideal": 720},
            frame_rate={"ideal": 10},
        )


class TestDistance:
    @pytest.mark.parametrize(
        ("wish", "settings", "expected"),
        [
            ({}, HD, 0.0),
            ({"width": 1280}, HD, 0.0),
            ({"width": 640}, HD, 0.5),
            ({"width": 2560}, HD, 0.5),
            ({"width": {"ideal": 640}, "height": 360}, HD, 1.0),
            ({"width": {"min": 640}}, HD, 0.0),
            ({"width": {"min": 1281}}, HD, math.inf),
            ({"width": {"max": 1279}}, HD, math.inf),
            ({"width": {"exact": 1280}}, HD, 0.0),
            ({"width": {"exact": 1281}}, HD, math.inf),
            ({"frame_rate": {"exact": 29.97}}, HD, 0.0),
            ({"frame_rate": 15}, HD, 0.5),
            ({"aspect_ratio": {"exact": 16 / 9}}, HD, 0.0),
            ({"aspect_ratio": {"exact": 4 / 3}}, HD, math.inf),
            ({"aspect_ratio": {"exact": 4 / 3}}, VGA, 0.0),
            ({"width": True}, HD, 0.0),
            ({"device_id": "cam-1"}, HD, 0.0),
            ({"device_id": "cam-2"}, HD, 1.0),
            ({"device_id": ["cam-2", "cam-1"]}, HD, 0.0),
            ({"device_id": {"exact": "cam-2"}}, HD, math.inf),
            ({"device_id": {"exact": ["cam-2", "cam-1"]}}, HD, 0.0),
            # Of another kind of device: does not apply.
            ({"echo_cancellation": {"exact": True}}, HD, 0.0),
            ({"width": {"min": 4000}}, SOUND, 0.0),
            ({"echo_cancellation": False}, SOUND, 0.0),
            ({"echo_cancellation": True, "noise_suppression": True}, SOUND, 2.0),
            ({"auto_gain_control": {"exact": True}}, SOUND, math.inf),
            ({"auto_gain_control": {"exact": False}}, SOUND, 0.0),
            # Settings that do not tell.
            ({"width": 1280}, {"deviceId": "x"}, 1.0),
            ({"width": {"min": 1}}, {"deviceId": "x"}, math.inf),
            ({"width": True}, {"deviceId": "x"}, 1.0),
            ({"width": False}, {"deviceId": "x"}, 0.0),
        ],
    )
    def test_by_the_rule(self, wish: Any, settings: Any, expected: float) -> None:
        assert constraints(**wish).distance(settings) == pytest.approx(expected)

    @given(
        width=st.integers(64, 4000),
        ideal=st.integers(64, 4000),
        low=st.integers(64, 4000),
        high=st.integers(64, 4000),
    )
    def test_bounds(self, width: int, ideal: int, low: int, high: int) -> None:
        settings = video_settings(CAMERA, VideoFormat(width, 720))
        wish = constraints(width={"ideal": ideal, "min": low, "max": high})
        distance = wish.distance(settings)
        assert math.isinf(distance) == (not low <= width <= high)
        assert (distance == 0) == (low <= width <= high and width == ideal)
        assert math.isinf(distance) or 0 <= distance < 1


class TestSelect:
    def test_nearest_first(self) -> None:
        assert constraints(width=700).select([HD, VGA]) == [1, 0]
        assert constraints(width=1200).select([HD, VGA]) == [0, 1]
        assert constraints().select([HD, VGA]) == [0, 1]
        assert constraints(height={"max": 500}).select([HD, VGA]) == [1]

    @pytest.mark.parametrize(
        ("wish", "constraint"),
        [
            ({"width": {"min": 1920}}, "width"),
            ({"height": {"exact": 1080}}, "height"),
            ({"frame_rate": {"min": 60}}, "frameRate"),
            ({"aspect_ratio": {"min": 2}}, "aspectRatio"),
            ({"device_id": {"exact": "other"}}, "deviceId"),
        ],
    )
    def test_overconstrained(self, wish: Any, constraint: str) -> None:
        with pytest.raises(Overconstrained) as error:
            constraints(**wish).select([HD, VGA])
        assert error.value.constraint == constraint
        assert constraint in str(error.value)
        assert "\n" not in str(error.value)

    def test_no_device(self) -> None:
        with pytest.raises(Overconstrained):
            constraints().select([])


class TestFormat:
    @pytest.mark.parametrize(
        ("wish", "expected"),
        [
            ({}, VideoFormat(1280, 720, 30.0)),
            ({"width": 640}, VideoFormat(640, 360, 30.0)),
            ({"height": 480}, VideoFormat(853, 480, 30.0)),
            ({"width": 640, "height": 480}, VideoFormat(640, 480, 30.0)),
            ({"aspect_ratio": 4 / 3}, VideoFormat(1280, 960, 30.0)),
            ({"width": 640, "aspect_ratio": 4 / 3}, VideoFormat(640, 480, 30.0)),
            ({"height": 480, "aspect_ratio": 4 / 3}, VideoFormat(640, 480, 30.0)),
            ({"width": {"max": 640}}, VideoFormat(640, 360, 30.0)),
            ({"width": {"min": 1920}}, VideoFormat(1920, 1080, 30.0)),
            ({"width": {"ideal": 640, "min": 800, "max": 1000}}, VideoFormat(800, 450, 30.0)),
            ({"frame_rate": {"max": 15}}, VideoFormat(1280, 720, 15.0)),
            ({"frame_rate": {"min": 10, "ideal": 20, "max": 20}}, VideoFormat(1280, 720, 20.0)),
            ({"width": True}, VideoFormat(1280, 720, 30.0)),
        ],
    )
    def test_what_to_ask_for(self, wish: Any, expected: VideoFormat) -> None:
        assert constraints(**wish).format() == expected

    @pytest.mark.parametrize(
        ("wish", "constraint"),
        [
            ({"width": 0}, "width"),
            ({"frame_rate": {"exact": -1}}, "frameRate"),
            ({"height": {"min": 720, "max": 480}}, "height"),
            ({"width": math.inf}, "width"),
        ],
    )
    def test_impossible(self, wish: Any, constraint: str) -> None:
        with pytest.raises(Overconstrained) as error:
            constraints(**wish).format()
        assert error.value.constraint == constraint
