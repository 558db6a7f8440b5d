"""The mistakes of a fleet's files, told where an integrator mends them: in table or template."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from appliance.provisioning.errors import ConfigError
from appliance.provisioning.table import Row, Table
from appliance.provisioning.template import Template

FEW: Final = 3
"""Devices that are named where more have the same mistake."""

UNFIT: Final = (
    "must be a number or one word where the template has no quotes;"
    ' write "${{{}}}" there for a text'
)
"""What is said of a cell that cannot stand outside of quotes; for the column's name."""

Look = Callable[[str, Sequence[str | None]], list[ConfigError]]
"""What is wrong with a device whose own file has this text, with these cells in its keys."""

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class _Found:
    """One mistake of one device."""

    row: Row
    error: ConfigError
    columns: tuple[str, ...]
    """Of the cells that make it."""


class Blame:
    """Collects what is wrong with each device, and tells it of all of them, each mistake once."""

    def __init__(self, table: Table, template: Template, path: Path, look: Look) -> None:
        """`path` is that of a device's own file in what `look` finds."""
        self._table: Final = table
        self._template: Final = template
        self._path: Final = path
        self._look: Final = look
        self._own: Final[list[_Found]] = []
        self._shared: Final[list[_Found]] = []
        self._rows = 0

    def add(self, row: Row) -> None:
        """Find what is wrong with the device of a row."""
        self._rows += 1
        cells = dict(row.cells)
        for column, line in dict.fromkeys(self._template.unfit(cells)):
            error = ConfigError(UNFIT.format(column), path=self._path, line=line)
            self._own.append(_Found(row, error, (column,)))
            cells.pop(column, None)
        while True:
            errors = self._look(self._template.filled(cells), self._template.in_keys(cells))
            found = [_Found(row, error, self._causes(error)) for error in errors]
            # A cell that makes no TOML hides all else: without it there is more to see.
            broken = [one for one in found if one.columns and one.error.key is None]
            unknown = set(self._template.columns) - cells.keys()
            for one in broken or found:
                if one.error.path != self._path:
                    self._shared.append(one)
                elif unknown.isdisjoint(one.columns) and not self._template.strays_at(one.error):
                    self._own.append(one)
            again = {name for one in broken for name in one.columns} & cells.keys()
            if not again:
                return
            for name in again:
                del cells[name]

    def told(self) -> list[ConfigError]:
        """All mistakes, each once; those of the files that devices share come first."""
        errors = list(map(self._of_shared, _grouped(self._shared, lambda one: str(one.error))))
        for alike in _grouped(self._own, _likeness):
            most = len(alike) > FEW and len(alike) * 2 > self._rows
            if alike[0].columns and not most and not self._whatever_the_cells(alike):
                errors += map(self._of_cell, _grouped(alike, self._why))
            else:
                errors.append(self._of_template(alike))
        return errors

    def _causes(self, error: ConfigError) -> tuple[str, ...]:
        return self._template.causes(error) if error.path == self._path else ()

    def _whatever_the_cells(self, alike: Sequence[_Found]) -> bool:
        """Whether all devices have the very same mistake, though their cells differ."""
        if len(alike) < self._rows or len({one.error.reason for one in alike}) > 1:
            return False
        columns = alike[0].columns
        return len({tuple(map(one.row.cells.get, columns)) for one in alike}) > 1

    def _why(self, found: _Found) -> str:
        empty = any(not found.row.cells.get(name) for name in found.columns)
        return f"{found.error.reason}; the cell is empty" if empty else found.error.reason

    def _of_shared(self, alike: Sequence[_Found]) -> ConfigError:
        error, whose = alike[0].error, ""
        if len(alike) < self._rows:
            whose = f" ({self._files(alike)})"
        return ConfigError(
            error.reason + whose,
            path=error.path,
            line=error.line,
            column=error.column,
            key=error.key,
        )

    def _of_template(self, alike: Sequence[_Found]) -> ConfigError:
        error, columns = alike[0].error, alike[0].columns
        whose = self._files(alike)
        if columns:
            lines = _ranges([found.row.line for found in alike])
            whose += f"; {self._table.path}, {lines}: {', '.join(columns)}"
        return ConfigError(
            f"{error.reason} ({whose})",
            path=self._template.path,
            line=error.line,
            # A cell before it moves what stands on the line.
            column=None if columns else error.column,
            key=error.key,
        )

    def _of_cell(self, alike: Sequence[_Found]) -> ConfigError:
        first, others = alike[0], alike[1:]
        error, row = first.error, first.row
        key = "" if error.key is None else f"{error.key}: "
        where = " and ".join(filter(None, (str(self._template.path), row.file)))
        where += "" if error.line is None else f", line {error.line}"
        if others:
            where += f"; so in {_ranges([one.row.line for one in others])}: {_names(others)}"
        return ConfigError(
            f"{key}{self._why(first)} ({where})",
            path=self._table.path,
            line=row.line,
            key=", ".join(first.columns),
        )

    def _files(self, alike: Sequence[_Found]) -> str:
        count = "" if self._rows == 1 else f"{len(alike)} of {self._rows} files: "
        return f"{count}{_names(alike)}"


def _likeness(found: _Found) -> tuple[object, ...]:
    """What mistakes have in common that the same words of the template make, whatever the value."""
    error = found.error
    what = (found.columns and error.kind) or error.reason
    return error.line, error.key, found.columns, what


def _grouped(items: Iterable[_Item], key: Callable[[_Item], object]) -> Iterator[list[_Item]]:
    groups: dict[object, list[_Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return iter(groups.values())


def first_of(names: Sequence[str]) -> str:
    """The first few names, and whether there are more."""
    return ", ".join(names[:FEW]) + (", ..." if len(names) > FEW else "")


def _names(alike: Sequence[_Found]) -> str:
    return first_of([one.row.file or f"the row in line {one.row.line}" for one in alike])


def _ranges(lines: Sequence[int]) -> str:
    """As in `line 3` and `lines 3, 5-9`."""
    spans: list[list[int]] = []
    for line in sorted(lines):
        if spans and line == spans[-1][1] + 1:
            spans[-1][1] = line
        else:
            spans.append([line, line])
    text = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
    return f"{'line' if len(lines) == 1 else 'lines'} {text}"
