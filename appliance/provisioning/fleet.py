"""An integrator's work: from a table of rooms and one template to the signed files of a fleet."""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import re
import tarfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Final

from appliance.provisioning.collecting import rotation_name
from appliance.provisioning.config import Config
from appliance.provisioning.errors import ConfigError, Refused
from appliance.provisioning.files import write_whole
from appliance.provisioning.layers import Layers, Part, read_parts
from appliance.provisioning.minisign import MinisignError, PublicKey, SecretKey, Signature
from appliance.provisioning.mirror import check_signature
from appliance.provisioning.options import check_options
from appliance.provisioning.showing import masked, secrets_in
from appliance.provisioning.source import Source

NAMES: Final = ("serial", "mac")
"""The columns of which one names the device."""

SIGNED: Final = ("*.toml", "*.next.pub")
"""What of a folder is signed."""


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
        old = name if name in self.before else "/dev/null"
        lines = list(
            difflib.unified_diff(
                before.splitlines(), after.splitlines(), fromfile=old, tofile=name, lineterm=""
            )
        )
        hidden = secrets_in(before) | secrets_in(after)
        # The first two lines name files.
        return "".join(f"{line}\n" for line in [*lines[:2], *masked(lines[2:], hidden)])

    def write(self, folder: Path) -> None:
        """Write what has changed.  Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in self.changed:
            write_whole(folder / name, self.files[name].encode(), 0o644)


def render(table: Path, template: Path, folder: Path, over: Path | None = None) -> Rendered:
    """The file of each row: the template with `${column}` filled in, checked as a device.

    `over` is the fleet's own file, which lies below each.  Raises ConfigError for the first row
    or file that cannot be; nothing is written.
    """
    pattern = Source.read(template).text
    rows = list(_rows(table))
    files: dict[str, str] = {}
    for line, row in rows:
        name = _device_name(table, line, row)
        if name in files:
            raise ConfigError(
                f"{name} is there twice; each device has one row", path=table, line=line
            )
        try:
            text = Template(pattern).substitute({key: _escaped(cell) for key, cell in row.items()})
        except KeyError as error:
            raise ConfigError(
                f"has no column {error.args[0]}, which {template.name} asks for; add it",
                path=table,
                line=1,
            ) from None
        except ValueError:
            raise ConfigError(
                "has a $ that begins no ${column}; write $$ for a plain one", path=template
            ) from None
        _check(folder / name, text, over)
        files[name] = text
    present = {path.name: path for path in folder.glob("*.toml")} if folder.is_dir() else {}
    before = {
        name: present[name].read_text("utf-8", "replace") for name in files if name in present
    }
    known = {*files, *([over.name] if over else []), *_included_names(files, over)}
    strangers = tuple(sorted(set(present) - known))
    return Rendered(files, before, strangers)


def sign(folder: Path, key: SecretKey, serial: int | None = None) -> list[str]:
    """Sign what is not signed yet, as it stands, with this key; the names that were signed.

    What is signed already keeps its signature, so that its devices need not fetch it again.
    `serial` is by default the time, and more than that of the signature before it.
    Raises OSError, Refused for a folder without files, and ConfigError for one that is no TOML.
    """
    signed = []
    paths = _signable(folder)
    if not paths:
        raise Refused(f"{folder} has no files of a fleet; render some first")
    for path in paths:
        data = path.read_bytes()
        old = _signature(path)
        if old is not None and _fits(old, path.name, data, key.public):
            continue
        if path.suffix == ".toml":
            Source.decode(path, data).parse()
        last = old.serial if old is not None else None
        number = max(int(time.time()), (last or 0) + 1) if serial is None else serial
        text = key.sign(data, path.name, number)
        write_whole(_beside(path), text.encode(), 0o644)
        signed.append(path.name)
    return signed


def verify(folder: Path, key: PublicKey) -> dict[str, int]:
    """The serials of a folder's files.  Raises Refused for the first that a device would refuse."""
    serials = {}
    paths = _signable(folder)
    if not paths:
        raise Refused(f"{folder} has no files of a fleet; render some first")
    for path in paths:
        try:
            text = _beside(path).read_text("utf-8")
        except FileNotFoundError:
            raise Refused(f"{path.name} is not signed; run roomlet provision sign") from None
        except UnicodeDecodeError:
            raise Refused(f"{path.name}.minisig is no text; sign the file again") from None
        signature = check_signature(path.name, text, key, None)
        try:
            signature.verify(path.read_bytes(), key)
        except MinisignError as error:
            raise Refused(f"{path.name} {error}") from None
        serials[path.name] = signature.serial or 0
    return serials


def bundle(folder: Path, key: PublicKey, target: Path) -> list[str]:
    """Pack a folder's signed files, verified, into a .tar.gz for a web server or a stick.

    The same files give the same bytes.  Raises Refused and OSError; returns the names in it.
    """
    names = [part for name in verify(folder, key) for part in (name, f"{name}.minisig")]
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, filename="") as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name in names:
            data = (folder / name).read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    write_whole(target, packed.getvalue(), 0o644)
    return names


def rotate(folder: Path, old: SecretKey, new: PublicKey) -> str:
    """Write the file by which devices pass from one key to the next; its name.  Raises OSError."""
    name = rotation_name(old.public)
    data = new.file.encode()
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / name, data, 0o644)
    write_whole(folder / f"{name}.minisig", old.sign(data, name).encode(), 0o644)
    return name


def _rows(table: Path) -> Iterable[tuple[int, dict[str, str]]]:
    text = Source.read(table).text
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        names = [name.strip() for name in reader.fieldnames or []]
        if not set(NAMES) & set(names):
            raise ConfigError(f"needs a column {' or '.join(NAMES)}", path=table, line=1)
        if len(set(names)) != len(names) or "" in names:
            raise ConfigError("has two columns of one name, or one without", path=table, line=1)
        reader.fieldnames = names
        for row in reader:
            if None in row or None in row.values():
                raise ConfigError(
                    f"has {'more' if None in row else 'fewer'} cells than the first line",
                    path=table,
                    line=reader.line_num,
                )
            yield reader.line_num, {key: cell.strip() for key, cell in row.items()}
    except csv.Error as error:
        raise ConfigError(f"is no CSV: {error}", path=table, line=reader.line_num) from None


def _device_name(table: Path, line: int, row: Mapping[str, str]) -> str:
    serial, mac = row.get("serial", "").lower(), row.get("mac", "").lower().replace(":", "-")
    if mac and not re.fullmatch(r"([0-9a-f]{2}-){5}[0-9a-f]{2}", mac):
        raise ConfigError(f"{mac} is no MAC address", path=table, line=line, key="mac")
    if not serial and not mac:
        raise ConfigError("the row names no device; give serial or mac", path=table, line=line)
    if serial and not re.fullmatch(r"[a-z0-9_][a-z0-9_.-]{0,63}", serial):
        raise ConfigError(f"{serial} is no serial number", path=table, line=line, key="serial")
    return f"{serial or mac}.toml"


def _escaped(cell: str) -> str:
    """As it stands between the quotes of a text of TOML; numbers and words stay what they are."""
    cell = cell.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in cell)


def _check(path: Path, text: str, over: Path | None) -> None:
    below = [] if over is None else list(read_parts("fleet", over))

    def read(file: Path) -> Source:
        return Source(path, text) if file.name == path.name else Source.read(file)

    parts: list[Part] = [*below, *read_parts("device", path, read)]
    check_options(Config.from_layers(Layers(parts)))


def _included_names(files: Mapping[str, str], over: Path | None) -> set[str]:
    sources = [Source(Path(name), text) for name, text in files.items()]
    names = {path.name for path in _paths_of(over)} if over is not None else set()
    for source in sources:
        given = source.parse().get("include", [])
        names |= {given} if isinstance(given, str) else set(given)
    return names


def _paths_of(over: Path) -> list[Path]:
    return [part.source.path for part in read_parts("fleet", over)]


def _signable(folder: Path) -> list[Path]:
    return sorted(path for pattern in SIGNED for path in folder.glob(pattern))


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.minisig")


def _signature(path: Path) -> Signature | None:
    try:
        return Signature.parse(_beside(path).read_text("utf-8"))
    except (OSError, MinisignError, UnicodeDecodeError):
        return None


def _fits(signature: Signature, name: str, data: bytes, key: PublicKey) -> bool:
    try:
        signature.verify(data, key)
    except MinisignError:
        return False
    return signature.fields.get("file") == name and signature.serial is not None
