"""What pydantic finds wrong, told as one line that a person can act on."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from appliance.provisioning.source import Key

SECRET: Final = re.compile(r"(^|_)(token|secret|password|pin|key)($|_)")
"""Keys whose values never stand in a message."""

CANDIDATES: Final = 8
"""Mistakes of which the one that stands first is looked for."""

_TYPES: Final = {
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
}
"""What to write where TOML has a type of its own for a value."""

_PASSWORD: Final = re.compile(r"(?<=://)[^/@\s'\"]+(?=@)")


def worst(
    error: ValidationError, model: type[BaseModel], place: Callable[[Key], tuple[int, int] | None]
) -> tuple[Key, str]:
    """The key to blame first, and why.

    An unknown key goes first: misspelt, it is why another one is missing.
    """
    details = error.errors(include_url=False)
    strangers = [detail for detail in details if detail["type"] == "extra_forbidden"]
    # To find a place takes milliseconds, and rubbish has thousands of mistakes.
    first = min(
        (strangers or details)[:CANDIDATES], key=lambda detail: place(detail["loc"]) or (0, 0)
    )
    reason = _reason(first, model)
    if len(details) > 1 and first["type"] != "extra_forbidden":
        reason += f" (and {len(details) - 1} more)"
    return first["loc"], reason


def unknown(name: str, known: Sequence[str]) -> str:
    """What is said of a key that is none of those known."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"unknown key, did you mean {near[0]}?"
    return f"unknown key, choose one of {', '.join(known)}"


def in_words(detail: ErrorDetails) -> str:
    """What is wrong with a value, or what to write instead; without the value."""
    text = _TYPES.get(detail["type"])
    if text is not None:
        return text + (", without quotes" if isinstance(detail["input"], str) else "")
    text = " ".join(detail["msg"].split())
    return text[:1].lower() + text[1:]


def shown(value: Any) -> str:
    """A wrong value as it stands in a message: short, and without a password."""
    text = _PASSWORD.sub("...", repr(value))
    return text if len(text) <= 60 else text[:57] + "..."


def keys_of(model: type[BaseModel], table: Key) -> list[str]:
    """The keys of the table that `table` names."""
    for part in table:
        field = model.model_fields[str(part)]
        kinds: Sequence[Any] = (field.annotation, *get_args(field.annotation))
        found = (kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))
        model = next(found, model)
    return sorted(model.model_fields)


def _reason(detail: ErrorDetails, model: type[BaseModel]) -> str:
    kind, key = detail["type"], detail["loc"]
    if kind == "extra_forbidden":
        return unknown(str(key[-1]), keys_of(model, key[:-1]))
    if kind == "missing":
        return "is missing; add it"
    text = in_words(detail)
    secret = any(isinstance(part, str) and SECRET.search(part) for part in key)
    if secret or kind in ("way_in", "model_type"):
        return text
    return f"{text}, not {shown(detail['input'])}"
