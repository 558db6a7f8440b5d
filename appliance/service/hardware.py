"""The devices that a configuration asks for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from appliance.provisioning.config import Config, DeviceConfig
from hal import registry
from hal.audio import Microphone, Speaker
from hal.camera import Camera
from hal.controls import Controls
from hal.device import Kind
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
    notes = _Notes()
    logger = logging.getLogger(registry.__name__)
    logger.addHandler(notes)
    try:
        return Hardware(
            camera=_make(config, "camera", lambda n, **o: registry.create("camera", n, **o)),
            microphone=_make(
                config, "microphone", lambda n, **o: registry.create("microphone", n, **o)
            ),
            speaker=_make(config, "speaker", lambda n, **o: registry.create("speaker", n, **o)),
            controls=_make(config, "controls", lambda n, **o: registry.create("controls", n, **o)),
            display=_make(config, "display", lambda n, **o: registry.create("display", n, **o)),
            notes=notes.lines,
        )
    finally:
        logger.removeHandler(notes)


def _make(config: Config, kind: Kind, create: Callable[..., Made]) -> Made:
    wanted: DeviceConfig = getattr(config, kind)
    try:
        return create(wanted.backend, **wanted.arguments)
    except DeviceNotFound as error:
        if wanted.backend in ("auto", *registry.backends(kind)):
            raise
        raise config.error((kind, "backend"), str(error)) from error
    except OptionInvalid as error:
        named = next((name for name in wanted.options if repr(name) in str(error)), None)
        key = (kind, "options", named) if named is not None else (kind,)
        raise config.error(key, str(error)) from error


class _Notes(logging.Handler):
    """Keeps the warnings of the registry."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
