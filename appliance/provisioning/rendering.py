"""An integrator's work: from a table of rooms and one template to the files of a fleet."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from appliance.provisioning.blame import Blame
from appliance.provisioning.checking import check
from appliance.provisioning.collecting import FLEET
from appliance.provisioning.errors import ConfigError, ConfigErrors
from appliance.provisioning.files import write_whole
from appliance.provisioning.layers import Layers, Part, normal, read_parts
from appliance.provisioning.masking import Sealed, lines
from appliance.provisioning.places import DEVICE, Places
from appliance.provisioning.source import Key, Source
from appliance.provisioning.table import NAMES, Table
from appliance.provisioning.template import Template
from hal.spelling import nearest


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a table and a template give."""

    files: Mapping[str, str]
    """The devices' files, by name."""
    before: Mapping[str, str] = field(default_factory=dict)
    """What the folder holds under these names now."""
    strangers: tuple[str, ...] = ()
    """Files in the folder of devices that are not in the table; they are left alone."""

    @property
    def changed(self) -> list[str]:
        """The names whose content is new."""
        return [name for name, text in self.files.items() if self.before.get(name) != text]

    def diff(self) -> str:
        """What would change, device by device; of secrets only that they do."""
        return "".join(self._diff(name) for name in self.changed)

    def _diff(self, name: str) -> str:
        before, after = self.before.get(name, ""), self.files[name]
        told = [f"--- {name if name in self.before else '/dev/null'}", f"+++ {name}"]
        new = Sealed(after)
        try:
            old = Sealed(before)
        except ValueError:
            told.append("@@ the old file cannot be read and is not shown; all of it is replaced @@")
            told += [f"+{line}" for line in new.lines(new.secrets)]
        else:
            secrets = old.secrets | new.secrets
            told += _hunks(lines(before), lines(after), old.lines(secrets), new.lines(secrets))
        return "".join(f"{line}\n" for line in told)

    def write(self, folder: Path) -> None:
        """Write what has changed.  Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in self.changed:
            write_whole(folder / name, self.files[name].encode(), 0o644)


def _hunks(
    before: Sequence[str], after: Sequence[str], old: Sequence[str], new: Sequence[str]
) -> Iterator[str]:
    """The difference of lines, in the words of `old` and `new`, which are shown instead."""
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for group in matcher.get_grouped_opcodes():
        begun, ended = group[0], group[-1]
        spans = (begun[1], ended[2]), (begun[3], ended[4])
        minus, plus = (f"{min(a + 1, b)},{b - a}" for a, b in spans)
        yield f"@@ -{minus} +{plus} @@"
        for kind, a, b, c, d in group:
            if kind == "equal":
                # What is a secret in one of the files is none to be shown of the other.
                pairs = zip(before[a:b], old[a:b], new[c:d], strict=True)
                yield from (f" {was if was != line else now}" for line, was, now in pairs)
            else:
                yield from (f"-{line}" for line in old[a:b])
                yield from (f"+{line}" for line in new[c:d])


def render(table: Path, template: Path, folder: Path, over: Path | None = None) -> Rendered:
    """The file of each row: the template with `${column}` filled in, checked as a device.

    `over` is the fleet's own file, which lies below each.  Raises ConfigErrors with all that is
    wrong, where it can be mended: in table, template or the files that devices share; ConfigError
    where one of these cannot be read at all.  Nothing is written.
    """
    pattern, rooms = Template(Source.read(template)), Table.read(table)
    shared = _Shared(folder, over)
    blame = Blame(rooms, pattern, shared.own, shared.mistakes)
    for row in rooms.rows:
        blame.add(row)
    taken = {path.resolve() for path in (table, template, *shared.paths)}
    for row in rooms.rows:
        if row.file is not None and (folder / row.file).resolve() in taken:
            reason = f"{row.file} is no device's own file; give the number of the device"
            rooms.blame(row.line, reason, next(name for name in NAMES if row.cells.get(name)))
    errors = [*rooms.mistakes, *_unfit(rooms, pattern), *blame.told()]
    if errors:
        # What devices share stands first, in its own order; then the template, then the table.
        errors.sort(
            key=lambda one: [(one.path == path, _line(one, path)) for path in (table, template)]
        )
        raise ConfigErrors(errors)
    files = {row.file: pattern.filled(row.cells) for row in rooms.rows if row.file is not None}
    present = {path.name: path for path in folder.glob("*.toml")} if folder.is_dir() else {}
    before = {
        name: present[name].read_text("utf-8", "replace") for name in files if name in present
    }
    others = (name for name in present if name not in files)
    strangers = tuple(sorted(n for n in others if present[n].resolve() not in taken))
    return Rendered(files, before, strangers)


_Index = dict[tuple[str | int, ...], tuple[int, int] | None]
"""Line and column of the keys that were looked for."""


@dataclass(frozen=True, slots=True)
class _OfRow(Source):
    """A device's own file.  To find a key takes as long as to check the file, so what was found in
    that of another row counts."""

    index: _Index

    def locate(self, key: Key) -> tuple[int, int] | None:
        whole = tuple(key)
        if whole not in self.index:
            self.index[whole] = Source.locate(self, key)
        return self.index[whole]


class _Shared:
    """The files that lie below those of all devices: the fleet's own, and what is included."""

    def __init__(self, folder: Path, over: Path | None) -> None:
        self.own: Final = normal(folder) / ".device"
        """Where each device's own file is taken to be: no file can include that name."""
        self.paths = {folder / FLEET, folder / DEVICE}
        """Of those that were needed, and of those that no device may have as its own."""
        self._indexes: Final[dict[Sequence[str | None], _Index]] = {}
        # As on the devices, where all of a fleet's files are together.
        self._local: Final = Places().local
        fleet = folder / FLEET if over is None else over
        gaps: list[ConfigError] = []
        parts: list[Part] = []
        if over is not None or fleet.exists():
            parts += read_parts("fleet", fleet, folder=self._local, gaps=gaps)
            self.paths |= {fleet, *(part.source.path for part in parts)}
        self._below, self._gaps = ([], []) if over is None else (parts, gaps)

    def mistakes(self, text: str, in_keys: Sequence[str | None]) -> list[ConfigError]:
        """What is wrong with the device whose own file, not written yet, has this text; see
        `Template.in_keys`."""
        index = self._indexes.setdefault(in_keys, {})

        def read(file: Path) -> Source:
            return _OfRow(file, text, index) if file == self.own else Source.read(file)

        gaps = list(self._gaps)
        own = list(read_parts("device", self.own, read, folder=self._local, gaps=gaps))
        self.paths |= {part.source.path for part in own if part.source.path != self.own}
        return check(Layers([*self._below, *own]), gaps).mistakes


def _line(error: ConfigError, path: Path) -> int:
    return error.line or 0 if error.path == path else 0


def _unfit(rooms: Table, pattern: Template) -> list[ConfigError]:
    """What of a template no row can fill in."""
    errors = [
        ConfigError(reason, path=pattern.path, line=line) for line, reason in pattern.strays.items()
    ]
    for name, line in pattern.columns.items() if rooms.columns else ():
        if name not in rooms.columns:
            near = " or ".join(nearest(name, rooms.columns))
            remedy = f"did you mean {near}?" if near else f"add it to {rooms.path}"
            errors.append(
                ConfigError(
                    f"asks for a column {name}, which {rooms.path} has not; {remedy}",
                    path=pattern.path,
                    line=line,
                )
            )
    return errors
