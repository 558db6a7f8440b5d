"""What can be wrong with a configuration.

::

    ConfigError  (ValueError)   a file that cannot be read, or a value in it that cannot be
"""

from __future__ import annotations

from pathlib import Path


class ConfigError(ValueError):
    """A configuration that cannot be used; the text is one line.

    `path` is the file, `line` and `column` count from 1, `key` is the dotted path of the
    key; each is None where it is not known.
    """

    def __init__(
        self,
        reason: str,
        *,
        path: Path | None = None,
        line: int | None = None,
        column: int | None = None,
        key: str | None = None,
    ) -> None:
        self.reason = reason
        self.path = path
        self.line = line
        self.column = column
        self.key = key
        where = "" if path is None else str(path)
        where += "" if line is None else f", line {line}"
        where += "" if column is None else f", column {column}"
        super().__init__(": ".join(part for part in (where, key, reason) if part))
