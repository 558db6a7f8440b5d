"""From a source of signed files to what the device may hold of it.

Signatures are asked for first: they are small, and one that is known, of another key, or older
than the last one ends the matter before the file itself is fetched.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, Protocol

from appliance.provisioning.errors import Refused, Unreachable
from appliance.provisioning.layers import MAX_FILES
from appliance.provisioning.minisign import PublicKey
from appliance.provisioning.mirror import (
    Held,
    Holding,
    Shelf,
    Validator,
    accept,
    check_signature,
    included,
)
from appliance.provisioning.rotation import (
    ROTATIONS,
    check_rotation,
    following,
    rotation_name,
    too_many,
)
from appliance.provisioning.source import MAX_BYTES

log = logging.getLogger(__name__)

SIGNATURE_BYTES: Final = 4096
"""The largest signature or key that is read; minisign's own are below 400 bytes."""

FLEET: Final = "fleet.toml"
"""The file that every device of a fleet takes."""


class Found(Enum):
    """What a source says to a name."""

    YES = "yes"
    NO = "no"
    SAME = "same"
    """As when its validator was given."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a source gives for a name."""

    found: Found
    data: bytes = b""
    validator: Validator | None = None


class Files(Protocol):
    """A source of files by name."""

    @property
    def address(self) -> str:
        """What its validators are kept under."""
        ...

    async def get(self, name: str, limit: int, known: Validator | None = None) -> Answer:
        """The file, of at most `limit` bytes.  Raises Unreachable, and Refused for a larger one."""
        ...


class Folder:
    """Files in a folder, as on a USB stick."""

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        self.address: Final = ""

    async def get(self, name: str, limit: int, known: Validator | None = None) -> Answer:
        """See `Files.get`."""
        path = self.folder / name
        try:
            data = _read_plain(path, limit + 1)
        except FileNotFoundError:
            return Answer(Found.NO)
        except OSError as error:
            raise Unreachable(f"{path}: {(error.strerror or 'cannot be read').lower()}") from error
        if len(data) > limit:
            raise Refused(f"{path} has more than {limit} bytes; shorten it")
        return Answer(Found.YES, data)


def _read_plain(path: Path, most: int) -> bytes:
    """The beginning of a file that a stranger may have put there: a link may lead into the device,
    and a pipe be waited at for ever.  Raises OSError, and Refused for these."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise Refused(f"{path} is a link; put the file itself there") from None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Refused(f"{path} is no plain file; put one there")
        return file.read(most)


async def collect(
    files: Files, names: Sequence[str], holding: Holding, shelf: Shelf, root: str, *, force: bool
) -> None:
    """Bring `shelf` and the key of `holding`, its owner, up to date: all of it, or none.

    `names` are the device's own files, which lie over the fleet's; `root` is the key of the
    configuration.  Raises Refused and Unreachable; of what was changed until then only
    `shelf.spare` is worth keeping.
    """
    key = await _newest_key(files, holding.key_for(root))
    holding.root, holding.key = root, str(key)
    wanted = [FLEET, *names]
    asked: set[str] = set()
    found: dict[str, Held] = {}
    while wanted:
        name = wanted.pop(0)
        if name in asked:
            continue
        asked.add(name)
        if len(asked) > MAX_FILES + len(names):
            raise Refused(f"{name} is one file too many to include; use fewer")
        entry = await _file(files, name, key, shelf, force=force)
        if entry is not None:
            found[name] = entry
            wanted += included(entry)
    if not found:
        raise Unreachable(f"has no signed {FLEET}, nor a file for this device")
    shelf.files, shelf.spare = found, {}


async def _newest_key(files: Files, key: PublicKey) -> PublicKey:
    """Follow the keys, each of which is signed by the one before."""
    for _ in range(ROTATIONS):
        name = rotation_name(key)
        answer = await files.get(f"{name}.minisig", SIGNATURE_BYTES)
        if answer.found is not Found.YES:
            return key
        signature = check_rotation(key, _text(name, answer.data))
        content = await files.get(name, SIGNATURE_BYTES)
        if content.found is not Found.YES:
            raise Refused(f"{name} is signed, but not there; upload it")
        before, key = key, following(key, signature, content.data)
        log.warning("key %s takes the place of %s", key.name, before.name)
    raise too_many()


async def _file(
    files: Files, name: str, key: PublicKey, shelf: Shelf, *, force: bool
) -> Held | None:
    old = shelf.files.get(name)
    address = f"{files.address}{name}.minisig"
    known = shelf.validators.get(address) if old is not None and not force else None
    answer = await files.get(f"{name}.minisig", SIGNATURE_BYTES, known)
    if answer.found is Found.SAME:
        return old
    if answer.found is Found.NO:
        if old is not None:
            log.info("%s is gone from its source; the device keeps what it has of it", name)
        return old
    text = _text(name, answer.data)
    if old is None or text != old.signature:
        newest = None if force else shelf.serials.get(name)
        signature = check_signature(name, text, key, newest)
        old = shelf.spare.get(name)
        if old is None or text != old.signature:
            content = await files.get(name, MAX_BYTES)
            if content.found is not Found.YES:
                raise Refused(f"{name} is signed, but not there; upload it")
            old = shelf.spare[name] = accept(name, content.data, text, signature, key)
        shelf.serials[name] = signature.serial or 0
    if answer.validator is not None:
        shelf.validators[address] = answer.validator
    return old


def _text(name: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Refused(f"{name}.minisig is no text; sign the file again") from None
