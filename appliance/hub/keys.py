"""The hub's own secrets: the project id, the API token, and the key that signs room tokens."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import hmac
import json
import os
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from appliance.hub.errors import DataError, SettingError

__all__ = ["Keys", "find", "load", "prepare"]

FILE: Final = "keys.json"

_PROBE: Final = 4096
"""Bytes that must fit into the data directory before the hub starts."""


@dataclass(frozen=True)
class Keys:
    """The project that this hub is, and the token that its REST calls are made with."""

    project: str
    api_token: str = field(repr=False)

    @property
    def signing_key(self) -> bytes:
        """The key of the room tokens: bound to the API token, and gives nothing of it away."""
        return hmac.new(self.api_token.encode(), b"roomlet room tokens", hashlib.sha256).digest()


def prepare(data: Path) -> None:
    """Make the data directory, and make sure that it can be written.

    Raises DataError.
    """
    probe = data / f".probe-{secrets.token_hex(4)}"
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(probe, b"\0" * _PROBE)
    except OSError as error:
        raise _data_error(data, error) from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def find(data: Path, environment: Mapping[str, str] | None = None) -> Keys:
    """The keys that a hub made in its data directory, or those of the environment; as `load`, but
    none are made.

    Raises SettingError where there are none, DataError.
    """
    environment = os.environ if environment is None else environment
    names = ("ROOMLET_PROJECT", "ROOMLET_API_TOKEN")
    try:
        if not all(environment.get(name) for name in names) and not (data / FILE).exists():
            raise SettingError(
                f"no hub's keys in {data}; start the hub there first, or give --data"
            )
    except OSError as error:
        raise _data_error(data, error) from error
    return load(data, environment)


def load(data: Path, environment: Mapping[str, str] | None = None) -> Keys:
    """The keys of a data directory, made now if it has none.

    ROOMLET_PROJECT and ROOMLET_API_TOKEN of the environment go before the file; where both are
    set no file is read or written. Raises DataError.
    """
    environment = os.environ if environment is None else environment
    project = environment.get("ROOMLET_PROJECT", "")
    api_token = environment.get("ROOMLET_API_TOKEN", "")
    if project and api_token:
        return Keys(project, api_token)
    path = data / FILE
    try:
        stored = _read(path)
        if stored is None:
            stored = Keys(str(uuid.uuid4()), f"PT{secrets.token_hex(25)}")
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            text = json.dumps({"project": stored.project, "api_token": stored.api_token})
            _write_new(path, text.encode() + b"\n")
            # Another process may have been first; its keys count.
            stored = _read(path) or stored
    except OSError as error:
        raise _data_error(data, error) from error
    return Keys(project or stored.project, api_token or stored.api_token)


def _read(path: Path) -> Keys | None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        text = ""
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    try:
        values: Any = json.loads(text)
        project, api_token = values["project"], values["api_token"]
    except (ValueError, KeyError, TypeError):
        project = api_token = None
    if not (isinstance(project, str) and isinstance(api_token, str) and project and api_token):
        raise DataError(f"{path} is damaged; restore it, or delete it to get new keys")
    return Keys(project, api_token)


def _write_new(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, unless it exists by then."""
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        _write(temporary, content)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
        except PermissionError:
            # A file system without hard links.
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _data_error(data: Path, error: OSError) -> DataError:
    if isinstance(error, DataError):
        return error
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataError(f"the disk of the data directory {data} is full; free some space")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return DataError(
            f"the data directory {data} is not readable and writable; mend its rights, or choose"
            " another with --data"
        )
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return DataError(f"{data} is no directory; choose another with --data")
    reason = error.strerror or "cannot be used"
    return DataError(f"the data directory {data}: {reason.lower()}; choose another with --data")
