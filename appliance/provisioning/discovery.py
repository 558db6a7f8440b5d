"""Where the network says that a fleet's files are: DHCP options and DNS records.

What is found is an address and no more: the key that signs the files, and the certificates, are
those of the device's own configuration.  So a strange network can offer nothing that is taken.

DHCP: option 160 (an https address) or 66 (that, or a host), from what the machine's DHCP client
keeps of its lease: dhcpcd (the message as it came; `option tftp_server_name` and, for 160,
`define 160 string` make it ask), dhclient, and systemd-networkd, which keeps the private options
224 to 254 only: there 224 stands for 160.
DNS: `_roomlet._tcp` SRV records in the machine's search domains.
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdtypes.IN.SRV
import dns.resolver

log = logging.getLogger(__name__)

SERVICE: Final = "_roomlet._tcp"
FOLDER: Final = "roomlet/"
"""The folder on a server of which only the name is told."""

SECONDS: Final = 10.0
"""How long the name servers are waited for."""

_ADDRESS: Final = 160
_TFTP_SERVER: Final = 66
_PRIVATE: Final = 224

_COOKIE: Final = b"\x63\x82\x53\x63"
"""What options begin with, after 236 bytes of BOOTP."""

_HOST: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}(:\d{1,5})?")


async def discover(
    ways: Iterable[str],
    *,
    root: Path = Path("/"),
    resolver: dns.asyncresolver.Resolver | None = None,
) -> list[str]:
    """Addresses of folders, the best first; none where the network tells of none."""
    urls: list[str] = []
    for way in ways:
        urls += from_leases(root) if way == "dhcp" else await _from_dns(resolver)
    return list(dict.fromkeys(urls))


def from_leases(root: Path = Path("/")) -> list[str]:
    """What the DHCP leases tell, those of option 160 first."""
    options: list[tuple[int, str]] = []
    for path in sorted((root / "var/lib/dhcpcd").glob("*.lease")):
        options += _of_message(_read(path))
    for path in sorted((root / "var/lib/dhcp").glob("dhclient*.leases")):
        options += _of_dhclient(_read(path).decode("utf-8", errors="replace"))
    for path in sorted((root / "run/systemd/netif/leases").glob("[0-9]*")):
        options += _of_networkd(_read(path).decode("utf-8", errors="replace"))
    ordered = sorted(options, key=lambda option: option[0] == _TFTP_SERVER)
    return [url for _, text in ordered if (url := folder_url(text)) is not None]


def folder_url(text: str) -> str | None:
    """The folder that an option's text means; None if it means none that is taken."""
    text = text.strip("\0 ")
    if _HOST.fullmatch(text):
        text = f"https://{text}/{FOLDER}"
    elif not (text.isascii() and text.isprintable()) or any(c in text for c in " ?#"):
        return None
    try:
        parts = urlsplit(text)
        fine = parts.scheme == "https" and parts.hostname and parts.port != 0
    except ValueError:
        fine = False
    return text.rstrip("/") + "/" if fine else None


async def _from_dns(resolver: dns.asyncresolver.Resolver | None) -> list[str]:
    answer: Iterable[object] = ()
    try:
        asked = resolver or dns.asyncresolver.Resolver()
        for domain in asked.search or [asked.domain]:
            name = dns.name.from_text(SERVICE, domain)
            try:
                answer = await asked.resolve(name, "SRV", lifetime=SECONDS)
                break
            except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
                continue
    except (dns.exception.DNSException, OSError) as error:
        log.info("the name servers tell nothing of %s: %s", SERVICE, error)
    records = [r for r in answer if isinstance(r, dns.rdtypes.IN.SRV.SRV)]
    urls = []
    for record in ordered_records(records):
        host = record.target.to_text(omit_final_dot=True)
        port = "" if record.port == 443 else f":{record.port}"
        # A dot alone says that there is no such service, and is no host.
        if (url := folder_url(f"{host}{port}")) is not None:
            urls.append(url)
    return urls


def ordered_records(
    records: Sequence[dns.rdtypes.IN.SRV.SRV], rng: random.Random | None = None
) -> list[dns.rdtypes.IN.SRV.SRV]:
    """By priority; among equals by weight and chance, as RFC 2782 asks."""
    rng = rng or random.SystemRandom()

    def order(record: dns.rdtypes.IN.SRV.SRV) -> tuple[int, float]:
        return record.priority, -(rng.random() ** (1 / max(record.weight, 0.01)))

    return sorted(records, key=order)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()[:65_536]
    except OSError as error:
        log.info("%s cannot be read: %s", path, error.strerror)
        return b""


def _of_message(data: bytes) -> Iterator[tuple[int, str]]:
    if data[236:240] != _COOKIE:
        return
    at = 240
    while at + 1 < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        code, length = data[at], data[at + 1]
        if code in (_ADDRESS, _TFTP_SERVER):
            yield code, data[at + 2 : at + 2 + length].decode("ascii", errors="replace")
        at += 2 + length


def _of_dhclient(text: str) -> Iterator[tuple[int, str]]:
    # The newest lease of an interface is the last one.
    last = text.rpartition("lease {")[2]
    names = {"unknown-160": _ADDRESS, "tftp-server-name": _TFTP_SERVER}
    for name, value in re.findall(r'^\s*option ([a-z0-9-]+) "([^"]*)";', last, re.MULTILINE):
        if name in names:
            yield names[name], value


def _of_networkd(text: str) -> Iterator[tuple[int, str]]:
    for number, digits in re.findall(r"^OPTION_(\d+)=([0-9a-fA-F]*)$", text, re.MULTILINE):
        if int(number) == _PRIVATE and len(digits) % 2 == 0:
            yield _ADDRESS, bytes.fromhex(digits).decode("ascii", errors="replace")
