"""Addresses of films and of stream targets: what is let through, and what is said of them.

FFmpeg understands dozens of protocols, some of which read local files or glue several addresses
together. Only the few named here ever reach it.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from appliance.hub.errors import HubError

PLAYED: Final = ("http", "https", "rtmp", "rtmps")
"""What a film may come by."""

STREAMED: Final = ("rtmp", "rtmps")
"""What a stream may go out by."""

WHITELIST: Final = "http,https,httpproxy,rtmp,rtmps,tcp,tls,crypto"
"""FFmpeg's protocols for a remote film: those of `PLAYED`, what they are made of, and the
decryption of HLS. A playlist or a redirection leads to nothing else."""

_UNPRINTABLE: Final = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]")

_CA_FILES: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
"""Debian's, and that of others, for a Python that knows of none."""


class UrlError(HubError, ValueError):
    """An address that is not played from, or not streamed to."""


def check_url(url: str, schemes: Iterable[str]) -> str:
    """The address, if it is one of these schemes and has a host. Raises UrlError."""
    schemes = tuple(schemes)
    if _UNPRINTABLE.search(url):
        # Line breaks would become headers of a request, blanks options of RTMP.
        raise UrlError("The URL has blanks or control characters in it; encode them as %20")
    try:
        parts = urlsplit(url)
        # A port that is none raises as well.
        fine = parts.scheme in schemes and parts.hostname and (parts.port or True)
    except ValueError:
        fine = False
    if not fine:
        raise UrlError(f"The URL must begin with {':// or '.join(schemes)}:// and name a host")
    return url


def media_file(name: str, folder: Path) -> Path:
    """The file of this plain name in the folder of media. Raises UrlError."""
    if not name or name.startswith(".") or "/" in name or "\\" in name or "\0" in name:
        raise UrlError("Give a URL, or the plain name of a file in the hub's media folder")
    folder = folder.resolve()
    try:
        path = (folder / name).resolve(strict=True)
    except (OSError, RuntimeError):
        path = None
    # A link may lead out of the folder.
    if path is None or not path.is_relative_to(folder) or not path.is_file():
        raise UrlError(f"There is no file {name!r} in the hub's media folder")
    return path


def redacted(url: str) -> str:
    """The address without what may be secret: a password, a key in the path or the query."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{port}/..."


def without_secrets(text: str, url: str) -> str:
    """A text that somebody wrote about the address, without what `redacted` leaves out."""
    parts = urlsplit(url)
    secrets = (parts.password, parts.query, parts.path, parts.path.rpartition("/")[2])
    text = text.replace(url, redacted(url))
    for secret in secrets:
        # Shorter ones would be found all over the text, and are no secrets.
        if secret and len(secret) > 3:
            text = text.replace(secret, "...")
    return text


def tls_options(*, verify: bool = True, ca_file: Path | None = None) -> dict[str, str]:
    """FFmpeg's options for TLS. It verifies nothing unless it is told to, and by whom."""
    if not verify:
        return {"tls_verify": "0"}
    paths = (str(ca_file or ""), ssl.get_default_verify_paths().cafile or "", *_CA_FILES)
    known = next((path for path in paths if path and Path(path).is_file()), None)
    return {"tls_verify": "1"} | ({"ca_file": known} if known else {})
