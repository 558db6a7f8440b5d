from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from appliance.provisioning.config import Config
from appliance.provisioning.devices import (
    CameraConfig,
    ControlsConfig,
    DeviceConfig,
    MicrophoneConfig,
    ScreenShareConfig,
    SpeakerConfig,
)
from hal import registry


def test_each_class_of_devices_has_its_section() -> None:
    for kind in registry.KINDS:
        section = Config.model_fields[kind].annotation
        assert isinstance(section, type)
        assert issubclass(section, DeviceConfig)
        assert section().backend == "auto"
    # A dongle is chosen by name: the first camera is hardly ever one.
    assert (ScreenShareConfig().backend, ScreenShareConfig().device) == ("v4l2", None)


def test_the_constructor_of_a_backend_gets_its_options_and_its_device() -> None:
    options = {"fourcc": "MJPG"}
    assert CameraConfig().arguments == {}
    assert CameraConfig(options=options).arguments == options
    assert CameraConfig(options=options, device="usb-1").arguments == options | {"device": "usb-1"}
    # The section is as it was.
    assert options == {"fourcc": "MJPG"}


@pytest.mark.parametrize(
    ("section", "least", "most", "beyond"),
    [
        (CameraConfig, {"width": 64, "height": 36}, {"width": 3840, "height": 2160}, {"width": 63}),
        (CameraConfig, {"rate": 1}, {"rate": 60}, {"rate": 60.5}),
        (CameraConfig, {"width": 642}, {"height": 362}, {"height": 361}),
        (CameraConfig, {"bitrate": 150_000}, {"bitrate": 20_000_000}, {"bitrate": 100_000}),
        (MicrophoneConfig, {"bitrate": 8_000}, {"bitrate": 128_000}, {"bitrate": 200_000}),
        (MicrophoneConfig, {"expected_loss": 0}, {"expected_loss": 50}, {"expected_loss": -1}),
        (SpeakerConfig, {"volume": 0}, {"volume": 100}, {"volume": 101}),
        (ControlsConfig, {"hang_up_after": 0.5}, {"hang_up_after": 10}, {"hang_up_after": 0.1}),
    ],
)
def test_numbers_have_their_limits(
    section: type[DeviceConfig],
    least: dict[str, Any],
    most: dict[str, Any],
    beyond: dict[str, Any],
) -> None:
    for fine in (least, most):
        assert section.model_validate(fine).model_dump(include=set(fine)) == fine
    with pytest.raises(ValidationError, match=next(iter(beyond))):
        section.model_validate(beyond)
