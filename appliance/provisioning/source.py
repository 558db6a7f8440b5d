"""Where a key stands in the text of a TOML file.

The standard library's parser tells no positions.  It can be asked for them all the same: a
statement ends on the first line with which the text up to there parses again and holds the key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.provisioning.errors import ConfigError

Key = Sequence[str | int]
"""Names of tables and keys from the top; numbers for the elements of arrays."""

_POSITION = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)")


@dataclass(frozen=True, slots=True)
class Source:
    """The text of one file."""

    path: Path
    text: str

    @classmethod
    def read(cls, path: Path) -> Source:
        """Read a file.  Raises ConfigError."""
        try:
            return cls(path, path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError("there is no such file; check its name", path=path) from None
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise ConfigError("is no UTF-8 text; save it as UTF-8", path=path, line=line) from None
        except OSError as error:
            reason = (error.strerror or "cannot be read").lower()
            raise ConfigError(f"{reason}; check the file", path=path) from None

    def parse(self) -> dict[str, Any]:
        """The values in it.  Raises ConfigError with the position of a mistake in the syntax."""
        try:
            return tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            text = str(error)
            found = _POSITION.search(text)
            reason = _POSITION.sub("", text)
            line = len(self.text.splitlines())
            column: int | None = None
            if found is not None and found[1] is not None:
                line, column = int(found[1]), int(found[2])
            raise ConfigError(
                f"{reason[:1].lower()}{reason[1:]}; see toml.io for the syntax",
                path=self.path,
                line=line,
                column=column,
            ) from None

    def locate(self, key: Key) -> tuple[int, int] | None:
        """Line and column, from 1, of the statement that gives `key`; None if none does.

        Where the key itself is not there, as one that is missing, its nearest table counts.
        """
        lines = self.text.splitlines(keepends=True)
        for length in range(len(key), 0, -1):
            if (found := _locate(lines, key[:length])) is not None:
                return found
        return None

    def error(self, key: Key, reason: str) -> ConfigError:
        """The error that blames a key of this file."""
        line, column = self.locate(key) or (None, None)
        return ConfigError(reason, path=self.path, line=line, column=column, key=dotted(key))


def dotted(key: Key) -> str:
    """A key as people write it: `room.host`, `panel.frame_ancestors[0]`."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _locate(lines: Sequence[str], key: Key) -> tuple[int, int] | None:
    complete = 0
    for count in range(1, len(lines) + 1):
        try:
            values = tomllib.loads("".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            continue
        if _holds(values, key):
            names = [part for part in key if isinstance(part, str)]
            return complete + 1, _column(lines[complete], names[-1])
        complete = count
    return None


def _holds(values: Any, key: Key) -> bool:
    for part in key:
        if isinstance(part, int):
            if not isinstance(values, list) or part >= len(values):
                return False
        elif not isinstance(values, Mapping) or part not in values:
            return False
        values = values[part]
    return True


def _column(line: str, name: str) -> int:
    found = re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", line)
    return 1 if found is None else found.start() + 1
