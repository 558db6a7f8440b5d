from __future__ import annotations

import ipaddress

import pytest

from appliance.service.panel_link import own_addresses, panel_link

ADDRESSES = ["127.0.0.1", "169.254.3.4", "192.168.7.20", "10.0.0.3"]


@pytest.mark.parametrize(
    ("url", "link"),
    [
        (None, ""),
        ("http://127.0.0.1:8081/", ""),
        ("http://[::1]:8081/", ""),
        ("http://localhost:8081/", ""),
        ("http://192.168.7.20:8081/", "http://192.168.7.20:8081/"),
        ("http://room-7.local:8081/", "http://room-7.local:8081/"),
        ("http://0.0.0.0:8081/", "http://192.168.7.20:8081/"),
        ("http://[::]:8081/", "http://192.168.7.20:8081/"),
    ],
)
def test_where_a_phone_finds_the_panel(url: str | None, link: str) -> None:
    assert panel_link(url, lambda: ADDRESSES) == link


def test_with_tls_it_has_the_name_that_its_certificate_has() -> None:
    hosts = ["room-7.example", "room-7"]
    for url in ("https://0.0.0.0:8443/", "https://192.168.7.20:8443/"):
        assert panel_link(url, lambda: ADDRESSES, hosts=hosts) == "https://room-7.example:8443/"
    assert panel_link("https://0.0.0.0:8443/", lambda: ADDRESSES) == "https://192.168.7.20:8443/"
    assert panel_link("https://127.0.0.1:8443/", lambda: ADDRESSES, hosts=hosts) == ""
    # Without a certificate nobody has to know the name, and a phone may not.
    assert panel_link("http://0.0.0.0:8081/", lambda: ADDRESSES, hosts=hosts) == (
        "http://192.168.7.20:8081/"
    )


def test_without_a_network_there_is_none() -> None:
    assert panel_link("http://0.0.0.0:8081/", lambda: ADDRESSES[:2]) == ""


def test_this_machine_has_addresses() -> None:
    found = own_addresses()
    assert "127.0.0.1" in found
    assert all(ipaddress.IPv4Address(one) for one in found)
