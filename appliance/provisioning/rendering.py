"""An integrator's work: from a table of rooms and one template to the files of a fleet."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from appliance.provisioning.blame import Blame
from appliance.provisioning.checking import check
from appliance.provisioning.errors import ConfigError, ConfigErrors
from appliance.provisioning.files import write_whole
from appliance.provisioning.layers import Layers, Part, normal, read_parts
from appliance.provisioning.masking import Sealed, lines
from appliance.provisioning.places import Places
from appliance.provisioning.source import Source
from appliance.provisioning.table import Table
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
    shared = _Shared(over)
    blame = Blame(rooms, pattern)
    for row in rooms.rows:
        path = normal(folder / (row.file or f"line-{row.line}.toml"))
        blame.add(row, path, partial(shared.mistakes, path))
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
    strangers = tuple(sorted(set(present) - set(files) - shared.names))
    return Rendered(files, before, strangers)


class _Shared:
    """The files that lie below those of all devices: the fleet's own, and what is included."""

    def __init__(self, over: Path | None) -> None:
        self.names: set[str] = set()
        """Of those in the folder that were needed."""
        self._gaps: list[ConfigError] = []
        # As on the devices, where all of a fleet's files are together.
        self._local = Places().local
        self._below: list[Part] = []
        if over is not None:
            self._below += read_parts("fleet", over, folder=self._local, gaps=self._gaps)
            self.names |= {over.name, *(part.source.path.name for part in self._below)}

    def mistakes(self, path: Path, text: str) -> list[ConfigError]:
        """What is wrong with the device whose own file, not written yet, would be at `path`."""

        def read(file: Path) -> Source:
            return Source(path, text) if file == path else Source.read(file)

        gaps = list(self._gaps)
        own = list(read_parts("device", path, read, folder=self._local, gaps=gaps))
        self.names |= {part.source.path.name for part in own[:-1]}
        return check(Layers([*self._below, *own]), gaps).mistakes


def _line(error: ConfigError, path: Path) -> int:
    return error.line or 0 if error.path == path else 0


def _unfit(rooms: Table, pattern: Template) -> list[ConfigError]:
    """What of a template no row can fill in."""
    errors = [
        ConfigError(
            "has a $ that begins no ${column}; write $$ for a plain one",
            path=pattern.path,
            line=line,
        )
        for line in pattern.strays
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
