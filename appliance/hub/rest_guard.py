"""Who may make the HTTP calls: those who hold the API token, and those with a link they gave."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time

from starlette.requests import Request

from appliance.hub.keys import Keys

__all__ = ["Guard"]


class Guard:
    """Checks requests against one hub's keys."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def holds_keys(self, request: Request) -> bool:
        """Whether a request brings the project id and the API token, by HTTP basic auth."""
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        try:
            given = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            given = b""
        # As a whole: a project id may hold a colon, and the time tells nothing of either.
        wanted = f"{self._keys.project}:{self._keys.api_token}".encode()
        return scheme.lower() == "basic" and hmac.compare_digest(given, wanted)

    def link(self, path: str, seconds: int) -> str:
        """The path with what opens it to anybody for so many seconds."""
        expires = int(time.time()) + seconds
        return f"{path}?expires={expires}&signature={self._signature(path, expires)}"

    def has_link(self, request: Request) -> bool:
        """Whether a request came by a link whose time is not over."""
        text = request.query_params.get("expires", "")
        if not (text.isascii() and text.isdigit()) or len(text) > 12 or int(text) < time.time():
            return False
        given = request.query_params.get("signature", "").encode("utf-8", "replace")
        wanted = self._signature(request.scope["path"], int(text))
        return hmac.compare_digest(given, wanted.encode())

    def _signature(self, path: str, expires: int) -> str:
        text = f"link {expires} {path}".encode()
        return hmac.new(self._keys.signing_key, text, hashlib.sha256).hexdigest()
