"""Words for what pydantic finds wrong: the same for a configuration, an HTTP call and an option."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from hal.spelling import suggestion

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["in_words", "unknown"]

LONGEST: Final = 80
"""Characters of a name that are looked at: of a long one there is nothing to guess."""

_QUOTED: Final = {
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
}
"""What to write in place of a value that may stand in quotes by mistake."""

_FIXED: Final = {
    "bool_parsing": "must be true or false",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number that ends",
    "string_type": "must be a text, in quotes",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a table of keys and values",
    "model_type": "must be one table",
    "missing": "is missing",
    "extra_forbidden": "unknown key",
}

_LIMITS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "greater_than_equal": lambda limit: f"must be at least {_number(limit['ge'])}",
    "greater_than": lambda limit: f"must be more than {_number(limit['gt'])}",
    "less_than_equal": lambda limit: f"must be at most {_number(limit['le'])}",
    "less_than": lambda limit: f"must be less than {_number(limit['lt'])}",
    "multiple_of": lambda limit: f"must be a multiple of {_number(limit['multiple_of'])}",
    "string_too_short": lambda limit: _at_least(limit["min_length"], "characters"),
    "string_too_long": lambda limit: f"must have at most {limit['max_length']} characters",
    "too_short": lambda limit: _at_least(limit["min_length"], "entries"),
    "too_long": lambda limit: f"must have at most {limit['max_length']} entries",
    "literal_error": lambda limit: f"must be {limit['expected']}",
    "enum": lambda limit: f"must be {limit['expected']}",
}
"""What is said with the limit in it."""

#: A pattern that names the characters of a text, and perhaps how many there may be.
_CHARACTERS: Final = re.compile(r"\^\[A-Za-z0-9((?:\\.|[^\\\]])*)\](?:\+|\{1,([0-9]+)\})\$")


def in_words(detail: ErrorDetails) -> str:
    """What is wrong with a value, or what to write instead, on one line. The value is not told,
    but by what a check of our own says."""
    kind, limit = detail["type"], detail.get("ctx", {})
    if kind in _QUOTED:
        return _QUOTED[kind] + (", without quotes" if isinstance(detail["input"], str) else "")
    if kind in _FIXED:
        return _FIXED[kind]
    if kind in _LIMITS:
        return _LIMITS[kind](limit)
    if kind == "string_pattern_mismatch" and (found := _CHARACTERS.fullmatch(limit["pattern"])):
        return _only(found) if detail["input"] else "must not be empty"
    text = " ".join(detail["msg"].split())
    if kind == "value_error":
        return text.removeprefix("Value error, ")
    text = re.sub(r"^\w+ should ", "must ", text)
    return text[:1].lower() + text[1:]


def unknown(name: str, known: Sequence[str]) -> str:
    """What is said of a key that is none of those known."""
    return f"unknown key, {suggestion(name[:LONGEST], known) if known else 'there is none'}"


def _number(limit: float) -> str:
    return str(int(limit)) if float(limit).is_integer() else str(limit)


def _at_least(number: int, what: str) -> str:
    return f"must have at least {number} {what}" if number > 1 else "must not be empty"


def _only(found: re.Match[str]) -> str:
    others = sorted(re.sub(r"\\(.)", r"\1", found[1]))
    words = {1: "letters, digits and {}", 2: "letters, digits, {} and {}"}.get(len(others))
    text = words.format(*others) if words else " ".join(["letters, digits and", *others])
    return f"{text} only" + (f", at most {found[2]} of them" if found[2] else "")
