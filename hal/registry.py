"""Backends by name.

A backend is named in the config (`camera = "v4l2"`) and found by an entry point of the
group `roomlet.hal.<class>`; the classes are those of `hal.device.Kind`.  The backends of
this package are also listed in `BUILTIN`, so that a source checkout needs no
installation; a name of that table cannot be taken over by another package.

`auto` tries the backends of `AUTO` in order and takes the first that has a device.
Those passed over are logged as one warning with their reasons.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Collection, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Final, Literal, TypeAlias, get_args, overload

from hal.audio import Microphone, Speaker
from hal.camera import Camera
from hal.controls import Controls
from hal.device import Device, Kind
from hal.display import Display
from hal.errors import BackendUnavailable, DeviceNotFound, HalError, OptionInvalid
from hal.spelling import suggestion

Backend: TypeAlias = Camera | Microphone | Speaker | Controls | Display

log = logging.getLogger(__name__)

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

BASES: Final[Mapping[Kind, type[Backend]]] = {
    "camera": Camera,
    "microphone": Microphone,
    "speaker": Speaker,
    "controls": Controls,
    "display": Display,
}

BUILTIN: Final[Mapping[Kind, Mapping[str, str]]] = {
    "camera": {
        "synthetic": "hal.camera.synthetic:SyntheticCamera",
        "file": "hal.camera.file:FileCamera",
        "picamera2": "hal.camera.picamera2:Picamera2Camera",
        "v4l2": "hal.camera.v4l2:V4l2Camera",
        "x11": "hal.camera.x11:X11Camera",
    },
    "microphone": {
        "synthetic": "hal.audio.synthetic:SyntheticMicrophone",
        "wav": "hal.audio.wav:WavMicrophone",
        "alsa": "hal.audio.alsa:AlsaMicrophone",
    },
    "speaker": {
        "synthetic": "hal.audio.synthetic:SyntheticSpeaker",
        "wav": "hal.audio.wav:WavSpeaker",
        "alsa": "hal.audio.alsa:AlsaSpeaker",
    },
    "controls": {
        "virtual": "hal.controls.virtual:VirtualControls",
        "gpio": "hal.controls.gpio:GpioControls",
        "hid": "hal.controls.hid:HidControls",
    },
    "display": {
        "memory": "hal.display.memory:MemoryDisplay",
        "sdl": "hal.display.sdl:SdlDisplay",
    },
}

AUTO: Final[Mapping[Kind, tuple[tuple[str, Mapping[str, object]], ...]]] = {
    "camera": (("picamera2", {}), ("v4l2", {}), ("synthetic", {})),
    # A microphone that had to be made up keeps quiet: nobody asked for a tone.
    "microphone": (("alsa", {}), ("synthetic", {"pattern": "silence"})),
    "speaker": (("alsa", {}), ("synthetic", {})),
    "controls": (("gpio", {}), ("hid", {}), ("virtual", {})),
    "display": (("sdl", {}), ("memory", {})),
}
"""What `auto` tries, best first, with the options that it sets where the user set none."""

_EXTRAS: Final = frozenset({"picamera2", "hid"})
"""Backends whose library is not installed with Roomlet: on a machine without it `auto` has
nothing better to fall back from, and passes them over without a warning."""


def backends(kind: Kind) -> list[str]:
    """The names of all backends of a device class, ours first."""
    ours = _builtin(kind)
    return [*ours, *sorted(set(_third_parties(kind)) - set(ours))]


def load(kind: Kind, name: str) -> type[Backend]:
    """The class of a backend.

    Raises DeviceNotFound when no backend has the name, BackendUnavailable when its
    module cannot be imported or holds something else than a backend of this class.
    """
    target = _builtin(kind).get(name)
    if target is not None:
        entry: EntryPoint | None = EntryPoint(name, target, f"roomlet.hal.{kind}")
    else:
        entry = _third_parties(kind).get(name)
    if entry is None:
        raise DeviceNotFound(f"no {kind} backend {name!r}; {suggestion(name, backends(kind))}")
    try:
        found = entry.load()
    except (ImportError, AttributeError) as error:
        raise BackendUnavailable(
            f"{kind} backend {name!r} cannot be loaded from {entry.value} ({error}); reinstall it"
        ) from error
    if not (isinstance(found, type) and issubclass(found, BASES[kind])):
        raise BackendUnavailable(
            f"{kind} backend {name!r} ({entry.value}) is no {BASES[kind].__name__}; "
            "mend its package"
        )
    return found


@overload
def create(cls: Literal["camera"], name: str = ..., **options: object) -> Camera: ...
@overload
def create(cls: Literal["microphone"], name: str = ..., **options: object) -> Microphone: ...
@overload
def create(cls: Literal["speaker"], name: str = ..., **options: object) -> Speaker: ...
@overload
def create(cls: Literal["controls"], name: str = ..., **options: object) -> Controls: ...
@overload
def create(cls: Literal["display"], name: str = ..., **options: object) -> Display: ...
def create(cls: Kind, name: str = "auto", **options: object) -> Backend:
    """Make a backend of device class `cls`, not yet opened.

    `options` are those of the backend's constructor; `device`, which all of them know,
    is the id of one device.  With the name `auto` each candidate gets the options that it
    knows, and one with a `device` is taken only when it lists that id.

    Raises DeviceNotFound for an unknown backend or device, OptionInvalid for an unknown
    option or a bad value, BackendUnavailable when the backend's library is missing.
    """
    if name == "auto":
        return _automatic(cls, options)
    backend = load(cls, name)
    _check_options(cls, name, backend, options)
    return _construct(cls, name, backend, options)


def options_of(kind: Kind, name: str) -> frozenset[str]:
    """What the constructor of a backend takes; with the name `auto`, that of any candidate.

    Raises as `load`.
    """
    return frozenset(_auto_options(kind) if name == "auto" else _parameters(load(kind, name)))


def list_devices(kind: Kind | None = None, names: Collection[str] | None = None) -> list[Device]:
    """Every device of every backend that works here, of one class or of all.

    `names` are the backends that are asked, all by default; `auto` stands for its candidates.  A
    backend whose library is missing has no devices; the reason is logged.
    """
    found: list[Device] = []
    for one in KINDS if kind is None else (kind,):
        wanted = backends(one) if names is None else _spelled_out(one, names)
        for name in wanted:
            try:
                found += load(one, name).devices()
            except HalError as error:
                log.debug("%s backend %s lists no devices: %s", one, name, error)
    return found


def _spelled_out(kind: Kind, names: Collection[str]) -> list[str]:
    automatic = {name for name, _ in AUTO[kind]} if "auto" in names else set()
    wanted = {*names, *automatic} - {"auto"}
    ours = _builtin(kind)
    # What other packages declare is read from their files, which a look every now and then must
    # not do for nothing.
    known = list(ours) if wanted <= ours.keys() else backends(kind)
    return [name for name in known if name in wanted]


def _automatic(kind: Kind, options: Mapping[str, object]) -> Backend:
    _builtin(kind)
    known = _auto_options(kind)
    for option in options:
        if option not in known:
            _reject_option(kind, "auto", option, sorted(known))
    wanted = options.get("device")
    passed: list[tuple[str, HalError]] = []
    for name, defaults in AUTO[kind]:
        try:
            backend = load(kind, name)
            devices = backend.devices()
            if not devices:
                raise DeviceNotFound(f"it finds no {kind} on this machine")
            if wanted is not None and wanted not in [device.id for device in devices]:
                raise DeviceNotFound(f"it finds no {kind} {wanted!r}")
            accepted = _parameters(backend)
            chosen = {key: value for key, value in options.items() if key in accepted}
            made = _construct(kind, name, backend, {**defaults, **chosen})
        except BackendUnavailable as error:
            if name in _EXTRAS:
                log.debug("%s: %s is left out: %s", kind, name, error)
            else:
                passed.append((name, error))
            continue
        except HalError as error:
            passed.append((name, error))
            continue
        if passed:
            log.warning("%s: falling back to %s (%s)", kind, name, _reasons(passed))
        return made
    raise DeviceNotFound(f"no {kind} found ({_reasons(passed)}); name one in the config")


def _reasons(passed: Iterable[tuple[str, HalError]]) -> str:
    return "; ".join(f"{name}: {error}" for name, error in passed)


def _construct(
    kind: Kind, name: str, backend: type[Backend], options: Mapping[str, object]
) -> Backend:
    try:
        return backend(**options)
    except HalError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise OptionInvalid(f"{kind} backend {name!r}: {error}; check its options") from error


def _check_options(kind: Kind, name: str, backend: type[Backend], options: Iterable[str]) -> None:
    accepted = _parameters(backend)
    for option in options:
        if option not in accepted:
            _reject_option(kind, name, option, sorted(accepted))


def _reject_option(kind: Kind, name: str, option: str, accepted: list[str]) -> None:
    raise OptionInvalid(
        f"{kind} backend {name!r} has no option {option!r}; {suggestion(option, accepted)}",
        [option],
    )


def _parameters(backend: type[Backend]) -> set[str]:
    return set(inspect.signature(backend).parameters)


def _auto_options(kind: Kind) -> set[str]:
    """The options of all candidates of `auto` together."""
    known: set[str] = set()
    for name, _ in AUTO[kind]:
        try:
            known |= _parameters(load(kind, name))
        except HalError:
            continue
    return known


def _builtin(kind: Kind) -> Mapping[str, str]:
    try:
        return BUILTIN[kind]
    except KeyError:
        raise DeviceNotFound(f"no device class {kind!r}; {suggestion(kind, KINDS)}") from None


def _third_parties(kind: Kind) -> dict[str, EntryPoint]:
    ours = BUILTIN[kind]
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=f"roomlet.hal.{kind}"):
        if entry.name not in ours:
            found[entry.name] = entry
        elif entry.value != ours[entry.name]:
            log.warning(
                "%s backend %s of %s is ignored: the name belongs to Roomlet's own",
                kind,
                entry.name,
                entry.value,
            )
    return found
