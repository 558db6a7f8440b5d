"""How a fleet passes from one key to the next: a file that is named after a key and signed with it,
and holds the key that follows."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from appliance.provisioning.errors import Refused
from appliance.provisioning.files import write_whole
from appliance.provisioning.minisign import MinisignError, PublicKey, SecretKey, Signature
from appliance.provisioning.mirror import check_signature

ROTATIONS: Final = 16
"""Keys that a device follows at most in one go."""

_SUFFIX: Final = ".next.pub"


def rotation_name(key: PublicKey) -> str:
    """The file, signed with `key`, that names the key which follows it."""
    return f"{key.name}{_SUFFIX}"


def check_rotation(key: PublicKey, text: str) -> Signature:
    """What is offered as the signature of the file after `key`, checked as far as it goes without
    that.  Raises Refused."""
    name = rotation_name(key)
    try:
        signature = Signature.parse(text)
    except MinisignError as error:
        raise Refused(f"{name}.minisig {error}") from None
    _check_signer(name, signature, key.name)
    return check_signature(name, text, key, None)


def following(key: PublicKey, signature: Signature, data: bytes) -> PublicKey:
    """The key that the file after `key` holds.  Raises Refused."""
    name = rotation_name(key)
    try:
        signature.verify(data, key)
        return PublicKey.parse(data.decode("utf-8"))
    except MinisignError as error:
        raise Refused(f"{name} {error}") from None
    except UnicodeDecodeError:
        raise Refused(f"{name} is no text in UTF-8; {_REMEDY}") from None


def too_many() -> Refused:
    """More keys follow each other than a device goes along with, or in a ring."""
    return Refused(f"more than {ROTATIONS} keys follow each other; give the device the last one")


def rotate(folder: Path, old: SecretKey, new: PublicKey) -> str:
    """Write the file by which devices pass from one key to the next; its name.  Raises OSError."""
    name = rotation_name(old.public)
    data = new.file.encode()
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / name, data, 0o644)
    write_whole(folder / f"{name}.minisig", old.sign(data, name).encode(), 0o644)
    return name


class Rotations:
    """The files of this kind in a folder, as a device finds them that knows `key`."""

    def __init__(self, folder: Path, key: PublicKey) -> None:
        self.paths: Final = sorted(folder.glob(f"*{_SUFFIX}"))
        self._known: Final = {key.name: key}
        for path in self.paths:
            try:
                held = PublicKey.parse(path.read_text("utf-8"))
            except (MinisignError, UnicodeDecodeError):
                continue
            self._known.setdefault(held.name, held)
        self._folder, self._key = folder, key

    def newest(self) -> PublicKey:
        """The key that the device goes by in the end.  Raises Refused and OSError."""
        key = self._key
        for _ in range(ROTATIONS):
            path = self._folder / rotation_name(key)
            if path not in self.paths:
                return key
            key = following(key, check_rotation(key, _signature(path)), path.read_bytes())
        raise too_many()

    def serial(self, path: Path) -> int:
        """The serial of one of `paths` that devices would take.  Raises Refused and OSError."""
        signer = self._known.get(path.name.removesuffix(_SUFFIX))
        if signer is not None:
            signature = check_rotation(signer, _signature(path))
            following(signer, signature, path.read_bytes())
            return signature.serial or 0
        # Older than all that is known here: only who it says that it is from can be looked at.
        try:
            signature = Signature.parse(_signature(path))
            PublicKey.parse(path.read_text("utf-8"))
        except (MinisignError, UnicodeDecodeError) as error:
            raise Refused(f"{path.name} cannot be read ({error}); {_REMEDY}") from None
        _check_signer(path.name, signature, path.name.removesuffix(_SUFFIX))
        return signature.serial or 0


_REMEDY: Final = "make it anew with roomlet provision rotate"


def _check_signer(name: str, signature: Signature, signer: str) -> None:
    found = signature.key_id[::-1].hex().upper()
    if found != signer:
        raise Refused(f"{name} is signed with key {found}, not {signer}; {_REMEDY}")


def _signature(path: Path) -> str:
    try:
        return path.with_name(f"{path.name}.minisig").read_text("utf-8")
    except FileNotFoundError:
        raise Refused(f"{path.name} is not signed; {_REMEDY}") from None
    except UnicodeDecodeError:
        raise Refused(f"{path.name}.minisig is no text; {_REMEDY}") from None
