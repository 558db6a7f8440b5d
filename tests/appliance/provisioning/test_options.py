from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from appliance.provisioning import Config, ConfigError
from appliance.provisioning.config import CameraConfig, ControlsConfig
from appliance.provisioning.options import check_options, option_mistakes
from hal import registry
from hal.errors import OptionInvalid

ROOM = {"host": "ws://hub", "name": "demo", "guest": True}


def check(section: str, backend: str, **options: Any) -> None:
    config = Config.model_validate(
        {"room": ROOM, section: {"backend": backend, "options": options}}
    )
    check_options(config)


@pytest.mark.parametrize(
    ("section", "backend", "options"),
    [
        ("camera", "v4l2", {"pixel_format": "auto", "decode_preview": False}),
        ("microphone", "synthetic", {"frequency": 700, "pattern": "silence"}),
        ("microphone", "synthetic", {"frequency": 700.5}),
        ("controls", "virtual", {"latching": ["camera"]}),
        (
            "controls",
            "gpio",
            {"mute_pin": 17, "tally_red": 22, "pull": "floating", "active_low": True},
        ),
        # Which screen there is, the device knows.
        ("camera", "x11", {}),
        # Any candidate of `auto` may be the one that is taken there.
        ("camera", "auto", {"pixel_format": "yuyv", "seed": 7, "rotation": 180}),
    ],
)
def test_options_that_a_backend_knows(
    section: str, backend: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    check(section, backend, **options)


@pytest.mark.parametrize(
    ("section", "backend", "options", "says"),
    [
        ("camera", "v4l2", {"pixel_fromat": "auto"}, "did you mean pixel_format?"),
        ("camera", "v4l2", {"decode_preview": "no"}, "must be true or false, without quotes"),
        ("camera", "synthetic", {"seed": "7"}, "must be a whole number, without quotes, not '7'"),
        ("camera", "synthetic", {"seed": True}, "must be a whole number, not True"),
        ("microphone", "auto", {"bufer_ms": 3}, "unknown key, did you mean buffer_ms?"),
        ("display", "auto", {"path": 3}, "unknown key, choose one of fullscreen, height, "),
        ("microphone", "synthetic", {"frequency": "700"}, "must be a number, without quotes"),
        ("microphone", "synthetic", {"pattern": "noise"}, "not 'noise'"),
    ],
)
def test_options_that_cannot_be(
    section: str, backend: str, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=f"{section}.options.{next(iter(options))}: ") as caught:
        check(section, backend, **options)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("section", "values", "says"),
    [
        (
            "controls",
            {"options": {"mute_pin": 17, "tally_red": 17}},
            "options.mute_pin: pin 17 is given to mute_pin and tally_red",
        ),
        (
            "controls",
            {"options": {"mute_pin": 17, "tally_red": 60}},
            "options.tally_red: tally_red 60 is no pin of the header; use a BCM number, 0 to 27",
        ),
        (
            "controls",
            {"options": {"mute_pin": 17, "camera_light_brightness": 0}},
            "options.camera_light_brightness: camera_light_brightness 0 is out of range",
        ),
        (
            "controls",
            {"options": {"mute_pin": 17, "status_brightness": 500}},
            "options.status_brightness: status_brightness 500 is out of range",
        ),
        (
            "controls",
            {"options": {"mute_pin": 17, "pull": "floating"}},
            "options.pull: pull 'floating' needs active_low",
        ),
        ("controls", {}, "options: controls backend 'gpio' has no pins"),
        (
            "controls",
            {"device": "17", "options": {"mute_pin": 17}},
            "device: controls backend 'gpio'",
        ),
        (
            "controls",
            {
                "backend": "virtual",
                "also": ["gpio"],
                "device": "x",
                "options": {"camera_light": True},
            },
            "options: controls backend 'gpio' has no pins",
        ),
        (
            "controls",
            {"backend": "auto", "also": ["gpio"], "options": {"mute_pin": 17, "tally_red": 17}},
            "options.mute_pin: pin 17 is given to mute_pin and tally_red",
        ),
        ("camera", {"backend": "file"}, "device: is missing; add it"),
        (
            "camera",
            {"backend": "synthetic", "device": "usb"},
            "device: device 'usb' is no synthetic",
        ),
        (
            "camera",
            {"backend": "picamera2", "options": {"threads": 99}},
            "options.threads: threads 99",
        ),
        ("speaker", {"backend": "synthetic", "options": {"keep_s": math.inf}}, "options: speaker"),
        (
            "speaker",
            {"backend": "alsa", "options": {"buffer_ms": 1}},
            "options.buffer_ms: buffer_ms 1",
        ),
        (
            "display",
            {"backend": "sdl", "options": {"width": 1}},
            "options.width: a screen of 1x720",
        ),
        (
            "camera",
            {"backend": "synthetic", "device": "synthetic:300"},
            "device: device 'synthetic:300' is out of range; use synthetic:0 to synthetic:255",
        ),
    ],
)
def test_what_a_backend_would_refuse_at_the_start(
    section: str, values: dict[str, Any], says: str
) -> None:
    config = Config.model_validate({"room": ROOM, section: {"backend": "gpio", **values}})
    with pytest.raises(ConfigError) as caught:
        check_options(config)
    assert str(caught.value).startswith(f"{section}.{says}")


class Picky:
    """A backend of somebody else that refuses its options together."""

    about: tuple[str, ...] = ()

    def __init__(self, *, device: str | None = None, one: int = 1, two: int = 2) -> None:
        raise OptionInvalid("one of two of the device", self.about)


@pytest.mark.parametrize(
    ("about", "key", "sure"),
    [
        (("two",), ("options", "two"), True),
        (("one", "two"), ("options", "two"), False),
        (("device", "two"), ("device",), True),
        ((), ("options",), False),
    ],
)
def test_what_a_refusal_is_about_is_told_by_its_options_not_by_its_words(
    about: tuple[str, ...], key: tuple[str, ...], sure: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "load", lambda kind, name: Picky)
    monkeypatch.setattr(Picky, "about", about)
    section = CameraConfig(backend="picky", device="x", options={"two": 3})
    assert [one.key for one in option_mistakes("camera", section)] == [("camera", *key)]
    assert len(list(option_mistakes("camera", section, whole=False))) == sure


def test_what_only_follows_from_another_mistake_is_left_out() -> None:
    for options in (
        {"mute_pni": 17},
        {"mute_pin": "17"},
        {"mute_pin": 17, "tally_brightness": "0"},
    ):
        section = ControlsConfig(backend="gpio", options=options)
        assert len(list(option_mistakes("controls", section))) == 1


def test_a_suggestion_names_the_backend_that_has_the_option() -> None:
    section = ControlsConfig(backend="gpio", options={"camera_light": True, "camera_lite": 1})
    assert [(one.key, one.reason) for one in option_mistakes("controls", section)] == [
        (
            ("controls", "options", "camera_light"),
            "unknown key, an option of virtual, not of gpio; did you mean camera_light_pin?",
        ),
        (("controls", "options", "camera_lite"), "unknown key, did you mean camera_light_pin?"),
    ]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"backend": "v4l3"}, "backend: no camera backend 'v4l3'; did you mean v4l2?"),
        ({"options": {"pixel_fromat": "yuyv"}}, "options.pixel_fromat: unknown key, did you mean"),
        ({"options": {"decode_preview": "no"}}, "options.decode_preview: must be true or false"),
        (
            {"device": "usb-1", "options": {"pixel_format": "rgb"}},
            "options.pixel_format: must be 'auto', 'mjpeg', ",
        ),
        (
            {"backend": "synthetic", "device": "usb"},
            "device: device 'usb' is no synthetic device",
        ),
    ],
)
def test_the_input_that_is_shared_is_checked_as_a_camera(values: dict[str, Any], says: str) -> None:
    config = Config.model_validate({"room": ROOM, "screen_share": values})
    with pytest.raises(ConfigError) as caught:
        check_options(config)
    assert str(caught.value).startswith(f"screen_share.{says}")


def test_where_nothing_is_shared_no_device_is_missing() -> None:
    config = Config.model_validate({"room": ROOM, "screen_share": {"backend": "file"}})
    check_options(config)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"mute_pin": 17, "tally_red": 17}, "pin 17 is given to mute_pin and tally_red"),
        ({"mute_pin": 17, "debounce_ms": 5000}, "debounce_ms 5000 is out of range"),
        # What is left out may be in the part that could not be read.
        ({"mute_pin": 17, "pull": "floating"}, None),
        ({"label": "Buttons"}, None),
    ],
)
def test_of_a_section_in_part_what_is_given_counts(
    options: dict[str, Any], says: str | None
) -> None:
    section = ControlsConfig(backend="gpio", options=options)
    found = [one.reason for one in option_mistakes("controls", section, whole=False)]
    assert len(found) == (says is not None)
    assert says is None or found[0].startswith(says)
    file = CameraConfig(backend="file")
    assert list(option_mistakes("camera", file, whole=False)) == []


def test_no_camera_is_opened_to_check_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object) -> None:
        raise AssertionError("a node was asked for its name")

    monkeypatch.setattr("hal.camera.v4l2.find", opened)
    section = CameraConfig(backend="v4l2", device="usb-1")
    assert list(option_mistakes("camera", section)) == []


class Side(StrEnum):
    LEFT = "left"
    RIGHT = "right"


class Elsewhere:
    """A backend of somebody else, whose options are of other types than TOML has."""

    def __init__(self, *, device: str | None = None, path: Path, side: Side, at: tuple[int, int]):
        pass


def test_a_text_may_be_a_path_and_a_list_a_tuple(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "load", lambda kind, name: Elsewhere)
    check("camera", "elsewhere", path="a/b", side="left", at=[1, 2])
    for wrong in ({"side": "up"}, {"at": [1, "2"]}, {"path": 3}):
        with pytest.raises(ConfigError, match=f"camera.options.{next(iter(wrong))}"):
            check("camera", "elsewhere", **wrong)
