"""An integrator's work: the files of a fleet, signed, verified and packed."""

from __future__ import annotations

import gzip
import io
import tarfile
import time
from pathlib import Path
from typing import Final

from appliance.provisioning.blame import first_of
from appliance.provisioning.collecting import rotation_name
from appliance.provisioning.errors import ConfigError, ConfigErrors, Refusals, Refused
from appliance.provisioning.files import write_whole
from appliance.provisioning.minisign import MinisignError, PublicKey, SecretKey, Signature
from appliance.provisioning.mirror import accept, check_signature, included
from appliance.provisioning.source import Source

SIGNED: Final = ("*.toml", "*.next.pub")
"""What of a folder is signed."""


def sign(folder: Path, key: SecretKey, serial: int | None = None) -> list[str]:
    """Sign what is not signed yet, as it stands, with this key; the names that were signed.

    What is signed already keeps its signature, so that its devices need not fetch it again.
    `serial` is by default the time, and more than that of the signature before it.
    Raises OSError, Refused for a folder without files, and ConfigErrors for those that are no TOML;
    then nothing is signed.
    """
    due: list[tuple[Path, bytes, Signature | None]] = []
    wrong: list[ConfigError] = []
    for path in _signable(folder):
        data = path.read_bytes()
        old = _signature(path)
        if old is not None and _fits(old, path.name, data, key.public):
            continue
        due.append((path, data, old))
        if path.suffix == ".toml":
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

    Raises Refusals for those that a device would refuse, each reason once.
    """
    serials: dict[str, int] = {}
    wrong: dict[str, list[Refused]] = {}
    names: dict[str, list[str]] = {}
    paths = _signable(folder)
    for path in paths:
        try:
            serials[path.name] = _verified(path, key)
        except Refused as error:
            # What is the same of many files is told of the first.
            reason = str(error).replace(path.name, "")
            wrong.setdefault(reason, []).append(error)
            names.setdefault(reason, []).append(path.name)
    if wrong:
        raise Refusals(
            [
                alike[0]
                if len(alike) == 1
                else Refused(
                    f"{alike[0]} ({len(alike)} of {len(paths)} files: {first_of(names[reason])})"
                )
                for reason, alike in wrong.items()
            ]
        )
    return serials


def _verified(path: Path, key: PublicKey) -> int:
    """The serial of a file that a device would take.  Raises Refused."""
    try:
        text = _beside(path).read_text("utf-8")
    except FileNotFoundError:
        raise Refused(f"{path.name} is not signed; run roomlet provision sign") from None
    except UnicodeDecodeError:
        raise Refused(f"{path.name}.minisig is no text; sign the file again") from None
    signature = check_signature(path.name, text, key, None)
    data = path.read_bytes()
    if path.suffix == ".toml":
        held = accept(path.name, data, text, signature, key)
        for name in included(held):
            if not (path.parent / name).is_file():
                raise Refused(f"{path.name} includes {name}, which is not in {path.parent}; add it")
    else:
        try:
            signature.verify(data, key)
        except MinisignError as error:
            raise Refused(f"{path.name} {error}") from None
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


def rotate(folder: Path, old: SecretKey, new: PublicKey) -> str:
    """Write the file by which devices pass from one key to the next; its name.  Raises OSError."""
    name = rotation_name(old.public)
    data = new.file.encode()
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / name, data, 0o644)
    write_whole(folder / f"{name}.minisig", old.sign(data, name).encode(), 0o644)
    return name


def _signable(folder: Path) -> list[Path]:
    """What of a folder is signed.  Raises Refused where that is nothing."""
    paths = sorted(path for pattern in SIGNED for path in folder.glob(pattern))
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
