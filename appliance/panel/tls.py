"""The certificate of a panel, and whose visitors it believes."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.panel.device import PanelError


class TlsError(PanelError):
    """A certificate or key cannot be used.  `key` is that of the configuration which names it."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(reason)
        self.key = key


@dataclass(frozen=True, slots=True)
class Tls:
    """`cert` with its chain and `key`, both PEM; with `client_ca` only browsers that show a
    certificate of it come in."""

    cert: Path
    key: Path
    client_ca: Path | None = None

    def options(self) -> dict[str, Any]:
        """For uvicorn.  Raises TlsError for files that cannot be used."""
        for trouble in self.unreadable():
            raise trouble
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.cert, self.key, password=lambda: b"")
        except (ssl.SSLError, ValueError):
            raise TlsError(
                "tls_cert",
                f"{self.cert} and {self.key} are no certificate with its unencrypted key (PEM);"
                " give a pair that belongs together",
            ) from None
        options: dict[str, Any] = {"ssl_certfile": self.cert, "ssl_keyfile": self.key}
        if self.client_ca is not None:
            try:
                context.load_verify_locations(self.client_ca)
            except (ssl.SSLError, ValueError):
                raise TlsError(
                    "client_ca", f"{self.client_ca} holds no certificates (PEM); put them there"
                ) from None
            options |= {"ssl_ca_certs": self.client_ca, "ssl_cert_reqs": ssl.CERT_REQUIRED}
        return options

    def unreadable(self) -> Iterator[TlsError]:
        """For each file that cannot be read, the error that blames it."""
        for key, path in self._files().items():
            try:
                path.open("rb").close()
            except OSError as error:
                reason = (error.strerror or "cannot be read").lower()
                yield TlsError(key, f"{path}: {reason}; mend its path or its rights")

    def fingerprint(self) -> bytes:
        """Another one as soon as a file holds something else; of one that cannot be read, that."""
        digest = hashlib.sha256()
        for path in self._files().values():
            try:
                digest.update(hashlib.sha256(path.read_bytes()).digest())
            except OSError:
                digest.update(b"none")
        return digest.digest()

    def _files(self) -> dict[str, Path]:
        files = {"tls_cert": self.cert, "tls_key": self.key}
        return files if self.client_ca is None else files | {"client_ca": self.client_ca}
