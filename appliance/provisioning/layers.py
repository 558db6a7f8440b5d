"""Files laid over each other: each value is that of the last layer that gives one.

Tables are merged key by key, anything else is replaced whole.  Two rules go beyond that, so that
a layer can change its mind without knowing what lies below it: one way into a room takes the
place of another, and another backend does not inherit `device` and `options` of the first.  Of
the options of `auto`, which are for whatever backend that finds, it inherits those that it knows.

A file may begin with `include = "site.toml"` (or a list): those files lie just below it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from appliance.provisioning.errors import ConfigError
from appliance.provisioning.source import Key, Source, dotted, held
from hal import registry
from hal.device import Kind
from hal.errors import HalError

INCLUDE: Final = "include"

AUTO: Final = "auto"
"""The backend where none is named."""

PANEL: Final = "panel"
"""The layer of what people changed at the device."""

ENVIRONMENT: Final = "environment"
"""The layer of what a developer set for one run."""

MAX_FILES: Final = 16
"""Files that one layer consists of at most."""

WAYS_IN: Final = ("token", "token_file", "token_credential", "token_url", "guest")

SECRETS: Final[Mapping[tuple[str, ...], tuple[str, ...]]] = {
    ("room",): ("token_secret_file", "token_secret_credential"),
    ("panel",): ("pin_file", "pin_credential"),
    ("calendar",): ("password_file", "password_credential"),
    ("network",): ("turn_password_file", "turn_password_credential"),
}
"""By table the keys of which one takes the place of the other."""

Reader = Callable[[Path], Source]
"""How the text of a file is come by; raises ConfigError."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a layer."""

    layer: str
    source: Source
    values: Mapping[str, Any]
    folder: Path | None = None
    """Where its relative paths begin, if not beside it."""
    accepted: bool = False
    """Whether it was in force once, perhaps with an older version, that took numbers in quotes."""

    @property
    def base(self) -> Path:
        """Where its relative paths begin."""
        return self.folder or self.source.path.absolute().parent

    @property
    def is_signed(self) -> bool:
        """Whether it is one of a fleet's signed files, from a server or a stick."""
        return self.folder is not None and self.layer not in (PANEL, ENVIRONMENT)

    @property
    def is_beside(self) -> bool:
        """Whether it is a file where its relative paths begin, and none of a server or a stick."""
        return self.base == self.source.path.absolute().parent


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from; `line` and `column` count from 1."""

    layer: str
    path: Path
    line: int | None
    column: int | None

    def __str__(self) -> str:
        if self.layer == PANEL:
            # The file is the device's own: nobody wrote its lines.
            return "the panel"
        return f"{self.layer}: {self.path}" + ("" if self.line is None else f", line {self.line}")


class Layers:
    """Files in their order, the lowest first."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts: Final = tuple(parts)
        values: dict[str, Any] = {}
        for part in parts:
            _merge(values, part.values, ())
        self.values: Final[Mapping[str, Any]] = values
        self.accepted: Final = any(part.accepted for part in parts)
        """Whether there is a `Part` of them that is."""

    def dump(self) -> str:
        """All of it as one text, for `restore`; the same layers give the same text."""
        return json.dumps(
            [
                {
                    "layer": part.layer,
                    "path": str(part.source.path),
                    "folder": str(part.base),
                    "text": part.source.text,
                }
                for part in self.parts
            ],
            ensure_ascii=False,
            indent=1,
        )

    @classmethod
    def restore(cls, text: str) -> Layers:
        """What `dump` made a text of when it was accepted.  Raises ValueError or KeyError for any
        other text."""
        parts = []
        for entry in json.loads(text):
            source = Source(Path(entry["path"]), entry["text"])
            values = source.parse()
            values.pop(INCLUDE, None)
            folder = Path(entry["folder"])
            parts.append(Part(entry["layer"], source, values, folder, accepted=True))
        return cls(parts)

    @classmethod
    def of_file(cls, path: Path, layer: str = "file") -> Layers:
        """One file with what it includes.  Raises ConfigError."""
        return cls(list(read_parts(layer, path)))

    def part(self, key: Key) -> Part | None:
        """The file that gives a key, or else its nearest table; None where there are no files.

        What none gives is missing in the topmost that somebody writes: those below are of many
        devices.
        """
        for length in range(len(key), 0, -1):
            for part in reversed(self.parts):
                if held(part.values, key[:length]):
                    return part
        written = [part for part in self.parts if part.layer not in (PANEL, ENVIRONMENT)]
        candidates = written or self.parts
        return candidates[-1] if candidates else None

    def origin(self, key: Key) -> Origin | None:
        """Where the value of a key comes from; None for a default."""
        part = self.part(key)
        if part is None or not held(part.values, key):
            return None
        line, column = part.source.locate(key) or (None, None)
        return Origin(part.layer, part.source.path, line, column)

    def place(self, key: Key) -> tuple[int, int] | None:
        """Line and column of a key in its file."""
        part = self.part(key)
        return None if part is None else part.source.locate(key)

    def error(self, key: Key, reason: str, kind: str | None = None) -> ConfigError:
        """The error that blames a key, in the file that gives it."""
        part = self.part(key)
        if part is None:
            return ConfigError(reason, key=dotted(key), kind=kind)
        return part.source.error(key, reason, kind)


def read_parts(
    layer: str,
    path: Path,
    read: Reader = Source.read,
    *,
    folder: Path | None = None,
    gaps: list[ConfigError] | None = None,
) -> Iterator[Part]:
    """A file and what it includes, the included ones first.

    With a `folder` the files came from elsewhere: they include only plain names beside them, so
    that they do not reach into the device, and their relative paths begin there.

    Raises ConfigError for what cannot be read, also for a file that includes itself.  With `gaps`
    that is put there instead, and the files go on without what it is about.
    """
    seen: list[Path] = []

    def follow(path: Path, name: str, chain: tuple[Source, ...]) -> Iterator[Part]:
        seen.append(path)
        try:
            source = read(path)
            values = source.parse()
        except ConfigError as error:
            if chain and error.line is None and error.key is None:
                # It cannot be read at all: the mistake is in the one that names it.
                error = chain[-1].error((INCLUDE,), f"{name}: {error.reason}")
            _leave(error, gaps)
            return
        chain = (*chain, source)
        for name in _included(source, values.pop(INCLUDE, []), gaps):
            below = normal(path.parent / name)
            if (reason := refusal(name, below, [one.path for one in chain])) is not None:
                _leave(source.error((INCLUDE,), reason), gaps)
            elif len(seen) < MAX_FILES:
                yield from follow(below, name, chain)
        yield Part(layer, source, values, folder)

    def refusal(name: str, below: Path, chain: list[Path]) -> str | None:
        if folder is not None and not plain(name):
            return f"{name} is no plain name; put the file beside it"
        if below in chain:
            way = " includes ".join(one.name for one in (*chain, below))
            return f"goes round in a circle: {way}; break it"
        if len(seen) == MAX_FILES:
            # What more there is, is not told of.
            seen.append(below)
            return f"includes more than {MAX_FILES} files; use fewer"
        return None

    yield from follow(normal(path), "", ())


def _leave(error: ConfigError, gaps: list[ConfigError] | None) -> None:
    if gaps is None:
        raise error from None
    gaps.append(error)


def plain(name: str) -> bool:
    """Whether a name can be that of one of the fleet's files: no folder, nothing hidden."""
    return re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\.toml", name) is not None


def normal(path: Path) -> Path:
    """The same file by the same name, links left as they are, so that messages say what was
    written."""
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts and parts[-1] not in ("..", "/"):
            parts.pop()
        else:
            parts.append(part)
    return Path(*parts)


def _included(source: Source, given: Any, gaps: list[ConfigError] | None) -> list[str]:
    names = [given] if isinstance(given, str) else given
    reason = None
    if not isinstance(names, list) or not all(isinstance(n, str) and n for n in names):
        reason = "must be the name of a file or a list of names"
    elif not all(name.isprintable() for name in names):
        reason = "must be the name of a file"
    if reason is None:
        return list(names)
    _leave(source.error((INCLUDE,), reason), gaps)
    return []


def _narrow(below: dict[str, Any], above: Mapping[str, Any], kind: Kind) -> None:
    """Leave of the options of `auto` those that the backend above knows, or one beside it.  All of
    them where nobody knows that here: it may be there on the device."""
    options, also = below.get("options"), above.get("also", below.get("also", []))
    names = [above.get("backend", AUTO), *(also if isinstance(also, list) else [])]
    if not isinstance(options, Mapping) or names[0] == AUTO:
        return
    if not all(isinstance(name, str) for name in names):
        return  # a mistake, which is told later
    known: set[str] = set()
    for name in names:
        try:
            known |= registry.options_of(kind, name)
        except HalError:
            return
    kept = known - {"device"}
    below["options"] = {name: one for name, one in options.items() if name in kept}


def _merge(below: dict[str, Any], above: Mapping[str, Any], table: tuple[str, ...]) -> None:
    if table == ("room",) and any(way in above for way in WAYS_IN):
        for way in WAYS_IN:
            below.pop(way, None)
    either = SECRETS.get(table, ())
    if any(key in above for key in either):
        for key in either:
            below.pop(key, None)
    if "backend" in above and "backend" in below and below["backend"] != above["backend"]:
        below.pop("device", None)
        if below["backend"] != AUTO:
            below.pop("options", None)
    if len(table) == 1 and table[0] in registry.KINDS and below.get("backend", AUTO) == AUTO:
        _narrow(below, above, table[0])
    for key, value in above.items():
        if isinstance(value, Mapping):
            inner = below.get(key)
            below[key] = inner = dict(inner) if isinstance(inner, Mapping) else {}
            _merge(inner, value, (*table, key))
        else:
            below[key] = value
