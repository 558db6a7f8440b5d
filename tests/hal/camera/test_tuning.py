from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from hal.camera.tuning import Tuning
from hal.errors import OptionInvalid
from tests.hal.camera import fake_picamera2 as fake

ENUMS: Any = SimpleNamespace(
    AfModeEnum=fake.AfModeEnum,
    AeMeteringModeEnum=fake.AeMeteringModeEnum,
    AeFlickerModeEnum=fake.AeFlickerModeEnum,
    AwbModeEnum=fake.AwbModeEnum,
)


def controls(**options: Any) -> dict[str, Any]:
    return Tuning(**options).controls(fake.CONTROLS, ENUMS)


def test_nothing_asked_leaves_all_but_the_focus_to_the_camera() -> None:
    assert controls() == {"AfMode": fake.AfModeEnum.Continuous}
    assert Tuning().controls({}, ENUMS) == {}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"focus_distance": 2.0}, {"AfMode": fake.AfModeEnum.Manual, "LensPosition": 0.5}),
        ({"focus_distance": math.inf}, {"AfMode": fake.AfModeEnum.Manual, "LensPosition": 0.0}),
        ({"autofocus": "manual"}, {"AfMode": fake.AfModeEnum.Manual}),
        ({"exposure_us": 10_000, "gain": 2.0}, {"ExposureTime": 10_000, "AnalogueGain": 2.0}),
        ({"metering": "centre"}, {"AeMeteringMode": fake.AeMeteringModeEnum.CentreWeighted}),
        ({"flicker_hz": 0}, {"AeFlickerMode": fake.AeFlickerModeEnum.Off}),
        (
            {"flicker_hz": 60},
            {"AeFlickerMode": fake.AeFlickerModeEnum.Manual, "AeFlickerPeriod": 8333},
        ),
        ({"white_balance": "cloudy"}, {"AwbMode": fake.AwbModeEnum.Cloudy}),
        (
            {"contrast": 1.5, "saturation": 0.0, "sharpness": 2.0},
            {"Contrast": 1.5, "Saturation": 0.0, "Sharpness": 2.0},
        ),
    ],
)
def test_options_by_libcameras_names(options: dict[str, Any], expected: dict[str, Any]) -> None:
    assert controls(**options) == {"AfMode": fake.AfModeEnum.Continuous, **expected}


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"autofocus": "sometimes"}, "auto, continuous, manual"),
        ({"white_balance": "candle"}, "white_balance"),
        ({"flicker_hz": 55}, "0, 50, 60"),
        ({"focus_distance": 0}, "metres"),
        ({"focus_distance": 1, "autofocus": "continuous"}, "leave autofocus out"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], match: str) -> None:
    with pytest.raises(OptionInvalid, match=match):
        Tuning(**options)


def test_values_out_of_the_cameras_range() -> None:
    with pytest.raises(OptionInvalid, match=r"'focus_distance' .* LensPosition of 100; .* 32"):
        controls(focus_distance=0.01)
    with pytest.raises(OptionInvalid, match="'brightness'"):
        controls(brightness=1.5)


def test_controls_that_the_camera_lacks() -> None:
    with pytest.raises(OptionInvalid, match="no ExposureTime; leave 'exposure_us' out"):
        Tuning(exposure_us=1000).controls({}, ENUMS)
