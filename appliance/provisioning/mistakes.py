"""What pydantic finds wrong, told as lines that a person can act on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from appliance.provisioning.source import Key
from appliance.words import in_words as in_words
from appliance.words import unknown as unknown
from hal.spelling import nearest

SECRET: Final = re.compile(r"(^|_)(token|secret|password|pin|key)($|_)")
"""Keys whose values never stand in a message."""

CANDIDATES: Final = 8
"""Mistakes of which the one that stands first is looked for."""

MOST: Final = 100
"""Mistakes that are told of one configuration: rubbish has thousands, and each takes a while."""

AND_MORE: Final = " (and more, which roomlet config check names)"
"""What is said behind one of several mistakes."""

UNKNOWN: Final = "extra_forbidden"
"""The kind of a mistake that is a key that nobody knows."""

MISSING: Final = "missing"
"""The kind of a mistake that is a key that is not there."""

RULES: Final = ("way_in", "unguarded", "clash", MISSING)
"""Kinds of mistakes that are of several values together, or of none."""

RULE: Final = 2
"""The rank of such a mistake."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that cannot be."""

    key: Key
    reason: str
    kind: str | None
    """What sort of mistake it is, whatever the value; None where the reason alone tells."""

    @property
    def rank(self) -> int:
        """The smaller, the more likely it is the cause of others: 0 for an unknown key, 1 for a
        value, `RULE` for a rule on several."""
        return _rank(self.kind)


def mistakes(model: type[BaseModel], values: Any, *, strict: bool | None = None) -> list[Mistake]:
    """All that is wrong with values, by rank; one more than `MOST` stands for however many there
    are.  `strict` as pydantic has it.

    What may well be the consequence of another mistake is left out: a key that is missing because
    it is misspelt, a rule on values one of which is wrong.
    """
    details = sorted(_details(model, values, strict), key=lambda one: _rank(one["type"]))
    found: dict[tuple[Key, str], Mistake] = {}

    def add(detail: ErrorDetails) -> None:
        mistake = Mistake(detail["loc"], _reason(detail, model), detail["type"])
        found.setdefault((mistake.key, mistake.reason), mistake)

    blamed = []
    for detail in details:
        if not _is_rule(detail):
            add(detail)
            blamed.append(detail["loc"])
        if len(found) > MOST:
            return list(found.values())
    # Whoever asks about a section as a whole is not asked while one of its values is wrong.
    wrong = [d["loc"] for d in details if d["type"] not in ("way_in", MISSING)]
    rest = without(values, wrong) if isinstance(values, Mapping) else {}
    hidden = [d for d in _details(model, rest, strict) if _is_rule(d)] if wrong else []
    for detail in [*details, *hidden]:
        if _is_rule(detail) and not _follows(detail, blamed, model):
            add(detail)
    return list(found.values())[: MOST + 1]


def worst(
    found: Sequence[Mistake], place: Callable[[Key], tuple[int, int] | None]
) -> tuple[Key, str]:
    """The key to blame where only one can be, and why: of the least rank the first in its file."""
    causes = [mistake for mistake in found if mistake.rank == found[0].rank]
    # To find a place takes milliseconds.
    first = min(causes[:CANDIDATES], key=lambda one: place(one.key) or (0, 0))
    return first.key, first.reason


def without(values: Mapping[str, Any], keys: Iterable[Key]) -> dict[str, Any]:
    """Values without these keys; where one goes on into a list or a value, without that."""
    rest = dict(values)
    for key in keys:
        tables, names = [rest], []
        for part in key:
            if not isinstance(part, str) or part not in tables[-1]:
                break
            names.append(part)
            if not isinstance(inner := tables[-1][part], Mapping):
                break
            tables[-1][part] = copied = dict(inner)
            tables.append(copied)
        if names:
            del tables[len(names) - 1][names[-1]]
    return rest


def shown(value: Any) -> str:
    """A wrong value as it stands in a message: short, and without a password."""
    text = _without_password(repr(value))
    return text if len(text) <= 60 else text[:57] + "..."


def _without_password(text: str) -> str:
    """What is wrong need not be an address, so one is taken for granted: what stands between the
    first colon, or its two slashes, and the last @ is left out."""
    end = text.rfind("@")
    colon = text.find(":", 0, max(end, 0))
    if colon < 0:
        return text
    begin = colon + (3 if text.startswith("//", colon + 1) else 1)
    return f"{text[:begin]}...{text[end:]}"


def keys_of(model: type[BaseModel], table: Key) -> list[str]:
    """The keys of the table that `table` names."""
    for part in table:
        model = next(models_in(model.model_fields[str(part)].annotation), model)
    return sorted(model.model_fields)


def _details(model: type[BaseModel], values: Any, strict: bool | None) -> list[ErrorDetails]:
    try:
        model.model_validate(values, strict=strict)
    except ValidationError as error:
        return error.errors(include_url=False)
    return []


def _rank(kind: str | None) -> int:
    if kind == UNKNOWN:
        return 0
    return RULE if kind in RULES else 1


def _is_rule(detail: ErrorDetails) -> bool:
    return detail["type"] in RULES


def _follows(detail: ErrorDetails, blamed: Sequence[Key], model: type[BaseModel]) -> bool:
    """Whether what a rule asks for is named by a mistake beside it, or was meant by one."""
    table: Key = detail["loc"] if detail["type"] == "way_in" else detail["loc"][:-1]
    asked = {str(detail["loc"][-1])} if detail["type"] == MISSING else set()
    asked |= set(re.findall(r"\w+", detail["msg"]))
    known = keys_of(model, table)
    for key in blamed:
        if len(key) > len(table) and tuple(key[: len(table)]) == tuple(table):
            name = str(key[len(table)])
            if name in asked or (name not in known and not asked.isdisjoint(nearest(name, known))):
                return True
    return False


def _is_secret(model: type[BaseModel], key: Key) -> bool:
    """Whether the value of a key is one by its name or by its type: some addresses are."""
    if any(isinstance(part, str) and SECRET.search(part) for part in key):
        return True
    for part in key:
        field = model.model_fields.get(str(part))
        if field is None:
            break
        if SecretStr in types_in(field.annotation):
            return True
        model = next(models_in(field.annotation), model)
    return False


def types_in(annotation: Any) -> Iterator[Any]:
    """An annotation and all that it is made of."""
    yield annotation
    for inner in get_args(annotation):
        yield from types_in(inner)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation is made of."""
    for one in types_in(annotation):
        if isinstance(one, type) and issubclass(one, BaseModel):
            yield one


def _reason(detail: ErrorDetails, model: type[BaseModel]) -> str:
    kind, key = detail["type"], detail["loc"]
    if kind == UNKNOWN:
        return unknown(str(key[-1]), keys_of(model, key[:-1]))
    if kind == MISSING:
        return "is missing; add it"
    text = in_words(detail)
    if kind in ("way_in", "clash", "model_type") or _is_secret(model, key):
        return text
    return f"{text}, not {shown(detail['input'])}"
