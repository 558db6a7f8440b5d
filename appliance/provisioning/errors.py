"""What can be wrong with a configuration, and with getting one.

::

    ConfigError  (ValueError)         a file that cannot be read, or a value in it that cannot be
    ProvisioningError  (Exception)    a configuration that is not taken, or not to be had
      Refused                         it is here, and is not taken: signature, age, content
      Unreachable                     no source gives it
      StoreError                      the device's own memory of configurations cannot be used
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


class ProvisioningError(Exception):
    """What keeps a device on the configuration that it has; the text is one line."""


class Refused(ProvisioningError):
    """A configuration that is not taken: its signature, its age or its content is wrong."""


class Unreachable(ProvisioningError):
    """No source gave an answer that can be used."""


class StoreError(ProvisioningError):
    """The folder of configurations cannot be read or written."""
