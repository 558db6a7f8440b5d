"""The options of a device's backend, checked without touching a device.

A backend's constructor says which options it knows and what they may be, and refuses those that do
not go together.
"""

from __future__ import annotations

import inspect
import json
import re
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from appliance.provisioning.config import Config, DeviceConfig
from appliance.provisioning.layers import AUTO
from appliance.provisioning.mistakes import in_words, shown, unknown
from appliance.provisioning.source import Key
from hal import registry
from hal.device import Kind
from hal.errors import BackendUnavailable, DeviceNotFound, HalError, OptionInvalid

_LABEL: Final = "checked"
"""The label of what is only made to see whether it can be: with one, no backend asks the device for
its own."""


def check_options(config: Config) -> None:
    """Raises ConfigError for a backend or an option that cannot be, with its place in the file."""
    for kind in registry.KINDS:
        for key, reason in option_mistakes(kind, getattr(config, kind)):
            raise config.error(key, reason)


def option_mistakes(kind: Kind, section: DeviceConfig) -> Iterator[tuple[Key, str]]:
    """Backends and options that cannot be, each with the reason.

    A backend whose library is missing here is not looked into: it may be there on the device.  The
    others are made, but not opened.
    """
    names = [("backend", section.backend), *(("also", n) for n in getattr(section, "also", []))]
    backends: dict[str, type[registry.Backend]] = {}
    known_by_all = True
    for name, backend in names:
        try:
            if backend != AUTO:
                backends[backend] = registry.load(kind, backend)
                continue
        except DeviceNotFound as error:
            yield (kind, name), str(error)
        except BackendUnavailable:
            pass
        known_by_all = False
    known = {
        name: _hints(backend).get(name)
        for backend in backends.values()
        for name in inspect.signature(backend).parameters
        if name != "device"
    }
    wrong, misspelt = set(), False
    for name, value in section.options.items():
        key = (kind, "options", name)
        if name not in known:
            # Of `auto` and of what is not installed here nobody knows the options.
            if known_by_all:
                misspelt = True
                yield key, unknown(name, sorted(known))
        elif known[name] is not None and (reason := _wrong(known[name], value)) is not None:
            wrong.add(name)
            yield key, reason
    if misspelt:
        # What is missing, or contradicts another, may be just that.
        return
    for name, backend in backends.items():
        arguments = section.arguments if name == section.backend else section.options
        parameters = inspect.signature(backend).parameters
        chosen = {option: arguments[option] for option in arguments if option in parameters}
        missing = [
            one.name
            for one in parameters.values()
            if one.kind is one.KEYWORD_ONLY and one.default is one.empty and one.name not in chosen
        ]
        for one in missing:
            yield _key(kind, one), "is missing; add it"
        # What a wrong value may lead to is no mistake of its own.
        if missing or not wrong.isdisjoint(chosen):
            continue
        if (reason := _refusal(kind, name, chosen)) is not None:
            yield _blamed(kind, chosen, reason), reason


def _refusal(kind: Kind, name: str, arguments: Mapping[str, Any]) -> str | None:
    """Why a backend cannot be made with these arguments; None if it can, or if that is of the
    machine and not of them."""
    labelled = {"label": _LABEL} if "label" in registry.options_of(kind, name) else {}
    try:
        registry.create(kind, name, **{**arguments, **labelled})
    except OptionInvalid as error:
        return str(error)
    except HalError:
        pass
    return None


def _blamed(kind: Kind, arguments: Mapping[str, Any], reason: str) -> Key:
    """The key of the argument that a reason names first, or else of all options."""
    for word in re.findall(r"\w+", reason):
        if word in arguments:
            return _key(kind, word)
    return (kind, "options")


def _key(kind: Kind, argument: str) -> Key:
    return (kind, "device") if argument == "device" else (kind, "options", argument)


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
