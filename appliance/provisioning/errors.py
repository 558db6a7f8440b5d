"""What can be wrong with a configuration, and with getting one.

::

    ConfigError  (ValueError)         a file that cannot be read, or a value in it that cannot be
      ConfigErrors                    several of them
    ProvisioningError  (Exception)    a configuration that is not taken, or not to be had
      Refused                         it is here, and is not taken: signature, age, content
        Refusals                      several such files
      Unreachable                     no source gives it
      StoreError                      the device's own memory of configurations cannot be used
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class ConfigError(ValueError):
    """A configuration that cannot be used; the text is one line.

    `path` is the file, `line` and `column` count from 1, `key` is the dotted path of the
    key, `kind` is that of a `Mistake`; each is None where it is not known.
    """

    def __init__(
        self,
        reason: str,
        *,
        path: Path | None = None,
        line: int | None = None,
        column: int | None = None,
        key: str | None = None,
        kind: str | None = None,
    ) -> None:
        self.reason = reason
        self.path = path
        self.line = line
        self.column = column
        self.key = key
        self.kind = kind
        where = "" if path is None else str(path)
        where += "" if line is None else f", line {line}"
        where += "" if column is None else f", column {column}"
        super().__init__(": ".join(part for part in (where, key, reason) if part))


class ConfigErrors(ConfigError):
    """Several mistakes that are told together, `errors`; as one it is the first of them."""

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        first = errors[0]
        super().__init__(
            first.reason, path=first.path, line=first.line, column=first.column, key=first.key
        )
        self.errors = tuple(errors)


class ProvisioningError(Exception):
    """What keeps a device on the configuration that it has; the text is one line."""


class Refused(ProvisioningError):
    """A configuration that is not taken: its signature, its age or its content is wrong."""


class Refusals(Refused):
    """Several files that are not taken, `errors`; as one it is the first of them."""

    def __init__(self, errors: Sequence[Refused]) -> None:
        super().__init__(str(errors[0]))
        self.errors = tuple(errors)


class Unreachable(ProvisioningError):
    """No source gave an answer that can be used."""


class StoreError(ProvisioningError):
    """The folder of configurations cannot be read or written."""
