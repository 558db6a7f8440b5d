from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import cast

import dns.asyncresolver
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.IN.SRV
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.provisioning.discovery import (
    _of_message,
    discover,
    folder_url,
    from_leases,
    ordered_records,
)


def option(code: int, text: bytes) -> bytes:
    return bytes([code, len(text)]) + text


def message(*options: bytes) -> bytes:
    """A DHCP message, as dhcpcd keeps it."""
    return bytes([2, 1, 6, 0]) + bytes(232) + b"\x63\x82\x53\x63" + b"".join(options) + b"\xff"


def put(root: Path, name: str, content: bytes) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_options_66_and_160_of_the_leases(tmp_path: Path) -> None:
    assert from_leases(tmp_path) == []
    put(
        tmp_path,
        "var/lib/dhcpcd/eth0.lease",
        message(
            option(53, b"\x05"), b"\0", option(66, b"files.local\0"), option(160, b"https://a/x")
        ),
    )
    put(
        tmp_path,
        "var/lib/dhcp/dhclient.wlan0.leases",
        b'lease {\n  option tftp-server-name "old";\n}\n'
        b'lease {\n  interface "wlan0";\n  option unknown-160 "https://b:8443/";\n}\n',
    )
    put(
        tmp_path,
        "run/systemd/netif/leases/2",
        b"ADDRESS=10.0.0.2\nOPTION_224=" + b"https://c/".hex().encode() + b"\nOPTION_230=00\n",
    )
    assert from_leases(tmp_path) == [
        "https://a/x/",
        "https://b:8443/",
        "https://c/",
        "https://files.local/roomlet/",
    ]


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("10.0.0.1", "https://10.0.0.1/roomlet/"),
        ("files.local:8443", "https://files.local:8443/roomlet/"),
        ("https://x/y/", "https://x/y/"),
        ("http://x/", None),
        ("tftp://x/", None),
        ("", None),
        ("a b", None),
        ("x/../y", None),
        ("https://x/\r\nHost: y", None),
    ],
)
def test_what_an_option_means(text: str, url: str | None) -> None:
    assert folder_url(text) == url


@given(st.binary(max_size=400), st.booleans())
def test_rubbish_in_a_lease_is_nothing_worse_than_nothing(data: bytes, framed: bool) -> None:
    whole = message()[:-1] + data if framed else data
    for code, text in _of_message(whole):
        assert code in (66, 160)
        folder_url(text)


def record(priority: int, weight: int, port: int, target: str) -> dns.rdtypes.IN.SRV.SRV:
    return dns.rdtypes.IN.SRV.SRV(
        dns.rdataclass.IN,
        dns.rdatatype.SRV,
        priority,
        weight,
        port,
        dns.name.from_text(target),
    )


def test_records_go_by_priority_and_then_by_weight() -> None:
    records = [record(20, 1, 443, "c."), record(10, 1, 443, "b."), record(10, 9, 443, "a.")]
    rng = random.Random(4)
    orders = [[str(r.target) for r in ordered_records(records, rng)] for _ in range(300)]
    assert all(order[2] == "c." for order in orders)
    first = [order[0] for order in orders].count("a.")
    # Nine in ten: 270 of 300, and 4 standard deviations of 5.2.
    assert 249 <= first <= 291


class NameServer(asyncio.DatagramProtocol):
    """Knows the records of one domain."""

    def __init__(self, domain: str, records: list[dns.rdtypes.IN.SRV.SRV]) -> None:
        self.domain = domain
        self.records = records
        self.asked: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        (question,) = query.question
        self.asked.append(question.name.to_text())
        reply = dns.message.make_response(query)
        if not question.name.to_text().endswith(f".{self.domain}"):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif self.records:
            reply.answer.append(dns.rrset.from_rdata_list(question.name, 60, self.records))
        self.transport.sendto(reply.to_wire(), address)


async def test_records_of_a_name_server(tmp_path: Path) -> None:
    records = [record(2, 0, 8443, "second.example."), record(1, 0, 443, "first.example.")]
    served = NameServer("office.example.", records)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: served, local_addr=("127.0.0.1", 0)
    )
    try:
        resolver = dns.asyncresolver.Resolver(configure=False)
        # The servers take the port that is set when they are.
        resolver.port = transport.get_extra_info("sockname")[1]
        resolver.nameservers = ["127.0.0.1"]
        resolver.search = [dns.name.from_text(f"{name}.example") for name in ("none", "office")]
        found = await discover(["dhcp", "dns"], root=tmp_path, resolver=resolver)
        assert found == [
            "https://first.example/roomlet/",
            "https://second.example:8443/roomlet/",
        ]
        # In the machine's own domains, and nowhere else.
        assert served.asked == ["_roomlet._tcp.none.example.", "_roomlet._tcp.office.example."]
        # A single dot: there is no such service here.
        records[:] = [record(0, 0, 0, ".")]
        assert await discover(["dns"], root=tmp_path, resolver=resolver) == []
        records.clear()
        assert await discover(["dns"], root=tmp_path, resolver=resolver) == []
    finally:
        transport.close()


@pytest.mark.parametrize(
    "text",
    [
        "https://[bad/",
        "https://h:abc/",
        "https://h:99999/",
        "h:99999",
        "h:0",
        "https:///x",
        "https://h/#a",
        "https://h\u00e9/",
    ],
)
def test_a_strange_network_does_not_keep_a_device_from_its_servers(text: str) -> None:
    assert folder_url(text) is None
