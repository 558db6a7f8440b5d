"""The devices that a configuration asks for."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from appliance.provisioning.config import Config, DeviceConfig
from appliance.provisioning.mistakes import unknown
from appliance.provisioning.options import blamed
from hal import registry
from hal.audio import Microphone, Speaker
from hal.camera import Camera
from hal.controls import Controls
from hal.controls.combined import CombinedControls
from hal.device import Device, Kind
from hal.display import Display
from hal.errors import DeviceNotFound, OptionInvalid

Made = TypeVar("Made")


@dataclass(slots=True)
class Hardware:
    """One of each class, none of them open yet.

    `notes` are what the user should see: each device that is not the one that one would
    expect, and why.
    """

    camera: Camera
    microphone: Microphone
    speaker: Speaker
    controls: Controls
    display: Display
    notes: list[str] = field(default_factory=list)


def build(config: Config) -> Hardware:
    """Make every device.  Looks for them in files and libraries, so not for the loop.

    Raises ConfigError for a backend or option that cannot be, with its place in the file,
    and HalError for a device that is not there.
    """
    with noting() as notes:
        return Hardware(
            camera=camera(config),
            microphone=microphone(config),
            speaker=speaker(config),
            controls=controls(config),
            display=display(config),
            notes=notes,
        )


@contextlib.contextmanager
def noting() -> Iterator[list[str]]:
    """Collects what `Hardware.notes` tells of the devices made within."""
    notes = _Notes()
    logger = logging.getLogger(registry.__name__)
    logger.addHandler(notes)
    try:
        yield notes.lines
    finally:
        logger.removeHandler(notes)


def camera(config: Config) -> Camera:
    """The camera alone.  Raises as `build`."""
    return _make(config, "camera", lambda n, **o: registry.create("camera", n, **o))


def microphone(config: Config) -> Microphone:
    """The microphone alone.  Raises as `build`."""
    return _make(config, "microphone", lambda n, **o: registry.create("microphone", n, **o))


def speaker(config: Config) -> Speaker:
    """The loudspeaker alone.  Raises as `build`."""
    return _make(config, "speaker", lambda n, **o: registry.create("speaker", n, **o))


def display(config: Config) -> Display:
    """The screen alone.  Raises as `build`."""
    return _make(config, "display", lambda n, **o: registry.create("display", n, **o))


def other_camera(config: Config, device: Device) -> Camera:
    """Another camera in place of the one that is configured, with those of its options that
    this one knows.  Raises HalError."""
    return registry.create("camera", device.backend, **_options(config.camera, device))


def other_microphone(config: Config, device: Device) -> Microphone:
    """As `other_camera`."""
    return registry.create("microphone", device.backend, **_options(config.microphone, device))


def other_speaker(config: Config, device: Device) -> Speaker:
    """As `other_camera`."""
    return registry.create("speaker", device.backend, **_options(config.speaker, device))


def _options(wanted: DeviceConfig, device: Device) -> dict[str, object]:
    known = registry.options_of(device.kind, device.backend)
    options = {name: value for name, value in wanted.options.items() if name in known}
    return options | {"device": device.id}


def controls(config: Config) -> Controls:
    """The buttons and lights alone.  Raises as `build`."""

    def create(name: str, **options: object) -> Controls:
        return registry.create("controls", name, **options)

    also = config.controls.also
    if not also:
        return _make(config, "controls", create)
    names = [config.controls.backend, *also]
    try:
        known = {name: registry.options_of("controls", name) for name in names}
    except DeviceNotFound as error:
        raise config.error(("controls", "also"), str(error)) from error
    options = config.controls.arguments
    for option in options:
        if not any(option in accepted for accepted in known.values()):
            every = sorted(set().union(*known.values()) - {"device"})
            raise config.error(("controls", "options", option), unknown(option, every))
    parts: list[Controls] = []
    for name in names:
        chosen = {option: options[option] for option in options if option in known[name]}
        if name != config.controls.backend:
            chosen.pop("device", None)
        try:
            parts.append(create(name, **chosen))
        except OptionInvalid as error:
            raise config.error(blamed("controls", chosen, error), str(error)) from error
    return CombinedControls(parts)


def _make(config: Config, kind: Kind, create: Callable[..., Made]) -> Made:
    wanted: DeviceConfig = getattr(config, kind)
    try:
        return create(wanted.backend, **wanted.arguments)
    except DeviceNotFound as error:
        if wanted.backend in ("auto", *registry.backends(kind)):
            raise
        raise config.error((kind, "backend"), str(error)) from error
    except OptionInvalid as error:
        raise config.error(blamed(kind, wanted.arguments, error), str(error)) from error


class _Notes(logging.Handler):
    """Keeps the warnings of the registry."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
