"""Where a key stands in the text of a TOML file.

The standard library's parser tells no positions.  It can be asked for them all the same: a key
stands in the first statement up to the end of which the text holds it.
"""

from __future__ import annotations

import bisect
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from appliance.provisioning.errors import ConfigError

Key = Sequence[str | int]
"""Names of tables and keys from the top; numbers for the elements of arrays."""

MAX_BYTES: Final = 65_536
"""The largest file that is read: twenty times a whole device with all its comments."""

DEEPEST: Final = 16
"""Tables and arrays within each other at most: none that is meant has more than four."""

_POSITION = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)")

_TABLE = re.compile(r"\('(.*?)',?\)")
"""A table's name as the parser writes it."""


@dataclass(frozen=True, slots=True)
class Source:
    """The text of one file."""

    path: Path
    text: str

    @classmethod
    def read(cls, path: Path, most: int = MAX_BYTES) -> Source:
        """Read a file of at most so many bytes.  Raises ConfigError."""
        try:
            with path.open("rb") as file:
                data = file.read(most + 1)
        except FileNotFoundError:
            raise ConfigError("there is no such file; check its name", path=path) from None
        except PermissionError:
            raise ConfigError(
                "may not be read by this user; mend its rights, or those of its folder", path=path
            ) from None
        except OSError as error:
            reason = (error.strerror or "cannot be read").lower()
            raise ConfigError(f"{reason}; check the file", path=path) from None
        return cls.decode(path, data, most)

    @classmethod
    def decode(cls, path: Path, data: bytes, most: int = MAX_BYTES) -> Source:
        """The text that a file of this name holds.  Raises ConfigError."""
        if len(data) > most:
            raise ConfigError(f"has more than {most} bytes; shorten it", path=path)
        try:
            # Line ends as tomllib and people count them.
            text = data.decode("utf-8").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise ConfigError("is no UTF-8 text; save it as UTF-8", path=path, line=line) from None
        return cls(path, text.removeprefix("\ufeff"))

    def parse(self) -> dict[str, Any]:
        """The values in it.  Raises ConfigError with the position of a mistake in the syntax."""
        try:
            values = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            text = str(error)
            found = _POSITION.search(text)
            reason = _POSITION.sub("", text)
            reason = _TABLE.sub(lambda name: name[1].replace("', '", "."), reason)
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
        except (ValueError, RecursionError):
            # A number of thousands of digits, a thousand brackets.
            raise ConfigError(
                "a value in it is larger than any that is meant; shorten it", path=self.path
            ) from None
        if _is_deep(values):
            raise ConfigError(
                "a key in it has more parts than any that is meant; use fewer", path=self.path
            )
        return values

    def locate(self, key: Key) -> tuple[int, int] | None:
        """Line and column, from 1, of the statement that gives `key`; None if none does.

        Where the key itself is not there, as one that is missing, its nearest table counts.
        """
        begun = list(statements(self.text))
        for length in range(len(key), 0, -1):
            if (found := _locate(self.text, begun, key[:length])) is not None:
                return found
        return None

    def error(self, key: Key, reason: str, kind: str | None = None) -> ConfigError:
        """The error that blames a key of this file."""
        line, column = self.locate(key) or (None, None)
        return ConfigError(
            reason, path=self.path, line=line, column=column, key=dotted(key), kind=kind
        )


def dotted(key: Key) -> str:
    """A key as people write it: `room.host`, `panel.frame_ancestors[0]`."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


STRING: Final = r""""{3}(?:\\.|[^\\])*?"{3,5}|'{3}.*?'{3,5}|"(?:\\.|[^"\\])*"|'[^']*'"""
"""The pattern of a text as it is written, a dot for any sign."""

COMMENT: Final = r"\#[^\n]*"
"""The pattern of a comment."""

_TOKEN = re.compile(rf"{STRING}|{COMMENT}|[\[\]{{}}\n]", re.DOTALL)
"""What says where a statement ends: texts, comments, brackets, ends of lines."""


def statements(text: str) -> Iterator[tuple[int, int]]:
    """The line on which each statement of a valid text begins, and the offset of its end; blank
    lines and comments count as statements."""
    depth, line, begun = 0, 1, 1
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token in "[{":
            depth += 1
        elif token in "]}":
            depth -= 1
        line += token.count("\n")
        if token == "\n" and depth == 0:
            yield begun, match.end()
            begun = line
    yield begun, len(text)


def _locate(text: str, begun: Sequence[tuple[int, int]], key: Key) -> tuple[int, int] | None:
    def holds(statement: tuple[int, int]) -> bool:
        try:
            return held(tomllib.loads(text[: statement[1]]), key)
        except ValueError:
            return False

    # What the first statements hold, more of them hold as well: so it can be found by halves.
    index = bisect.bisect_left(begun, True, key=holds)
    if index == len(begun):
        return None
    line = begun[index][0]
    names = [part for part in key if isinstance(part, str)]
    return line, _column(text.split("\n")[line - 1], names[-1])


def _is_deep(values: Mapping[str, Any]) -> bool:
    level: list[Any] = [values]
    for _ in range(DEEPEST):
        inner = (one.values() if isinstance(one, dict) else one for one in level)
        level = [one for many in inner for one in many if isinstance(one, dict | list)]
    return bool(level)


def held(values: Any, key: Key) -> bool:
    """Whether values of TOML have this key."""
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
