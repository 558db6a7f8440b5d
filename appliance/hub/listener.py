"""Where the hub listens: its socket, its certificate, and its address in a URL."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterable

from appliance.hub.config import HubConfig, parse_address
from appliance.hub.errors import ListenError, SettingError

__all__ = ["check_addresses", "check_tls", "listen", "url_of"]


def listen(address: str) -> socket.socket:
    """A bound socket. Raises ListenError."""
    host, port = parse_address(address)
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror:
        raise ListenError(
            f"cannot listen on {address}: {host} is no address of this machine;"
            " give another with --listen"
        ) from None
    listener = socket.socket(family, kind, protocol)
    try:
        # A port that was in use a moment ago may be taken again.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(target)
        listener.listen(128)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        reasons = {
            errno.EADDRINUSE: "the port is taken; end the other program or choose another port",
            errno.EACCES: "this port needs more rights; choose one above 1023",
            errno.EADDRNOTAVAIL: f"{host} is no address of this machine; give another",
        }
        reason = reasons.get(error.errno or 0, error.strerror or "no reason given")
        raise ListenError(f"cannot listen on {address}: {reason} with --listen") from error
    return listener


def check_tls(config: HubConfig) -> None:
    """Whether the configured certificate can be used. Raises SettingError."""
    cert, key = config.cert, config.key
    if cert is None or key is None:
        return
    for path in (cert, key):
        try:
            path.open("rb").close()
        except OSError as error:
            reason = (error.strerror or "cannot be read").lower()
            raise SettingError(f"{path}: {reason}; mend its path or its rights") from None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: b"")
    except (ssl.SSLError, ValueError):
        raise SettingError(
            f"{cert} and {key} are no certificate with its unencrypted key (PEM);"
            " give a pair that belongs together"
        ) from None


def check_addresses(addresses: Iterable[str]) -> None:
    """Whether media can be received at these IP addresses. Raises ListenError."""
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((address, 0))
            except OSError:
                raise ListenError(
                    f"cannot receive media at {address}: it is no address of this machine;"
                    " give another with --media-address"
                ) from None


def url_of(listener: socket.socket, *, secure: bool) -> str:
    """Where a browser on this machine finds what listens, with the port that it really has."""
    host, port = listener.getsockname()[:2]
    return f"{'https' if secure else 'http'}://{_reachable(host)}:{port}"


def _reachable(host: str) -> str:
    """The host as it stands in a URL; for a wildcard the loopback."""
    if host in ("0.0.0.0", ""):
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host
