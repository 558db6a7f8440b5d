"""The addresses of this machine, at which media can reach it."""

from __future__ import annotations

from collections.abc import Collection

import ifaddr


def host_addresses(only: Collection[str] = ()) -> list[str]:
    """Every address but the loopback's, or that where there is no other.

    With `only`, names of interfaces and addresses, those of them that there are, the loopback
    included; empty where there are none.  Link-local ones of IPv6 are left out: they need a zone.
    """
    found: list[tuple[str, str]] = []
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            if isinstance(ip.ip, str):
                found.append((adapter.name, ip.ip))
            elif not ip.ip[2] and not ip.ip[0].startswith("fe80"):
                found.append((adapter.name, ip.ip[0]))
    if only:
        return [ip for name, ip in found if name in only or ip in only]
    routable = [ip for _, ip in found if ip != "::1" and not ip.startswith("127.")]
    return routable or ["127.0.0.1"]
