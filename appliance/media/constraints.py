"""What is wanted of a camera or microphone, and how near a device comes to it.

The rule is that of "Media Capture and Streams" (W3C), sections 4.3.2 (fitness distance)
and 4.3.4 (SelectSettings).  A constraint is a plain value, which is the same as `ideal`, or a
mapping of `min`, `max`, `ideal` and `exact`; `min`, `max` and `exact` must be met, `ideal` is come
near to.  Errors name a constraint as the specification does: "deviceId", "frameRate".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, TypeAlias, TypedDict

from appliance.media.errors import MediaError
from hal.camera import VideoFormat
from hal.device import Device

Number: TypeAlias = int | float
NumberConstraint: TypeAlias = Number | Mapping[str, Number]
TextConstraint: TypeAlias = str | Sequence[str] | Mapping[str, str | Sequence[str]]
SwitchConstraint: TypeAlias = bool | Mapping[str, bool]

Settings: TypeAlias = Mapping[str, str | Number | bool]
"""What a device does, by the names of the constraints ("deviceId", "width", ...)."""

_NAMES: Final = {
    "device_id": "deviceId",
    "width": "width",
    "height": "height",
    "frame_rate": "frameRate",
    "aspect_ratio": "aspectRatio",
    "echo_cancellation": "echoCancellation",
    "noise_suppression": "noiseSuppression",
    "auto_gain_control": "autoGainControl",
}
"""The name of each constraint here and in the specification."""

_NUMBERS: Final = frozenset({"width", "height", "frame_rate", "aspect_ratio"})
_SWITCHES: Final = frozenset({"echo_cancellation", "noise_suppression", "auto_gain_control"})
_FORMAT: Final = ("width", "height", "frame_rate", "aspect_ratio")

_TOLERANCE: Final = {"frameRate": 0.5, "aspectRatio": 0.02}
"""How far a number may be off and still meet a limit: cameras say 29.97 for 30, and sizes are
whole and even."""

_RATIO: Final = 16 / 9
"""Width by height where nobody says."""


class Overconstrained(MediaError, ValueError):
    """No device can do what was asked.  `constraint` names the first one not met."""

    def __init__(self, constraint: str, message: str) -> None:
        super().__init__(message)
        self.constraint = constraint


class TrackWishes(TypedDict, total=False):
    """The constraints by name, for functions that take them as arguments."""

    device_id: TextConstraint
    width: NumberConstraint
    height: NumberConstraint
    frame_rate: NumberConstraint
    aspect_ratio: NumberConstraint
    echo_cancellation: SwitchConstraint
    noise_suppression: SwitchConstraint
    auto_gain_control: SwitchConstraint


@dataclass(frozen=True, slots=True)
class MediaTrackConstraints:
    """What is wanted of one device; None where anything will do."""

    device_id: TextConstraint | None = None
    width: NumberConstraint | None = None
    height: NumberConstraint | None = None
    frame_rate: NumberConstraint | None = None
    aspect_ratio: NumberConstraint | None = None
    echo_cancellation: SwitchConstraint | None = None
    noise_suppression: SwitchConstraint | None = None
    auto_gain_control: SwitchConstraint | None = None

    def __post_init__(self) -> None:
        for name in _NAMES:
            self._limits(name)

    @classmethod
    def of(cls, wish: bool | Mapping[str, Any] | MediaTrackConstraints | None) -> Self:
        """Read constraints in any form: a bool or None wants nothing in particular, a mapping
        may use either spelling (`deviceId` or `device_id`), and names that are unknown are
        passed over, as the specification has it.  Raises TypeError for a value of the wrong
        type."""
        if isinstance(wish, MediaTrackConstraints):
            return cls(**wish.to_dict())
        if not isinstance(wish, Mapping):
            return cls()
        given: dict[str, Any] = {}
        for name, long in _NAMES.items():
            for key in (long, name):
                if wish.get(key) is not None:
                    given[name] = wish[key]
        return cls(**given)

    def to_dict(self) -> dict[str, Any]:
        """The constraints that there are, by their names here."""
        every = {name: getattr(self, name) for name in _NAMES}
        return {name: value for name, value in every.items() if value is not None}

    def merged(self, other: MediaTrackConstraints) -> Self:
        """These and those of `other`, limit by limit; what must be met here stays."""
        both: dict[str, Any] = {}
        for name in _NAMES:
            mine, theirs = self._limits(name), other._limits(name)
            if mine or theirs:
                required = {key: value for key, value in mine.items() if key != "ideal"}
                both[name] = {**mine, **theirs, **required}
        return type(self)(**both)

    def device_ids(self, limit: str) -> tuple[str, ...]:
        """The devices that are named as "exact" or "ideal"."""
        named = self._limits("device_id").get(limit, ())
        return tuple(one for one in _several(named) if one)

    @property
    def about_format(self) -> bool:
        """Whether anything is said of a picture's size, shape or rate."""
        return any(getattr(self, name) is not None for name in _FORMAT)

    def unmet(self, settings: Settings) -> str | None:
        """The first constraint that must be met and is not; None for settings that will do."""
        for name, long in _NAMES.items():
            limits = self._limits(name)
            if limits and not _meets(long, limits, settings):
                return long
        return None

    def distance(self, settings: Settings) -> float:
        """The fitness distance: 0 for exactly as wished, infinite where something is unmet."""
        if self.unmet(settings) is not None:
            return math.inf
        return sum(
            _distance(long, self._limits(name), settings)
            for name, long in _NAMES.items()
            if self._limits(name)
        )

    def select(self, candidates: Sequence[Settings]) -> list[int]:
        """The candidates that will do, by number, the nearest first.

        Raises Overconstrained, naming a constraint that the nearest miss does not meet.
        """
        distances = [
            (self.distance(settings), number) for number, settings in enumerate(candidates)
        ]
        fit = [number for distance, number in sorted(distances) if distance < math.inf]
        if not fit:
            self.check(candidates[0] if candidates else {})
            raise Overconstrained("deviceId", "there is no device to choose from; plug one in")
        return fit

    def check(self, settings: Settings) -> None:
        """Raise Overconstrained where the settings will not do."""
        unmet = self.unmet(settings)
        if unmet is None:
            return
        limits = self._limits(next(name for name, long in _NAMES.items() if long == unmet))
        wanted = ", ".join(
            f"{key} {_shown(value)}" for key, value in limits.items() if key != "ideal"
        )
        got = settings.get(unmet)
        offers = "has none" if got is None else f"gives {_shown(got)}"
        raise Overconstrained(
            unmet, f"no device has {unmet} {wanted}: the nearest {offers}; ask for less"
        )

    def format(self) -> VideoFormat:
        """The size and rate to ask a camera for.

        Where only one side or the shape is given, the other follows; what is not given is
        that of `VideoFormat`.  Raises Overconstrained for limits that nothing can meet.
        """
        usual = VideoFormat()
        ratio = self._number("aspect_ratio", _RATIO)
        if self.height is not None and self.width is None:
            height = self._number("height", usual.height)
            width = height * ratio
        else:
            width = self._number("width", usual.width)
            height = self._number("height", width / ratio)
        rate = self._number("frame_rate", usual.rate)
        return VideoFormat(round(width), round(height), rate)

    def _number(self, name: str, usual: float) -> float:
        """The value nearest to the wish, or to the usual one, within the limits."""
        limits, long = self._limits(name), _NAMES[name]
        value = limits.get("exact", limits.get("ideal", usual))
        low, high = limits.get("min", -math.inf), limits.get("max", math.inf)
        if isinstance(value, bool):
            value = usual
        if low > high:
            raise Overconstrained(long, f"{long} cannot be at least {low:g} and at most {high:g}")
        value = min(max(float(value), low), high)
        if not 0 < value < math.inf:
            raise Overconstrained(long, f"{long} must be more than 0, not {value:g}")
        return float(value)

    def _limits(self, name: str) -> dict[str, Any]:
        """A constraint as `min`, `max`, `ideal` and `exact`; empty where there is none."""
        value = getattr(self, name)
        if value is None:
            return {}
        given = dict(value) if isinstance(value, Mapping) else {"ideal": value}
        keys = ("min", "max", "exact", "ideal") if name in _NUMBERS else ("exact", "ideal")
        limits = {key: given[key] for key in keys if given.get(key) is not None}
        for key, limit in limits.items():
            if not _fits_type(name, key, limit):
                kind = "a number" if name in _NUMBERS else "true or false"
                kind = "a text" if name == "device_id" else kind
                raise TypeError(f"the constraint {name} must be {kind}, not {limit!r}")
        return limits


def video_settings(device: Device, got: VideoFormat) -> Settings:
    """What a camera does at a format."""
    return {
        "deviceId": device.id,
        "width": got.width,
        "height": got.height,
        "frameRate": got.rate,
        "aspectRatio": got.width / got.height,
    }


def audio_settings(device: Device) -> Settings:
    """What a microphone does: its sound is sent as it comes."""
    return {
        "deviceId": device.id,
        "echoCancellation": False,
        "noiseSuppression": False,
        "autoGainControl": False,
    }


def _meets(name: str, limits: Mapping[str, Any], settings: Settings) -> bool:
    required = [key for key in limits if key != "ideal"]
    if not required or not _applies(name, settings):
        return True
    if name not in settings:
        return False
    value = settings[name]
    if isinstance(value, str | bool):
        return value in _several(limits["exact"])
    slack = _TOLERANCE.get(name, 0.0)
    low = max(limits.get("min", -math.inf), limits.get("exact", -math.inf))
    high = min(limits.get("max", math.inf), limits.get("exact", math.inf))
    return bool(low - slack <= value <= high + slack)


def _distance(name: str, limits: Mapping[str, Any], settings: Settings) -> float:
    if "ideal" not in limits or not _applies(name, settings):
        return 0.0
    ideal, value = limits["ideal"], settings.get(name)
    if isinstance(ideal, bool) and not isinstance(value, bool):
        return float(ideal != (value is not None))
    if value is None:
        return 1.0
    if isinstance(value, str | bool):
        return float(value not in _several(ideal))
    if abs(value - ideal) <= _TOLERANCE.get(name, 0.0):
        return 0.0
    return float(abs(value - ideal) / max(abs(value), abs(ideal)))


def _applies(name: str, settings: Settings) -> bool:
    """Whether the constraint is for this kind of device at all: a microphone has no width."""
    sound = "echoCancellation" in settings
    return name == "deviceId" or sound == (name in {_NAMES[each] for each in _SWITCHES})


def _fits_type(name: str, key: str, limit: object) -> bool:
    if name == "device_id":
        return isinstance(limit, str) or (
            isinstance(limit, Sequence) and all(isinstance(one, str) for one in limit)
        )
    if name in _SWITCHES:
        return isinstance(limit, bool)
    if isinstance(limit, bool):
        # A plain True only asks that the device has such a thing at all.
        return key == "ideal"
    return isinstance(limit, int | float) and not math.isnan(limit)


def _several(limit: Any) -> tuple[Any, ...]:
    return tuple(limit) if isinstance(limit, Sequence) and not isinstance(limit, str) else (limit,)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
