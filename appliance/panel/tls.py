"""The certificate of a panel, and whose visitors it believes."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.panel.device import PanelError


class TlsError(PanelError):
    """A certificate or key cannot be used."""


@dataclass(frozen=True, slots=True)
class Tls:
    """`cert` with its chain and `key`, both PEM; with `client_ca` only browsers that show a
    certificate of it come in."""

    cert: Path
    key: Path
    client_ca: Path | None = None

    def options(self) -> dict[str, Any]:
        """For uvicorn.  Raises TlsError for files that cannot be used."""
        for path in (self.cert, self.key, self.client_ca):
            try:
                if path is not None:
                    path.open("rb").close()
            except OSError as error:
                reason = (error.strerror or "cannot be read").lower()
                raise TlsError(f"{path}: {reason}; mend its path or its rights") from None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.cert, self.key, password=lambda: b"")
        except (ssl.SSLError, ValueError):
            raise TlsError(
                f"{self.cert} and {self.key} are no certificate with its unencrypted key (PEM);"
                " give a pair that belongs together"
            ) from None
        options: dict[str, Any] = {"ssl_certfile": self.cert, "ssl_keyfile": self.key}
        if self.client_ca is not None:
            try:
                context.load_verify_locations(self.client_ca)
            except (ssl.SSLError, ValueError):
                raise TlsError(f"{self.client_ca} holds no certificates (PEM)") from None
            options |= {"ssl_ca_certs": self.client_ca, "ssl_cert_reqs": ssl.CERT_REQUIRED}
        return options
