"""Where a phone in the room finds the panel."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import urlsplit

import ifaddr


def own_addresses() -> list[str]:
    """The IPv4 addresses of this machine, as the system lists its interfaces."""
    return [
        ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips if isinstance(ip.ip, str)
    ]


def panel_link(
    url: str | None,
    addresses: Callable[[], Iterable[str]] = own_addresses,
    *,
    hosts: Sequence[str] = (),
) -> str:
    """The panel's address for other machines, from that on which it listens.

    With TLS it is the first of `hosts`, the panel's further names, where there is one: that is what
    a certificate is about.  One that listens everywhere is found at the first address of this
    machine that is neither its own loop nor made up for want of a network.  Empty where nobody
    else can reach it.
    """
    if url is None:
        return ""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "" if host == "localhost" else url
    if address.is_loopback:
        return ""
    if parts.scheme == "https" and hosts:
        return f"https://{hosts[0]}:{parts.port}/"
    if not address.is_unspecified:
        return url
    for one in addresses():
        found = ipaddress.ip_address(one)
        if not (found.is_loopback or found.is_link_local):
            return f"{parts.scheme}://{one}:{parts.port}/"
    return ""
