"""The text of a configuration as a difference shows it: line by line as it was written, without its
secrets.

What is a secret is said by the types of the model, and of what the model leaves open, a backend's
options and keys that it does not know, by the name.  Which value stands where is told by the
standard library's parser, which is given the text with a mark in the place of each value: so it
makes no difference in what way a text is quoted, or a table written.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import tomli_w
from pydantic import BaseModel, SecretStr

from appliance.provisioning.config import Config
from appliance.provisioning.mistakes import models_in, types_in
from appliance.provisioning.showing import MASK, is_secret, password_in
from appliance.provisioning.source import COMMENT, STRING

LONG: Final = 8
"""Characters of a secret that no other value holds by chance."""

_MARK: Final = "\ue000"
"""How a mark begins: as no key without quotes does, and those with quotes are marks themselves."""

_WRITTEN: Final = re.compile(
    rf"""{COMMENT}|{STRING}|(?<==)[^\S\n]*[^\s\[\]{{}},"'#]+([ ]\d\d:[^\s,}}#]+)?""", re.DOTALL
)
"""A comment, a text, or what else a key is given: a number, a truth value, a time."""

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
"""How an address begins that says how it is to be spoken with."""


class Sealed:
    """A text of TOML whose secrets are known.

    Raises ValueError where they cannot be told from the rest, in what no device takes: it is no
    TOML, or has a list of numbers for a secret.
    """

    def __init__(self, text: str) -> None:
        self._text: Final = text
        self._values: Final[list[Any]] = []
        self._hidden: Final[dict[int, str]] = {}
        """What is shown instead, by the number of the value."""
        secrets: set[str] = set()
        try:
            tomllib.loads(text)
            marked = tomllib.loads(_with_values(text, self._mark))
            leaves = list(_leaves((), marked, self._values))
        except RecursionError:
            raise ValueError("tables within tables, more than any that are meant") from None
        for key, number in leaves:
            value = None if number is None else self._values[number]
            if _is_secret(key, value):
                if number is None:
                    raise ValueError("a secret that is a list of numbers")
                self._hidden[number] = MASK
                secrets.add(str(value))
            elif number is not None and (address := _address(value)) is not None:
                self._hidden[number], password = address
                secrets.add(password)
        self.secrets: Final = frozenset(secrets - {""})

    def _mark(self, written: str) -> str:
        self._values.append(tomllib.loads(f"x = {written}")["x"])
        return f'"{_MARK}{len(self._values) - 1}"'

    def lines(self, secrets: Collection[str]) -> list[str]:
        """Its lines, the mask in the place of its secrets and of those of others."""
        numbers = iter(range(len(self._values)))

        def show(written: str) -> str:
            number = next(numbers)
            shown = self._hidden.get(number)
            if shown is None and _tells(self._values[number], secrets):
                shown = MASK
            return written if shown is None else _rewritten(written, shown)

        return lines(_with_values(self._text, show, lambda comment: _comment(comment, secrets)))


def lines(text: str) -> list[str]:
    """Lines as TOML has them: what else ends one for Python may stand within a text."""
    return text.removesuffix("\n").split("\n") if text else []


def _with_values(
    text: str, value: Callable[[str], str], comment: Callable[[str], str] = str
) -> str:
    """A text with other values and comments."""
    return _WRITTEN.sub(
        lambda found: (comment if found[0].startswith("#") else value)(found[0]), text
    )


def _leaves(
    key: tuple[str, ...], marked: Any, values: Sequence[Any]
) -> Iterator[tuple[tuple[str, ...], int | None]]:
    """The key and the number of each value; None as the number of one without a mark."""
    if isinstance(marked, Mapping):
        for name, inner in marked.items():
            number = _number(name)
            yield from _leaves((*key, name if number is None else values[number]), inner, values)
    elif isinstance(marked, list):
        for inner in marked:
            yield from _leaves(key, inner, values)
    else:
        yield key, _number(marked)


def _number(marked: Any) -> int | None:
    is_mark = isinstance(marked, str) and marked.startswith(_MARK)
    return int(marked.removeprefix(_MARK)) if is_mark else None


def _is_secret(key: Sequence[str], value: Any) -> bool:
    """Whether a key is one of a secret; `value` is None for a number in a list."""
    model: type[BaseModel] = Config
    for depth, name in enumerate(key):
        field = model.model_fields.get(name)
        if field is None:
            return _is_secret_by_name(key[depth:], value)
        if SecretStr in types_in(field.annotation):
            return True
        section = next(models_in(field.annotation), None)
        if section is None:
            return _is_secret_by_name(key[depth + 1 :], value)
        model = section
    return False


def _is_secret_by_name(names: Sequence[str], value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return False
    is_text = isinstance(value, str)
    # A number that is a pin is where a wire goes.
    return any(is_secret(name) and (is_text or not name.endswith("_pin")) for name in names)


def _address(value: Any) -> tuple[str, str] | None:
    """An address with the mask for its password, and that; None for what has none.

    One that is wrong need not be told apart as an address is: what may be its password is.
    """
    if not isinstance(value, str) or "@" not in value:
        return None
    if password := password_in(value):
        return value.replace(f":{password}@", f":{MASK}@"), password
    before, _, host = value.rpartition("@")
    scheme = _SCHEME.match(before)
    begin = 0 if scheme is None else scheme.end()
    user, colon, password = before[begin:].partition(":")
    if not colon or (scheme is None and any(c.isspace() for c in value)):
        return None
    return f"{before[:begin]}{MASK}@{host}", password or user


def _tells(value: Any, secrets: Collection[str]) -> bool:
    """Whether a value that is none itself is a secret, or holds one."""
    text = str(value)
    return text in secrets or any(len(one) >= LONG and one in text for one in secrets)


def _rewritten(written: str, shown: str) -> str:
    """The value that is shown in the place of one, on as many lines."""
    if "\n" in written:
        return '"""' + "\n".join([MASK] * (written.count("\n") + 1)) + '"""'
    if written.startswith("'") and "'" not in shown:
        return f"'{shown}'"
    space = written[: len(written) - len(written.lstrip())]
    return space + tomli_w.dumps({"x": shown}).strip().removeprefix("x = ")


def _comment(comment: str, secrets: Collection[str]) -> str:
    """A comment without what may be a secret: nobody says of what is commented out what it is."""
    if any(secret in comment for secret in secrets) or ("://" in comment and "@" in comment):
        return f"# {MASK}"
    said, equals, _ = comment.partition("=")
    return f"{said}= {MASK}" if equals else comment
