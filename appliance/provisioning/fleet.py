"""An integrator's work: the files of a fleet, signed, verified and packed."""

from __future__ import annotations

import gzip
import io
import tarfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.provisioning.blame import first_of
from appliance.provisioning.checking import check
from appliance.provisioning.collecting import FLEET
from appliance.provisioning.errors import ConfigError, ConfigErrors, Refusals, Refused
from appliance.provisioning.files import write_whole
from appliance.provisioning.layers import Layers, Part, normal, read_parts
from appliance.provisioning.minisign import MinisignError, PublicKey, SecretKey, Signature
from appliance.provisioning.mirror import accept, check_signature
from appliance.provisioning.places import Places
from appliance.provisioning.rotation import Rotations, rotation_name
from appliance.provisioning.source import Source


def sign(folder: Path, key: SecretKey, serial: int | None = None) -> list[str]:
    """Sign what is not signed yet, as it stands, with this key; the names that were signed.

    What is signed already keeps its signature, so that its devices need not fetch it again.
    `serial` is by default the time, and more than that of the signature before it.  A file that
    leads to the next key is signed by `rotate` and never here.
    Raises OSError, Refused for a folder without files or one that another key follows this one in,
    and ConfigErrors for those that are no TOML; then nothing is signed.
    """
    if (leads_on := folder / rotation_name(key.public)).exists():
        raise Refused(
            f"{leads_on.name} leads devices from key {key.public.name} to the next one;"
            " sign with that"
        )
    due: list[tuple[Path, bytes, Signature | None]] = []
    wrong: list[ConfigError] = []
    for path in _signable(folder):
        data = path.read_bytes()
        old = _signature(path)
        if old is not None and _fits(old, path.name, data, key.public):
            continue
        due.append((path, data, old))
        try:
            Source.decode(path, data).parse()
        except ConfigError as error:
            wrong.append(error)
    if wrong:
        raise ConfigErrors(wrong)
    for path, data, old in due:
        last = old.serial if old is not None else None
        number = max(int(time.time()), (last or 0) + 1) if serial is None else serial
        text = key.sign(data, path.name, number)
        write_whole(_beside(path), text.encode(), 0o644)
    return [path.name for path, _, _ in due]


def verify(folder: Path, key: PublicKey) -> dict[str, int]:
    """The serials of a folder's files.

    Each that is neither the fleet's nor included by another is looked at as a device of its own
    over the fleet's; what lies on the device itself is not known here, nor what its files name: so
    nothing is called missing.  A device that knows `key` goes by the newest one that follows it
    here.
    Raises Refusals for those that a device would refuse, each reason once, and Refused where keys
    follow each other without an end.
    """
    serials: dict[str, int] = {}
    wrong: list[_Wrong] = []
    paths, rotations = _signable(folder), Rotations(folder, key)
    for path in rotations.paths:
        try:
            serials[path.name] = rotations.serial(path)
        except Refused as error:
            wrong.append(_Wrong(path.name, str(error)))
    # Where the way to it is broken nobody knows with which one the rest should be signed.
    if not wrong:
        newest = rotations.newest()
        for path in paths:
            try:
                serials[path.name] = _verified(path, newest)
            except Refused as error:
                wrong.append(_Wrong(path.name, str(error)))
    wrong += _mistakes(folder, paths)
    if wrong:
        raise Refusals(list(_told(wrong, [path.name for path in paths])))
    return serials


@dataclass(frozen=True, slots=True)
class _Wrong:
    """What is wrong with a file."""

    name: str
    text: str
    line: int = 0
    whose: str = ""
    """Of which devices, where it is not of all that have the file."""

    @classmethod
    def by_name(cls, error: ConfigError, whose: str = "") -> _Wrong:
        """A mistake in a file, as a device tells it."""
        name = "" if error.path is None else error.path.name
        told = ConfigError(
            error.reason, path=Path(name), line=error.line, column=error.column, key=error.key
        )
        return cls(name, str(told), error.line or 0, whose)


def _told(wrong: Iterable[_Wrong], names: Sequence[str]) -> Iterator[Refused]:
    """What is wrong, in the order of the files; what is the same of many is told of the first."""
    groups: dict[tuple[str, str], dict[str, _Wrong]] = {}
    order = {name: place for place, name in enumerate(names)}
    for one in sorted(wrong, key=lambda one: (order.get(one.name, len(names)), one.line)):
        groups.setdefault((one.text.replace(one.name, ""), one.whose), {})[one.name] = one
    for alike in groups.values():
        first = next(iter(alike.values()))
        whose = first.whose
        if len(alike) > 1:
            whose = f" ({len(alike)} of {len(names)} files: {first_of(list(alike))})"
        yield Refused(f"{first.text}{whose}")


def _mistakes(folder: Path, paths: Sequence[Path]) -> Iterator[_Wrong]:
    """What is wrong with what the files say, whoever signed them."""
    # As on the devices, where all of a fleet's files are together.
    local = Places().local
    below, beneath = _Read.of("fleet", folder / FLEET, local), {normal(folder / FLEET)}
    read = {normal(path): _Read.of("device", path, local) for path in paths}
    for path, own in read.items():
        beneath |= {part.source.path for part in own.parts} - {path}
        # A file that is below others may not get as far as to be looked at there.
        yield from map(_Wrong.by_name, own.gaps)
    devices = {path: own for path, own in read.items() if path not in beneath}
    if not devices:
        alone = check(Layers(below.parts), below.gaps, whole=False)
        yield from map(_Wrong.by_name, alone.mistakes)
    shared: dict[str, tuple[ConfigError, list[str]]] = {}
    for path, own in devices.items():
        gaps = [*below.gaps, *own.gaps]
        for error in check(Layers([*below.parts, *own.parts]), gaps, whole=False).mistakes:
            if error.path == path:
                yield _Wrong.by_name(error)
            elif error not in gaps:
                shared.setdefault(str(error), (error, []))[1].append(path.name)
    for error, names in shared.values():
        count = f"{len(names)} of {len(devices)} devices: {first_of(names)}"
        yield _Wrong.by_name(error, f" ({count})" if len(names) < len(devices) else "")


@dataclass(frozen=True, slots=True)
class _Read:
    """A file with what it includes, as far as that can be read."""

    parts: Sequence[Part]
    gaps: Sequence[ConfigError]

    @classmethod
    def of(cls, layer: str, path: Path, local: Path) -> _Read:
        """No parts where the file is not there."""
        gaps: list[ConfigError] = []
        if not path.exists():
            return cls([], gaps)
        return cls(list(read_parts(layer, path, folder=local, gaps=gaps)), gaps)


def _verified(path: Path, key: PublicKey) -> int:
    """The serial of a file that a device would take.  Raises Refused."""
    try:
        text = _beside(path).read_text("utf-8")
    except FileNotFoundError:
        raise Refused(f"{path.name} is not signed; run roomlet provision sign") from None
    except UnicodeDecodeError:
        raise Refused(f"{path.name}.minisig is no text; sign the file again") from None
    signature = check_signature(path.name, text, key, None)
    accept(path.name, path.read_bytes(), text, signature, key)
    return signature.serial or 0


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


def _signable(folder: Path) -> list[Path]:
    """What of a folder is signed.  Raises Refused where that is nothing."""
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise Refused(f"{folder} has no files of a fleet; render some first")
    return paths


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
