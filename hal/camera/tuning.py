"""How a libcamera camera is to look: focus, exposure, colour, as typed options.

The names of the camera's own controls are libcamera's; see its control definitions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from hal.errors import OptionInvalid

Autofocus = Literal["auto", "continuous", "manual"]
Metering = Literal["centre", "spot", "matrix"]
WhiteBalance = Literal[
    "auto", "incandescent", "tungsten", "fluorescent", "indoor", "daylight", "cloudy"
]

_FOCUS: Final = ("auto", "continuous", "manual")
_METERING: Final = {"centre": "CentreWeighted", "spot": "Spot", "matrix": "Matrix"}
_WHITE_BALANCE: Final = {
    "auto": "Auto",
    "incandescent": "Incandescent",
    "tungsten": "Tungsten",
    "fluorescent": "Fluorescent",
    "indoor": "Indoor",
    "daylight": "Daylight",
    "cloudy": "Cloudy",
}

Controls = dict[str, Any]
Limits = Mapping[str, tuple[Any, Any, Any]]
"""`Picamera2.camera_controls`: least, greatest and default value by name of the control."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Whatever is None is left to the camera.

    `autofocus` "auto" is continuous where the lens can move; `focus_distance` is in metres,
    infinity included, and holds the lens there.  `exposure_us` and `gain` fix the shutter
    and the amplification; `exposure_value` shifts the automatic by stops.  `flicker_hz` is
    the frequency of the mains, 50 or 60, whose lamps would make bands; 0 is daylight.
    Brightness is -1 to 1 around 0; contrast, saturation and sharpness are factors around 1.
    """

    autofocus: Autofocus = "auto"
    focus_distance: float | None = None
    exposure_us: int | None = None
    gain: float | None = None
    exposure_value: float | None = None
    metering: Metering | None = None
    flicker_hz: int | None = None
    white_balance: WhiteBalance | None = None
    brightness: float | None = None
    contrast: float | None = None
    saturation: float | None = None
    sharpness: float | None = None

    def __post_init__(self) -> None:
        """Raises OptionInvalid."""
        for name, value, known in (
            ("autofocus", self.autofocus, _FOCUS),
            ("metering", self.metering, (None, *_METERING)),
            ("white_balance", self.white_balance, (None, *_WHITE_BALANCE)),
            ("flicker_hz", self.flicker_hz, (None, 0, 50, 60)),
        ):
            if value not in known:
                choices = ", ".join(str(one) for one in known if one is not None)
                raise OptionInvalid(f"{name} {value!r} is unknown; use {choices}", [name])
        if self.focus_distance is not None:
            if self.focus_distance <= 0:
                raise OptionInvalid(
                    "focus_distance is in metres, more than 0; inf is far away", ["focus_distance"]
                )
            if self.autofocus == "continuous":
                raise OptionInvalid(
                    "focus_distance holds the lens; leave autofocus out",
                    ["focus_distance", "autofocus"],
                )

    def controls(self, limits: Limits, enums: Any) -> Controls:
        """The values to give to a camera that has the controls of `limits`; `enums` is the
        module `libcamera.controls`.

        Raises OptionInvalid for an option that this camera lacks or a value out of its range.
        """
        asked: dict[str, tuple[str, Any]] = {}

        def ask(option: str, control: str, value: Any) -> None:
            if value is not None:
                asked[control] = (option, value)

        self._focus(limits, enums, ask)
        ask("exposure_us", "ExposureTime", self.exposure_us)
        ask("gain", "AnalogueGain", self.gain)
        ask("exposure_value", "ExposureValue", self.exposure_value)
        if self.metering is not None:
            name = _METERING[self.metering]
            ask("metering", "AeMeteringMode", getattr(enums.AeMeteringModeEnum, name))
        if self.flicker_hz is not None:
            mode = "Manual" if self.flicker_hz else "Off"
            ask("flicker_hz", "AeFlickerMode", getattr(enums.AeFlickerModeEnum, mode))
            if self.flicker_hz:
                # Lamps flicker twice in each period of the mains; in microseconds.
                ask("flicker_hz", "AeFlickerPeriod", round(1e6 / (2 * self.flicker_hz)))
        if self.white_balance is not None:
            name = _WHITE_BALANCE[self.white_balance]
            ask("white_balance", "AwbMode", getattr(enums.AwbModeEnum, name))
        ask("brightness", "Brightness", self.brightness)
        ask("contrast", "Contrast", self.contrast)
        ask("saturation", "Saturation", self.saturation)
        ask("sharpness", "Sharpness", self.sharpness)
        return {name: _checked(name, asked[name], limits) for name in asked}

    def _focus(self, limits: Limits, enums: Any, ask: Any) -> None:
        if self.focus_distance is not None:
            ask("focus_distance", "AfMode", enums.AfModeEnum.Manual)
            # libcamera counts in dioptres: one over the distance, 0 for infinity.
            ask("focus_distance", "LensPosition", 1 / self.focus_distance)
        elif self.autofocus == "manual":
            ask("autofocus", "AfMode", enums.AfModeEnum.Manual)
        elif self.autofocus == "continuous" or "AfMode" in limits:
            ask("autofocus", "AfMode", enums.AfModeEnum.Continuous)


def _checked(name: str, asked: tuple[str, Any], limits: Limits) -> Any:
    option, value = asked
    if name not in limits:
        raise OptionInvalid(f"this camera has no {name}; leave {option!r} out", [option])
    least, greatest, _ = limits[name]
    if type(value) in (int, float) and not least <= value <= greatest:
        raise OptionInvalid(
            f"{option!r} asks for a {name} of {value:g}; this camera takes {least:g} to "
            f"{greatest:g}",
            [option],
        )
    return value
