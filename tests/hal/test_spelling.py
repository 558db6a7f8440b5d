from __future__ import annotations

import pytest

from hal import registry
from hal.device import Kind
from hal.spelling import nearest, suggestion


@pytest.mark.parametrize(
    ("kind", "backend", "typo", "meant"),
    [
        ("controls", "gpio", "camera_lite", ["camera_light_pin"]),
        ("controls", "gpio", "camera_lihgt_pin", ["camera_light_pin"]),
        ("controls", "gpio", "cameralight", ["camera_light_pin"]),
        ("controls", "gpio", "camera_lite_brightness", ["camera_light_brightness"]),
        ("controls", "gpio", "camera_light_active", ["camera_light_active_low"]),
        ("controls", "gpio", "camera_pn", ["camera_pin"]),
        ("controls", "gpio", "mutepin", ["mute_pin"]),
        ("controls", "gpio", "MUTE-PIN", ["mute_pin"]),
        ("controls", "gpio", "mute_button", ["mute_pin"]),
        ("controls", "gpio", "mute", ["mute_pin", "mute_mode"]),
        ("controls", "gpio", "red_tally", ["tally_red"]),
        ("controls", "gpio", "green", ["tally_green"]),
        ("controls", "gpio", "talley_red", ["tally_red"]),
        ("controls", "gpio", "vol_up_pin", ["volume_up_pin"]),
        ("controls", "gpio", "vol_down", ["volume_down_pin"]),
        ("controls", "gpio", "hangup_pin", ["hang_up_pin"]),
        ("controls", "gpio", "debounce_s", ["debounce_ms"]),
        ("controls", "gpio", "activelow", ["active_low"]),
        ("controls", "gpio", "brightness", ["tally_brightness", "status_brightness"]),
        ("controls", "gpio", "wifi", []),
        ("camera", "picamera2", "rotate", ["rotation"]),
        ("camera", "picamera2", "flip", ["hflip", "vflip"]),
        ("camera", "picamera2", "exposure_ms", ["exposure_us"]),
        ("camera", "picamera2", "auto_focus", ["autofocus"]),
        ("camera", "picamera2", "brigthness", ["brightness"]),
        ("camera", "v4l2", "format", ["pixel_format"]),
        ("camera", "v4l2", "colour", []),
    ],
)
def test_the_option_that_was_meant(kind: Kind, backend: str, typo: str, meant: list[str]) -> None:
    assert nearest(typo, sorted(registry.options_of(kind, backend))) == meant


def test_what_stands_in_a_message() -> None:
    assert suggestion("rtae", ["rate", "width"]) == "did you mean rate?"
    assert suggestion("flip", ["hflip", "vflip"]) == "did you mean hflip or vflip?"
    assert suggestion("xyz", ["rate", "width"]) == "choose one of rate, width"
    assert suggestion("", ["rate"]) == "choose one of rate"
    assert nearest("rate", []) == []


def test_where_several_are_as_near_no_more_than_three_are_named() -> None:
    assert nearest("pin", [f"{letter}_pin" for letter in "abcdef"]) == ["a_pin", "b_pin", "c_pin"]
