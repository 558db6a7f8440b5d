"""A table of rooms: a CSV with a row a device."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from appliance.provisioning.errors import ConfigError
from appliance.provisioning.source import Source

NAMES: Final = ("serial", "mac")
"""The columns of which one names the device."""

MAX_BYTES: Final = 4_194_304
"""The largest table that is read: thousands of rooms."""


@dataclass(frozen=True, slots=True)
class Row:
    """One device."""

    line: int
    """The line of the table on which it begins, from 1."""
    cells: Mapping[str, str]
    """By column."""
    file: str | None
    """The name of the device's file; None where the row does not tell it."""


@dataclass(slots=True)
class Table:
    """What a CSV holds, as far as it can be understood, and what of it cannot."""

    path: Path
    columns: tuple[str, ...] = ()
    """None where the first line cannot be understood; then there are no rows either."""
    rows: list[Row] = field(default_factory=list)
    mistakes: list[ConfigError] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Table:
        """Raises ConfigError for a file that cannot be read."""
        table = cls(path)
        table._take(Source.read(path, MAX_BYTES).text)
        return table

    def blame(self, line: int, reason: str, column: str | None = None) -> None:
        """Add a mistake."""
        self.mistakes.append(ConfigError(reason, path=self.path, line=line, key=column))

    def _take(self, text: str) -> None:
        rows = self._lines(text)
        first, header = next(rows, (1, []))
        self.columns = tuple(name.strip() for name in header)
        reason = None
        if not set(NAMES) & set(self.columns):
            reason = f"needs a column {' or '.join(NAMES)}"
            for sign, name in ((";", "semicolons"), ("\t", "tabs")):
                if sign in "".join(header):
                    reason += f"; separate the cells by commas, not by {name}"
            for name in self.columns:
                if name.lower() in NAMES:
                    reason += f"; write {name.lower()}, not {name}"
        elif len(set(self.columns)) != len(self.columns) or "" in self.columns:
            reason = "has two columns of one name, or one without; give each its own"
        if reason is not None:
            # Nobody knows which cell is which.
            self.blame(first, reason)
            self.columns = ()
            return
        seen: dict[str, int] = {}
        for line, cells in rows:
            if len(cells) != len(self.columns):
                reason = "has fewer cells than the first line; leave none out, be it empty"
                if len(cells) > len(self.columns):
                    reason = "has more cells than the first line; put one with a comma in quotes"
                self.blame(line, reason)
                continue
            stripped = (cell.strip() for cell in cells)
            row = dict(zip(self.columns, stripped, strict=True))
            file = self._file(line, row)
            if file is not None and seen.setdefault(file, line) != line:
                self.blame(
                    line, f"{file} is there twice; each device has one row (line {seen[file]})"
                )
                file = None
            self.rows.append(Row(line, row, file))
        if not self.rows and not self.mistakes:
            self.blame(first, "names the columns only; add a row for each device")

    def _lines(self, text: str) -> Iterator[tuple[int, list[str]]]:
        """The rows with anything in them, each with the line on which it begins."""
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        line = 1
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield line, cells
                line = reader.line_num + 1
        except csv.Error as error:
            self.blame(line, f"is no CSV from here on: {error}; look at its quotes")

    def _file(self, line: int, row: Mapping[str, str]) -> str | None:
        serial, mac = row.get("serial", "").lower(), row.get("mac", "").lower()
        mistaken = len(self.mistakes)
        # In the ways in which labels and switches write it.
        digits = re.sub("[:.-]", "", mac)
        mac = mac and "-".join(digits[i : i + 2] for i in range(0, len(digits), 2))
        if mac and not re.fullmatch(r"([0-9a-f]{2}-){5}[0-9a-f]{2}", mac):
            reason = f"{row['mac']} is no MAC address; write it as b8:27:eb:01:02:03"
            self.blame(line, reason, "mac")
        if not serial and not mac:
            self.blame(line, "the row names no device; give serial or mac")
        if serial and not re.fullmatch(r"[a-z0-9_][a-z0-9_.-]{0,63}", serial):
            reason = (
                f"{row['serial']} is no serial number; use letters, digits, _ and within it - ."
            )
            self.blame(line, reason, "serial")
        return f"{serial or mac}.toml" if len(self.mistakes) == mistaken else None
