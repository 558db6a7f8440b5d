"""The options of a device's backend, checked without touching a device.

A backend's constructor says which options it knows and what they may be.
"""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from appliance.provisioning.config import Config, DeviceConfig
from appliance.provisioning.layers import AUTO
from appliance.provisioning.mistakes import in_words, shown, unknown
from appliance.provisioning.source import Key
from hal import registry
from hal.device import Kind
from hal.errors import BackendUnavailable, DeviceNotFound


def check_options(config: Config) -> None:
    """Raises ConfigError for a backend or an option that cannot be, with its place in the file."""
    for kind in registry.KINDS:
        for key, reason in option_mistakes(kind, getattr(config, kind)):
            raise config.error(key, reason)


def option_mistakes(kind: Kind, section: DeviceConfig) -> Iterator[tuple[Key, str]]:
    """Backends and options that cannot be, each with the reason.

    A backend whose library is missing here is not looked into: it may be there on the device.
    """
    names = [("backend", section.backend), *(("also", n) for n in getattr(section, "also", []))]
    backends: list[type[registry.Backend]] = []
    known_by_all = True
    for name, backend in names:
        try:
            if backend != AUTO:
                backends.append(registry.load(kind, backend))
                continue
        except DeviceNotFound as error:
            yield (kind, name), str(error)
        except BackendUnavailable:
            pass
        known_by_all = False
    if not known_by_all:
        # Of `auto` and of what is not installed here nobody knows the options.
        return
    known = {
        name: _hints(backend).get(name)
        for backend in backends
        for name in inspect.signature(backend).parameters
        if name != "device"
    }
    for name, value in section.options.items():
        key = (kind, "options", name)
        if name not in known:
            yield key, unknown(name, sorted(known))
        elif known[name] is not None and (reason := _wrong(known[name], value)) is not None:
            yield key, reason


def _hints(backend: type[Any]) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(backend.__init__)
    except NameError:
        # Names that the backend imports for type checkers only.
        return {}


def _wrong(hint: Any, value: Any) -> str | None:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(
            hint, config=ConfigDict(arbitrary_types_allowed=True)
        )
    except PydanticUserError:
        # A model of its own has its own settings.
        adapter = TypeAdapter(hint)
    except PydanticSchemaGenerationError:
        return None
    try:
        # TOML's types are those of JSON and times: a list may stand for a tuple, and a text for a
        # path, but not for a number.
        adapter.validate_json(json.dumps(value, default=str), strict=True)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        return f"{in_words(detail)}, not {shown(value)}"
    return None
