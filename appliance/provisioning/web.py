"""Folders of signed files on web servers: any that serves plain files will do.

Nothing of what a server says is believed without its signature, so a server needs no more than
TLS that fits: a certificate of `ca_file` alone, or of the system's authorities.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path
from types import TracebackType
from typing import Final
from urllib.parse import urlsplit

import httpx

from appliance.provisioning.collecting import Answer, Found
from appliance.provisioning.errors import Refused, Unreachable
from appliance.provisioning.mirror import Validator

DEADLINE: Final = 30.0
"""Seconds for one file, from the name's look-up to the last byte."""

CLOCK_FLOOR: Final = 1_767_225_600
"""2026 began; a clock that says less was never set."""

_NO_CHECK_TIME: Final = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, for which `ssl` has no name."""

_ABSENT: Final = (403, 404, 410)
"""Object stores say 403 of what is not there."""


class WebFolder:
    """One folder on one server."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client = client
        self.address: Final = url
        parts = urlsplit(url)
        self.name: Final = f"{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"
        """The address without a password."""

    async def get(self, name: str, limit: int, known: Validator | None = None) -> Answer:
        """See `Files.get`."""
        headers = {"Accept-Encoding": "identity"}
        if known is not None and known.etag is not None:
            headers["If-None-Match"] = known.etag
        if known is not None and known.last_modified is not None:
            headers["If-Modified-Since"] = known.last_modified
        try:
            async with (
                asyncio.timeout(DEADLINE),
                self._client.stream("GET", self.address + name, headers=headers) as response,
            ):
                if response.status_code == 304 and known is not None:
                    return Answer(Found.SAME)
                if response.status_code in _ABSENT:
                    return Answer(Found.NO)
                if response.status_code != 200:
                    raise Unreachable(f"answers {response.status_code} for {name}")
                data = bytearray()
                async for piece in response.aiter_raw(8192):
                    data += piece
                    if len(data) > limit:
                        raise Refused(f"{name} has more than {limit} bytes; shorten it")
        except TimeoutError:
            raise Unreachable(f"took longer than {DEADLINE:.0f} s for {name}") from None
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise Unreachable(f"cannot be asked: {reason}") from None
        etag, modified = (_repeatable(response, name) for name in ("ETag", "Last-Modified"))
        validator = Validator(etag=etag, last_modified=modified) if etag or modified else None
        return Answer(Found.YES, bytes(data), validator)


def _repeatable(response: httpx.Response, name: str) -> str | None:
    """A header that can be sent back."""
    value: str | None = response.headers.get(name)
    return value if value is not None and value.isascii() and value.isprintable() else None


class Web:
    """Connections to servers, to be entered and left."""

    def __init__(self, ca_file: Path | None, proxy: str | None) -> None:
        self._client: Final = httpx.AsyncClient(
            verify=tls_context(ca_file),
            proxy=proxy,
            # What the environment says would go past the configuration.
            trust_env=False,
            timeout=DEADLINE / 2,
        )

    async def __aenter__(self) -> Web:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, traceback)

    def folder(self, url: str) -> WebFolder:
        """The folder at an address."""
        return WebFolder(self._client, url)


def tls_context(ca_file: Path | None, now: float | None = None) -> ssl.SSLContext:
    """How servers are checked.  Raises Unreachable for certificates that cannot be read.

    A board without a battery begins in 1970, and may need its configuration to come to a clock.
    Until then the dates of certificates are not looked at; all else of them is.
    """
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        reason = (error.strerror or str(error)).lower()
        raise Unreachable(f"{ca_file}: {reason}; put the certificates there as PEM") from None
    if ca_file is not None:
        # From Python 3.13 on more is asked of certificates than many a private authority gives.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if (time.time() if now is None else now) < CLOCK_FLOOR:
        context.verify_flags |= _NO_CHECK_TIME
    return context
