"""The way to the room server: its name, the route to it, the certificate that it shows."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

import ifaddr
from cryptography import x509

from appliance.service.doctor.check import Finding, Verdict, fail, ok, on_thread, skipped, warn
from appliance.signaling.address import cause
from appliance.signaling.errors import one_line

SOON: Final = dt.timedelta(days=14)
"""A certificate that ends within that should have been renewed: Let's Encrypt's do at 30."""

_PORTS: Final = {"ws": 80, "http": 80, "wss": 443, "https": 443}


@dataclass(frozen=True, slots=True)
class Server:
    """A server, as an address names it."""

    host: str
    port: int
    secure: bool

    @classmethod
    def of(cls, url: str) -> Self:
        """Raises ValueError for what is no address."""
        parts = urlsplit(url)
        scheme = parts.scheme.lower()
        if not parts.hostname or scheme not in _PORTS:
            raise ValueError("the address of the server names no host")
        port = _PORTS[scheme] if parts.port is None else parts.port
        return cls(parts.hostname, port, scheme in ("wss", "https"))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def literal(self) -> bool:
        """Whether it is named by an IP address."""
        try:
            ipaddress.ip_address(self.host.partition("%")[0])
        except ValueError:
            return False
        return True


_Address = tuple[socket.AddressFamily, tuple[str, int]]


async def look_at_name(server: Server) -> Finding:
    """Whether the server's name leads to an address."""
    if server.literal:
        return skipped(f"{server.host} is an address, no name")
    began = time.monotonic()
    try:
        found = await _resolve(server)
    except (OSError, UnicodeError) as error:
        why = one_line(getattr(error, "strerror", None) or str(error))
        remedy = "check [room] host, and the name servers: resolvectl status"
        return fail(f"{server.host} leads nowhere ({why})", remedy)
    took = 1000 * (time.monotonic() - began)
    addresses = ", ".join(dict.fromkeys(address[0] for _, address in found))
    return ok(f"{server.host} is {addresses} ({took:.0f} ms)")


async def look_at_route(server: Server) -> Finding:
    """Whether the kernel knows a way to the server, and by which interface.  Sends nothing."""
    try:
        found = await _resolve(server)
    except (OSError, UnicodeError):
        return skipped(f"the address of {server.host} is not known")
    why = ""
    for family, address in found:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(address)
            except OSError as error:
                why = (error.strerror or str(error)).lower()
                continue
            own = probe.getsockname()[0]
            return ok(f"to {address[0]} by {_interface(own)}, from {own}")
    remedy = "check cable or Wi-Fi and the gateway: ip route"
    return fail(f"there is no way to {server.host} ({why})", remedy)


async def look_at_certificate(
    server: Server,
    trusted: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
) -> Finding:
    """Whether the server's certificate is good, and how long yet."""
    if not server.secure:
        return skipped(f"{server} is reached without TLS")
    refusal = ""
    try:
        data = await _certificate(server, trusted())
    except ssl.SSLCertVerificationError as error:
        refusal = one_line(error.verify_message)
        # What nobody believes can still be looked at.
        blind = ssl.create_default_context()
        blind.check_hostname = False
        blind.verify_mode = ssl.CERT_NONE
        try:
            data = await _certificate(server, blind)
        except OSError as again:
            return fail(f"{server}: {_cause(again)[0]}", _cause(again)[1])
    except OSError as error:
        return fail(f"{server}: {_cause(error)[0]}", _cause(error)[1])
    certificate = x509.load_der_x509_certificate(data)
    finding = look_at_dates(server, certificate, now(), "have it renewed at the server")
    if refusal and finding.verdict is not Verdict.FAIL:
        remedy = "install its authority's certificate, or name the server as the certificate does"
        return fail(f"{server}: it is not trusted ({refusal})", remedy)
    return finding


def look_at_dates(
    whose: object, certificate: x509.Certificate, moment: dt.datetime, remedy: str
) -> Finding:
    """Whether a certificate holds at a moment, and how long yet."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if ends <= moment:
        return fail(f"{whose}: it ended on {ends:%Y-%m-%d}", remedy)
    if begins > moment:
        clock = "check this device's clock, then that of the server"
        return fail(f"{whose}: it begins only on {begins:%Y-%m-%d %H:%M} UTC", clock)
    text = f"{whose}: good until {ends:%Y-%m-%d}"
    if ends - moment < SOON:
        return warn(f"{text}, only {(ends - moment).days} days", remedy)
    return ok(text)


async def _certificate(server: Server, context: ssl.SSLContext) -> bytes:
    """The certificate that the server shows, in DER.  Raises OSError."""
    _, writer = await asyncio.open_connection(
        server.host, server.port, ssl=context, server_hostname=server.host
    )
    try:
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.transport.abort()
    if not isinstance(shown, bytes):
        raise ssl.SSLError("the server shows no certificate")
    return shown


def _cause(error: OSError) -> tuple[str, str]:
    """Why a server cannot be reached, and what to do."""
    what, _, remedy = cause(error, secure=True).partition("; ")
    return what, remedy


async def _resolve(server: Server) -> list[_Address]:
    """Raises OSError or UnicodeError."""

    def resolve() -> list[_Address]:
        found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_DGRAM)
        return [(family, address) for family, _, _, _, address in found]  # type: ignore[misc]

    # Not on the loop's own threads, which would be waited for at its end.
    return await on_thread(lambda _: resolve())


def _interface(address: str) -> str:
    """The name of the interface with an address."""
    for adapter in ifaddr.get_adapters():
        for one in adapter.ips:
            own = one.ip if isinstance(one.ip, str) else one.ip[0]
            if own == address.partition("%")[0]:
                return adapter.nice_name
    return "an interface that has gone"
