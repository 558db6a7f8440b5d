"""What people are told of pins: the kind of error, its cause and what to do."""

from __future__ import annotations

from pathlib import Path

import gpiozero
import pytest

from hal.controls import pin_errors
from hal.errors import (
    BackendUnavailable,
    DeviceBusy,
    DeviceForbidden,
    DeviceNotFound,
    HalError,
    OptionInvalid,
)


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (gpiozero.GPIOPinInUse("pin 5"), DeviceBusy, r"\(pin 5\); stop the program"),
        # lgpio's own error has no class of gpiozero's.
        (OSError("'GPIO busy'"), DeviceBusy, "stop the program"),
        (PermissionError("no"), DeviceForbidden, "group gpio"),
        (OSError("Permission\n denied"), DeviceForbidden, r"\(Permission denied\)"),
        (gpiozero.PinInvalidPin("99"), OptionInvalid, "BCM numbers"),
        (gpiozero.PinInvalidFunction("99"), OptionInvalid, "BCM numbers"),
        (gpiozero.PinFixedPull("GPIO2"), OptionInvalid, "another pin or pull"),
        (gpiozero.PinPWMUnsupported("GPIO2"), OptionInvalid, "brightness to 100"),
        (gpiozero.GPIOZeroError("else"), DeviceNotFound, "check the board"),
        (OSError("else"), DeviceNotFound, "check the board"),
    ],
)
def test_each_has_its_kind_and_its_remedy(
    error: Exception, kind: type[HalError], says: str
) -> None:
    told = pin_errors.of(gpiozero, error)
    assert type(told) is kind
    with pytest.raises(kind, match=says):
        raise told


@pytest.mark.parametrize(
    ("chips", "says"), [([], "choose other controls"), (["/dev/gpiochip0"], "install lgpio")]
)
def test_no_pins_at_all_and_none_that_can_be_reached_are_two_things(
    monkeypatch: pytest.MonkeyPatch, chips: list[str], says: str
) -> None:
    monkeypatch.setattr(pin_errors, "chips", lambda: list(map(Path, chips)))
    told = pin_errors.of(gpiozero, gpiozero.BadPinFactory("nothing works"))
    assert isinstance(told, BackendUnavailable)
    assert says in str(told)


def test_what_is_no_error_of_pins_stays_what_it_is() -> None:
    assert pin_errors.of(gpiozero, ZeroDivisionError()) is None
