"""A server's address in words: how it may be shown, and why it cannot be reached."""

from __future__ import annotations

import os
import re
import socket
import ssl
from urllib.parse import urlsplit

from websockets.exceptions import InvalidStatus, InvalidURI

from .errors import one_line

__all__ = ["cause", "shown"]


def shown(url: str) -> str:
    """The URL as it may be shown: without user, password and query, which may hold secrets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "the server"
    return one_line(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}")


def cause(error: Exception, *, secure: bool = False) -> str:
    """Why a socket did not open, and what to do, in a few words.

    ``secure`` tells that the address asks for TLS.
    """
    match error:
        case InvalidStatus():
            status = error.response.status_code
            return f"it answered with HTTP status {status}; check the address and its path"
        case ssl.SSLError():
            why = getattr(error, "verify_message", None) or error.reason or "handshake failed"
            return f"TLS failed ({one_line(why)}); a server without TLS needs ws://"
        # After the TLS errors: one of them is a ValueError, too.
        case InvalidURI() | ValueError():
            return "that is no WebSocket address; give ws://HOST:PORT"
        case socket.gaierror():
            return "its name is not known; check the address and the network"
        case TimeoutError():
            return "it does not answer; check the address and the network"
        case ConnectionResetError() | ConnectionAbortedError() if secure:
            return "it broke off the TLS handshake; a server without TLS needs ws://"
        case OSError():
            # asyncio packs several addresses' errors into one text without a number.
            found = re.search(r"\[Errno (\d+)\]", str(error))
            number = error.errno or (int(found[1]) if found else 0)
            why = os.strerror(number).lower() if number > 0 else one_line(str(error))
            why = why or "it broke off"
            return f"{why}; is the server running there?"
        case _:
            return f"{one_line(str(error))}; is it a room server?"
