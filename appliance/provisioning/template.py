"""The template of a fleet's files: TOML with `${column}` where a table's cells go.

A cell brings no line with it, so each line of a device's file is the same line of its template.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from appliance.provisioning.errors import ConfigError
from appliance.provisioning.mistakes import UNKNOWN
from appliance.provisioning.source import Source, dotted

_HOLE: Final = re.compile(r"\$(?:(?P<plain>\$)|(?P<bare>[A-Za-z_]\w*)|\{(?P<name>[^{}\n]+)\})?")

_MARK: Final = "731942{:03}"
"""What stands for a cell of which nothing is known: a number, and in quotes a text as well."""

_OPTIONS: Final = ".options"


class Template:
    """What devices' files are made from."""

    def __init__(self, source: Source) -> None:
        self.path: Final[Path] = source.path
        self._text: Final = source.text
        self.columns: Final[dict[str, int]] = {}
        """The columns that it asks for, each with the line that does so first."""
        self.strays: Final[list[int]] = []
        """The lines with a `$` that begins no `${column}`."""
        self._on_line: Final[dict[int, list[str]]] = {}
        for match in _HOLE.finditer(self._text):
            line = self._text.count("\n", 0, match.start()) + 1
            name = _name(match)
            if name is not None:
                self.columns.setdefault(name, line)
                self._on_line.setdefault(line, []).append(name)
            elif match["plain"] is None:
                self.strays.append(line)
        self._marks: Final = {
            name: _MARK.format(number) for number, name in enumerate(self.columns)
        }
        self._marked: Final = dict(_tables(self.filled({})))

    def filled(self, cells: Mapping[str, str]) -> str:
        """The text with cells in their places, as they stand between the quotes of a text of TOML;
        of columns that are not there something that stands for them."""

        def fill(match: re.Match[str]) -> str:
            name = _name(match)
            if name is None:
                return "$"
            return _escaped(cells[name]) if name in cells else self._marks[name]

        return _HOLE.sub(fill, self._text)

    def causes(self, error: ConfigError) -> tuple[str, ...]:
        """The columns whose cells make a mistake in a device's file; none where the template
        itself does."""
        if error.key in self._marked and error.reason.startswith(UNKNOWN):
            found = set()
        elif error.key in self._marked:
            texts = [repr(value) for value in self._concerned(error)]
            found = {name for name in self.columns if any(self._marks[name] in t for t in texts)}
        else:
            found = set(self._on_line.get(error.line or 0, ()))
        return tuple(name for name in self.columns if name in found)

    def _concerned(self, error: ConfigError) -> Iterator[Any]:
        """The values that a mistake is about: of a whole table, or of options beside each other,
        those that its reason names."""
        key = error.key or ""
        value = self._marked[key]
        beside: Mapping[str, Any] = {}
        if isinstance(value, Mapping):
            beside = value
        else:
            yield value
            if key.rpartition(".")[0].endswith(_OPTIONS):
                beside = self._marked[key.rpartition(".")[0]]
        for word in re.findall(r"\w+", error.reason):
            if word in beside:
                yield beside[word]


def _name(match: re.Match[str]) -> str | None:
    name = match["bare"] or match["name"]
    return None if name is None else name.strip()


def _tables(text: str) -> Iterator[tuple[str, Any]]:
    """Every table and value by its key as people write it; nothing of what is no TOML."""

    def walk(key: list[str | int], value: Any) -> Iterator[tuple[str, Any]]:
        if key:
            yield dotted(key), value
        if isinstance(value, dict):
            for name, inner in value.items():
                yield from walk([*key, name], inner)
        elif isinstance(value, list):
            for number, inner in enumerate(value):
                yield from walk([*key, number], inner)

    try:
        yield from walk([], tomllib.loads(text))
    except (ValueError, RecursionError):
        return


def _escaped(cell: str) -> str:
    """As it stands between the quotes of a text of TOML; numbers and words stay what they are."""
    cell = cell.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in cell)
