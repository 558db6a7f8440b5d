"""The options of a device's backend, checked without touching a device.

A backend's constructor says which options it knows and what they may be, and refuses those that do
not go together.
"""

from __future__ import annotations

import functools
import inspect
import json
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import ErrorDetails

from appliance.provisioning.config import Config, DeviceConfig
from appliance.provisioning.layers import AUTO
from appliance.provisioning.mistakes import MISSING, UNKNOWN, Mistake, in_words, shown, unknown
from appliance.provisioning.source import Key
from hal import registry
from hal.device import Kind
from hal.errors import BackendUnavailable, DeviceNotFound, HalError, OptionInvalid
from hal.spelling import suggestion

KIND_OF: Final[Mapping[str, Kind]] = {
    **{kind: kind for kind in registry.KINDS},
    "screen_share": "camera",
}
"""The device class of each section that names a backend."""

_LABEL: Final = "checked"
"""The label of what is only made to see whether it can be: with one, no backend asks the device for
its own."""


def check_options(config: Config) -> None:
    """Raises ConfigError for a backend or an option that cannot be, with its place in the file."""
    for name in KIND_OF:
        for one in option_mistakes(name, getattr(config, name)):
            raise config.error(one.key, one.reason)


def option_mistakes(name: str, section: DeviceConfig, *, whole: bool = True) -> Iterator[Mistake]:
    """Backends and options that cannot be in the section of this name; of one that is not `whole`,
    for some of it could not be read, nothing that may well be there.

    A backend whose library is missing here is not looked into: it may be there on the device.  The
    others are made, but not opened.  Of `auto` an option has to be one of some candidate; its value
    is not looked at, for a candidate that refuses it is passed over.
    """
    kind = KIND_OF[name]
    named = [("backend", section.backend), *(("also", n) for n in getattr(section, "also", []))]
    backends: dict[str, type[registry.Backend]] = {}
    of_candidates: Collection[str] = ()
    known_by_all = True
    for key, backend in named:
        try:
            if backend == AUTO:
                of_candidates = registry.options_of(kind, AUTO)
            else:
                backends[backend] = registry.load(kind, backend)
            continue
        except DeviceNotFound as error:
            yield Mistake((name, key), str(error), None)
        except BackendUnavailable:
            pass
        known_by_all = False
    known: dict[str, Any] = {option: None for option in of_candidates if option != "device"}
    known |= {
        option: _hints(backend).get(option)
        for backend in backends.values()
        for option in inspect.signature(backend).parameters
        if option != "device"
    }
    wrong, misspelt = set(), False
    for option, value in section.options.items():
        if option not in known:
            # Of what is not installed here nobody knows the options.
            if known_by_all:
                misspelt = True
                reason = _unknown(kind, [backend for _, backend in named], option, known)
                yield Mistake((name, "options", option), reason, UNKNOWN)
        elif known[option] is not None and (detail := _wrong(known[option], value)) is not None:
            wrong.add(option)
            reason = f"{in_words(detail)}, not {shown(value)}"
            yield Mistake((name, "options", option), reason, detail["type"])
    if misspelt or (name == "screen_share" and section.device is None):
        # What is missing, or contradicts another, may be just that.  And of a section that is not
        # in use nothing is missing.
        return
    for backend in backends:
        arguments = section.arguments if backend == section.backend else section.options
        parameters = inspect.signature(backends[backend]).parameters
        chosen = {option: arguments[option] for option in arguments if option in parameters}
        missing = [
            one.name
            for one in parameters.values()
            if one.kind is one.KEYWORD_ONLY and one.default is one.empty and one.name not in chosen
        ]
        for one in missing if whole else ():
            yield Mistake(_key(name, one), "is missing; add it", MISSING)
        # What a wrong value may lead to is no mistake of its own.
        if missing or not wrong.isdisjoint(chosen):
            continue
        refusal = _refusal(kind, backend, chosen)
        if refusal is None:
            continue
        # Whether it is about options that are given, and asks for none beside them.
        if whole or (refusal.options and set(refusal.options) <= set(chosen)):
            yield Mistake(blamed(name, chosen, refusal), str(refusal), None)


def blamed(name: str, arguments: Collection[str], refusal: OptionInvalid) -> Key:
    """The key, in the section of this name, of the argument that a backend refuses, or else of all
    options."""
    first = next((option for option in refusal.options if option in arguments), None)
    return (name, "options") if first is None else _key(name, first)


def _unknown(kind: Kind, backends: Sequence[str], option: str, known: Collection[str]) -> str:
    """What is said of an option that is none of these backends'; of another's, whose it is."""
    owners = [other for other in registry.backends(kind) if option in _options_of(kind, other)]
    if not owners or option == "device":
        return unknown(option, sorted(known))
    belongs = f"an option of {' and '.join(owners)}, not of {' or '.join(backends)}"
    return f"unknown key, {belongs}; {suggestion(option, sorted(known))}"


def _options_of(kind: Kind, backend: str) -> Collection[str]:
    try:
        return registry.options_of(kind, backend)
    except HalError:
        return ()


def _refusal(kind: Kind, name: str, arguments: Mapping[str, Any]) -> OptionInvalid | None:
    """Why a backend cannot be made with these arguments; None if it can, or if that is of the
    machine and not of them."""
    labelled = {"label": _LABEL} if "label" in registry.options_of(kind, name) else {}
    try:
        registry.create(kind, name, **{**arguments, **labelled})
    except OptionInvalid as error:
        return error
    except HalError:
        pass
    return None


def _key(name: str, argument: str) -> Key:
    return (name, "device") if argument == "device" else (name, "options", argument)


@functools.cache
def _hints(backend: type[Any]) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(backend.__init__)
    except NameError:
        # Names that the backend imports for type checkers only.
        return {}


def _wrong(hint: Any, value: Any) -> ErrorDetails | None:
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
        return error.errors(include_url=False)[0]
    return None
