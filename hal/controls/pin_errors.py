"""What gpiozero says of pins, as errors of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hal.errors import (
    BackendUnavailable,
    DeviceBusy,
    DeviceForbidden,
    DeviceNotFound,
    HalError,
    OptionInvalid,
)


def chips() -> list[Path]:
    """What the kernel has of pins."""
    return list(Path("/dev").glob("gpiochip*"))


def of(gpiozero: Any, error: Exception) -> HalError | None:
    """Ours for one of gpiozero or of the pin library below it; None for any other."""
    text = " ".join(str(error).split())
    if isinstance(error, gpiozero.BadPinFactory):
        if not chips():
            return BackendUnavailable("no GPIO pins on this machine; choose other controls")
        return BackendUnavailable(
            f"no GPIO pins on this machine that can be reached ({text}); install lgpio"
        )
    if isinstance(error, gpiozero.GPIOPinInUse) or "busy" in text.lower():
        return DeviceBusy(f"a pin is in use ({text}); stop the program that holds it")
    if isinstance(error, PermissionError) or "permission" in text.lower():
        return DeviceForbidden(f"the pins may not be used ({text}); add the user to group gpio")
    if isinstance(error, (gpiozero.PinInvalidPin, gpiozero.PinInvalidFunction)):
        return OptionInvalid(f"a pin number is wrong ({text}); use BCM numbers of free pins")
    if isinstance(error, (gpiozero.PinFixedPull, gpiozero.PinInvalidPull)):
        return OptionInvalid(f"a pin cannot have this pull ({text}); choose another pin or pull")
    if isinstance(error, gpiozero.PinPWMError):
        return OptionInvalid(f"a pin cannot be dimmed ({text}); set its brightness to 100")
    if isinstance(error, (gpiozero.GPIOZeroError, OSError)):
        return DeviceNotFound(f"the pins cannot be opened ({text}); check the board")
    return None
