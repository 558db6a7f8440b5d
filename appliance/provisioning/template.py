"""The template of a fleet's files: TOML with `${column}` where a table's cells go.

A cell brings no line with it, so each line of a device's file is the same line of its template.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.provisioning.errors import ConfigError
from appliance.provisioning.mistakes import MISSING, UNKNOWN
from appliance.provisioning.source import Source, statements

_HOLE: Final = re.compile(r"\$(?:(?P<plain>\$)|\{(?P<name>[^{}\n]+)\})?")

_PIECE: Final = re.compile(
    r"""'{3}.*?'{3,5}|'[^'\n]*'|"{3}(?:\\.|[^\\])*?"{3,5}|"(?:\\.|[^"\\\n])*"|\#[^\n]*|"""
    + _HOLE.pattern,
    re.DOTALL,
)
"""A text in quotes, a comment, or a hole in neither."""

_OF_KEY: Final = re.compile(r"""(?:[\w. \t"'-]|\$\{[^{}\n]+\})*=""")
"""What follows on a part of a key."""

_WORD: Final = re.compile(r"[+-]?\d[\d_]*(\.\d[\d_]*)?([eE][+-]?\d+)?|[\w-]*", re.ASCII)
"""What a cell may be outside of quotes: a number, a truth value, a key; empty it is no TOML."""

_UNTOLD: Final = "0"
"""What stands for a cell of which nothing is known: a number, a key, and in quotes a text."""


@dataclass(frozen=True, slots=True)
class _Hole:
    """Where a cell goes."""

    column: str
    line: int
    in_key: bool
    quote: str
    """The sign with which the text or comment round it begins; a `$` outside of these."""


class Template:
    """What devices' files are made from."""

    def __init__(self, source: Source) -> None:
        self.path: Final[Path] = source.path
        self.columns: Final[dict[str, int]] = {}
        """The columns that it asks for, each with the line that does so first."""
        self.strays: Final[dict[int, str]] = {}
        """The lines with a `$` where none can be, each with the reason."""
        self._parts: Final[list[str | _Hole]] = []
        text, end = source.text, 0
        for match, quote in _dollars(text):
            self._parts.append(text[end : match.start()])
            end = match.end()
            line = text.count("\n", 0, match.start()) + 1
            if match["name"] is None:
                self._parts.append("$")
                if match["plain"] is None:
                    self.strays[line] = "has a $ that begins no ${column}; write $$ for a plain one"
                continue
            name = match["name"].strip()
            self.columns.setdefault(name, line)
            if quote == "'":
                self.strays[line] = (
                    f"has {match[0]} in '...', in which nothing can be escaped; write \"...\""
                )
            begin = text.rfind("\n", 0, match.start()) + 1
            in_header = text[begin : match.start()].lstrip().startswith("[")
            in_key = in_header or _OF_KEY.match(text, end) is not None
            self._parts.append(_Hole(name, line, in_key, quote))
        self._parts.append(text[end:])
        self._holes: Final = [part for part in self._parts if isinstance(part, _Hole)]
        self._begins: Final = [line for line, _ in statements(self.filled({}))]

    def filled(self, cells: Mapping[str, str]) -> str:
        """The text with cells in their places; for columns that are not there something else."""

        def fill(part: str | _Hole) -> str:
            if isinstance(part, str):
                return part
            return _escaped(cells[part.column]) if part.column in cells else _UNTOLD

        return "".join(map(fill, self._parts))

    def unfit(self, cells: Mapping[str, str]) -> Iterator[tuple[str, int]]:
        """The columns whose cells cannot stand outside of quotes where they would, each with the
        line."""
        for hole in self._holes:
            cell = cells.get(hole.column, _UNTOLD)
            if hole.quote == "$" and not _WORD.fullmatch(cell):
                yield hole.column, hole.line

    def in_keys(self, cells: Mapping[str, str]) -> tuple[str | None, ...]:
        """The cells that are part of a key.  Where these are the same, each key is on one line."""
        return tuple(cells.get(hole.column) for hole in self._holes if hole.in_key)

    def causes(self, error: ConfigError) -> tuple[str, ...]:
        """The columns whose cells may make a mistake in a device's file, those of its line or of
        all that begins there; none where the template itself does."""
        found = {hole.column for hole in self._concerned(error)}
        return tuple(name for name in self.columns if name in found)

    def strays_at(self, error: ConfigError) -> bool:
        """Whether a mistake may well be of a `$` that cannot be there."""
        if error.key is None and error.line in self.strays:
            return True
        return any(hole.quote == "'" for hole in self._concerned(error))

    def _concerned(self, error: ConfigError) -> Iterator[_Hole]:
        no_value = error.kind in (UNKNOWN, MISSING)
        for hole in self._holes:
            if hole.quote == "#" or (no_value and not hole.in_key):
                continue
            if error.line == (hole.line if error.key is None else self._begin(hole.line)):
                yield hole

    def _begin(self, line: int) -> int:
        """The line with which the statement of this one begins."""
        return self._begins[bisect.bisect_right(self._begins, line) - 1]


def _dollars(text: str) -> Iterator[tuple[re.Match[str], str]]:
    """Each `$` with what belongs to it, and the sign with which the text or comment round it
    begins; a `$` outside of these."""
    for piece in _PIECE.finditer(text):
        for match in _HOLE.finditer(text, piece.start(), piece.end()):
            yield match, text[piece.start()]


def _escaped(cell: str) -> str:
    """As it stands between "..." of TOML; numbers and words stay what they are."""
    cell = cell.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in cell)
