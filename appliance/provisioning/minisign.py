"""Signatures of files in the format of minisign: Ed25519 and a signed comment.

The format is four lines of text round one primitive, so this module writes and reads it on
`cryptography`, which is here for TLS anyway.  What it makes, the tool `minisign` takes, and the
other way round: the tests hold both against files that the tool made.

::

    MinisignError  (ValueError)      what is no key or no signature
      WrongSignature                 a signature that does not fit: other key, name or content
      Locked                         a secret key that a password opens

Sizes in bytes: key id 8, public key 32, signature 64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import time
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

COMMENT: Final = "untrusted comment: "
TRUSTED: Final = "trusted comment: "

_OPSLIMIT: Final = 33_554_432
_MEMLIMIT: Final = 1_073_741_824
"""The cost of a password: libsodium's `SENSITIVE`, which minisign uses (N = 2^20, r = 8: 1 GiB)."""

_MAX_N: Final = 2**20
"""No key file may ask for more memory than minisign's own do."""


_PUBLIC_BYTES, _SECRET_BYTES = 42, 158
_KINDS: Final = {_PUBLIC_BYTES: "a minisign public key", _SECRET_BYTES: "a minisign secret key"}
"""The keys by their size, with the letters and numbers that stand before."""


class MinisignError(ValueError):
    """A text that is no key, no signature, or of a kind that is not known."""


class WrongSignature(MinisignError):
    """A signature that does not fit the file, its name or the key."""


class Locked(MinisignError):
    """A secret key that opens with a password, which was not given or is another."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What verifies."""

    key_id: bytes
    key: bytes

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """From the base64 of 56 characters, or the file of it.  Raises MinisignError."""
        lines = [line for line in text.strip().splitlines() if not line.startswith(COMMENT)]
        raw = _decoded("".join(lines), _PUBLIC_BYTES, _KINDS[_PUBLIC_BYTES])
        if raw[:2] != b"Ed":
            raise MinisignError("is no minisign public key: it begins otherwise than RW")
        return cls(raw[2:10], raw[10:])

    @property
    def name(self) -> str:
        """The key id as minisign writes it: 16 hexadecimal digits."""
        return self.key_id[::-1].hex().upper()

    def __str__(self) -> str:
        return base64.b64encode(b"Ed" + self.key_id + self.key).decode()

    @property
    def file(self) -> str:
        """The text of its file."""
        return f"{COMMENT}minisign public key {self.name}\n{self}\n"


@dataclass(frozen=True, slots=True)
class Signature:
    """What stands in a `.minisig` file."""

    prehashed: bool
    key_id: bytes
    signature: bytes
    comment: str
    """The trusted comment."""
    comment_signature: bytes

    @classmethod
    def parse(cls, text: str) -> Signature:
        """From the text of a file.  Raises MinisignError."""
        lines = text.split("\n")
        if (
            len(lines) < 4
            or not lines[0].startswith(COMMENT)
            or not lines[2].startswith(TRUSTED)
            or any(line.strip() for line in lines[4:])
        ):
            raise MinisignError("is no minisign signature; sign the file again")
        raw = _decoded(lines[1], 74, "a minisign signature")
        if raw[:2] not in (b"Ed", b"ED"):
            raise MinisignError("is a signature of an unknown kind; use minisign's Ed25519")
        comment = lines[2].removeprefix(TRUSTED).rstrip("\r")
        return cls(
            prehashed=raw[:2] == b"ED",
            key_id=raw[2:10],
            signature=raw[10:],
            comment=comment,
            comment_signature=_decoded(lines[3], 64, "a minisign signature of the comment"),
        )

    def verify(self, data: bytes, key: PublicKey) -> None:
        """Raises WrongSignature unless `key` signed this data and this comment."""
        if not hmac.compare_digest(self.key_id, key.key_id):
            raise WrongSignature(
                f"is signed with key {self.key_id[::-1].hex().upper()}, not {key.name};"
                " sign it with the fleet's key"
            )
        public = Ed25519PublicKey.from_public_bytes(key.key)
        content = hashlib.blake2b(data).digest() if self.prehashed else data
        try:
            public.verify(self.signature, content)
            public.verify(self.comment_signature, self.signature + self.comment.encode())
        except InvalidSignature:
            raise WrongSignature("does not fit its signature; sign it again") from None

    @property
    def fields(self) -> dict[str, str]:
        """The `name:value` words of the trusted comment, which minisign parts by tabs."""
        return dict(re.findall(r"(?:^|\s)([a-z]+):(\S+)", self.comment))

    @property
    def serial(self) -> int | None:
        """What orders two signatures of one file: `serial:`, or minisign's own `timestamp:`.

        Both are meant to be seconds since 1970; a fleet may count otherwise if it always does.
        """
        text = self.fields.get("serial", self.fields.get("timestamp", ""))
        return int(text) if text.isascii() and text.isdecimal() and len(text) <= 15 else None


@dataclass(frozen=True, slots=True)
class SecretKey:
    """What signs.  Its `repr` tells the key id only."""

    key_id: bytes
    seed: bytes

    def __repr__(self) -> str:
        return f"SecretKey({self.public.name})"

    @classmethod
    def generate(cls) -> SecretKey:
        """A new one."""
        return cls(os.urandom(8), Ed25519PrivateKey.generate().private_bytes_raw())

    @property
    def public(self) -> PublicKey:
        """What verifies what this key signs."""
        private = Ed25519PrivateKey.from_private_bytes(self.seed)
        return PublicKey(self.key_id, private.public_key().public_bytes_raw())

    def sign(self, data: bytes, name: str, serial: int | None = None) -> str:
        """The text of the `.minisig` of a file of this name; `serial` by default is the time."""
        when = int(time.time()) if serial is None else serial
        comment = f"timestamp:{when}\tfile:{name}\thashed"
        private = Ed25519PrivateKey.from_private_bytes(self.seed)
        signature = private.sign(hashlib.blake2b(data).digest())
        whole = private.sign(signature + comment.encode())
        first = base64.b64encode(b"ED" + self.key_id + signature).decode()
        return (
            f"{COMMENT}signature from minisign secret key\n{first}\n"
            f"{TRUSTED}{comment}\n{base64.b64encode(whole).decode()}\n"
        )

    @classmethod
    def parse(cls, text: str, password: str | None = None) -> SecretKey:
        """From the text of a file.  Raises MinisignError; Locked for a wrong or absent password."""
        lines = [line for line in text.strip().splitlines() if not line.startswith(COMMENT)]
        raw = _decoded("".join(lines), _SECRET_BYTES, _KINDS[_SECRET_BYTES])
        kind, kdf, check = raw[:2], raw[2:4], raw[4:6]
        if kind != b"Ed" or check != b"B2" or kdf not in (b"Sc", b"\0\0"):
            raise MinisignError("is a secret key of an unknown kind; use minisign's")
        secret = raw[54:]
        if kdf == b"Sc":
            if not password:
                raise Locked("the secret key is locked with a password; give it")
            stream = _stretched(password, raw[6:38], raw[38:46], raw[46:54])
            secret = bytes(a ^ b for a, b in zip(secret, stream, strict=True))
        key_id, seed, public = secret[:8], secret[8:40], secret[40:72]
        made = cls(key_id, seed)
        if kdf == b"Sc":
            digest = hashlib.blake2b(b"Ed" + secret[:72], digest_size=32).digest()
            if not hmac.compare_digest(digest, secret[72:]):
                raise Locked("the secret key does not open with this password; try again")
        elif not hmac.compare_digest(made.public.key, public):
            raise MinisignError("is damaged; take it from a backup")
        return made

    def file(self, password: str | None = None) -> str:
        """The text of its file, locked if there is a password."""
        secret = self.key_id + self.seed + self.public.key
        if not password:
            raw = b"Ed\0\0B2" + bytes(48) + secret + bytes(32)
        else:
            secret += hashlib.blake2b(b"Ed" + secret, digest_size=32).digest()
            salt = os.urandom(32)
            costs = _OPSLIMIT.to_bytes(8, "little"), _MEMLIMIT.to_bytes(8, "little")
            stream = _stretched(password, salt, *costs)
            locked = bytes(a ^ b for a, b in zip(secret, stream, strict=True))
            raw = b"EdScB2" + salt + b"".join(costs) + locked
        return f"{COMMENT}minisign encrypted secret key\n{base64.b64encode(raw).decode()}\n"


def _stretched(password: str, salt: bytes, opslimit: bytes, memlimit: bytes) -> bytes:
    """104 bytes by scrypt, with libsodium's way from its two limits to N and p (r is 8)."""
    ops = max(int.from_bytes(opslimit, "little"), 32_768)
    memory = int.from_bytes(memlimit, "little")
    most = ops // 32 if ops < memory // 32 else memory // 1024
    n = 2
    while n * 2 <= most and n < 2**62:
        n *= 2
    p = 1 if ops < memory // 32 else min(ops // 4 // n, 2**30 - 1) // 8
    if n > _MAX_N or not 1 <= p <= 16:
        raise MinisignError("asks for more memory than minisign's own keys; make a new one")
    needed = 128 * 8 * (n + p + 2)
    return hashlib.scrypt(
        password.encode(), salt=salt, n=n, r=8, p=p, maxmem=needed + 2**20, dklen=104
    )


def _decoded(text: str, length: int, what: str) -> bytes:
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != length:
        if (other := _KINDS.get(len(raw))) is not None and raw.startswith(b"E"):
            raise MinisignError(f"is {other}, not {what}; give the other file of the pair")
        raise MinisignError(f"is not {what}; copy it whole")
    return raw
