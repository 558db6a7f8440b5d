"""What a device holds of a fleet's signed files: the newest set that it has verified.

One JSON file, replaced whole: two of the fleet's files that belong together are never half new.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from pydantic import BaseModel, Field, ValidationError

from appliance.provisioning.errors import ConfigError, Refused, StoreError
from appliance.provisioning.files import write_whole
from appliance.provisioning.layers import plain
from appliance.provisioning.minisign import MinisignError, PublicKey, Signature
from appliance.provisioning.source import Source

log = logging.getLogger(__name__)


class Validator(BaseModel):
    """What a server said of a signature, to be asked whether it still holds."""

    etag: str | None = None
    last_modified: str | None = None


class Held(BaseModel):
    """One signed file."""

    text: str
    signature: str
    """The text of its `.minisig`."""


class Shelf(BaseModel):
    """The files of one source, by name."""

    files: dict[str, Held] = Field(default_factory=dict)
    serials: dict[str, int] = Field(default_factory=dict)
    """Of the newest signature of each file that was ever taken; an older one is refused."""
    validators: dict[str, Validator] = Field(default_factory=dict)
    """What the servers said of each signature, by its address."""
    spare: dict[str, Held] = Field(default_factory=dict)
    """Verified files of a set that did not come whole: not in use, but not fetched again."""


class Holding(BaseModel):
    """All that is held, and the key that is believed."""

    web: Shelf = Field(default_factory=Shelf)
    usb: Shelf = Field(default_factory=Shelf)
    root: str = ""
    """The key of the configuration from which `key` descends."""
    key: str = ""
    """The key that has taken its place."""

    def key_for(self, root: str) -> PublicKey:
        """The key that is believed where the configuration says `root`."""
        return PublicKey.parse(self.key if self.root == root else root)


class Mirror:
    """The signed files, in one file of the device."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path

    def read(self) -> Holding:
        """What is held; nothing where there is nothing, or rubbish after a broken disk."""
        try:
            return Holding.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return Holding()
        except ValidationError:
            log.warning("%s is damaged; the fleet's files are fetched anew", self.path)
            return Holding()
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}; check the disk") from error

    def write(self, holding: Holding) -> None:
        """Hold that instead.  Raises StoreError, and holds what it held."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, holding.model_dump_json().encode())
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}; check the disk") from error


def check_signature(name: str, text: str, key: PublicKey, newest: int | None) -> Signature:
    """The signature that a source offers for a file, checked as far as it goes without the file.

    `newest` is the serial of the newest one ever taken.  Raises Refused: another key, another
    file's signature, or an older one.
    """
    try:
        signature = Signature.parse(text)
    except MinisignError as error:
        raise Refused(f"{name}.minisig {error}") from None
    if signature.key_id != key.key_id:
        raise Refused(
            f"{name} is signed with key {signature.key_id[::-1].hex().upper()}, not {key.name};"
            " sign it with the fleet's key"
        )
    if signature.fields.get("file") != name:
        raise Refused(
            f"{name}.minisig is the signature of {signature.fields.get('file', 'no named file')};"
            f" sign {name} under its own name"
        )
    if signature.serial is None:
        raise Refused(f"{name}.minisig tells no serial number; sign with roomlet or minisign")
    if newest is not None and signature.serial < newest:
        raise Refused(
            f"{name} has serial {signature.serial}, older than {newest}, which was here;"
            " sign it anew, or take it at the device with --force"
        )
    return signature


def accept(name: str, data: bytes, text: str, signature: Signature, key: PublicKey) -> Held:
    """A file as it is held, once its signature fits.  Raises Refused."""
    try:
        signature.verify(data, key)
    except MinisignError as error:
        raise Refused(f"{name} {error}") from None
    try:
        source = Source.decode(Path(name), data)
        source.parse()
    except ConfigError as error:
        raise Refused(str(error)) from None
    return Held(text=source.text, signature=text)


def included(held: Held) -> list[str]:
    """The names that a held file includes, as far as they are fit to be asked for."""
    given = Source(Path("held"), held.text).parse().get("include", [])
    names = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    return [name for name in names if isinstance(name, str) and plain(name)]
