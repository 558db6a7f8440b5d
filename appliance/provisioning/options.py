"""The options of a device's backend, checked without touching a device.

A backend's constructor says which options it knows and what they may be.
"""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from appliance.provisioning.config import Config, DeviceConfig
from appliance.provisioning.mistakes import in_words, shown, unknown
from appliance.provisioning.source import Key
from hal import registry
from hal.device import Kind
from hal.errors import BackendUnavailable, DeviceNotFound


def check_options(config: Config) -> None:
    """Raises ConfigError for a backend or an option that cannot be, with its place in the file.

    A backend whose library is missing here is not looked into: it may be there on the device.
    """
    for kind in registry.KINDS:
        section: DeviceConfig = getattr(config, kind)
        also: list[str] = getattr(section, "also", [])
        loaded = [
            *_load(config, (kind, "backend"), kind, section.backend),
            *(found for name in also for found in _load(config, (kind, "also"), kind, name)),
        ]
        if not loaded or None in loaded:
            # Of `auto` and of what is not installed here nobody knows the options.
            continue
        known = {
            name: _hints(backend).get(name)
            for backend in loaded
            if backend is not None
            for name in inspect.signature(backend).parameters
            if name != "device"
        }
        for name, value in section.options.items():
            key = (kind, "options", name)
            if name not in known:
                raise config.error(key, unknown(name, sorted(known)))
            if known[name] is not None and (reason := _wrong(known[name], value)) is not None:
                raise config.error(key, reason)


def _load(config: Config, key: Key, kind: Kind, name: str) -> list[type[registry.Backend] | None]:
    if name == "auto":
        return [None]
    try:
        return [registry.load(kind, name)]
    except DeviceNotFound as error:
        raise config.error(key, str(error)) from None
    except BackendUnavailable:
        return [None]


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
