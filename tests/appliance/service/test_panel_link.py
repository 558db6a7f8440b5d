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


def test_without_a_network_there_is_none() -> None:
    assert panel_link("http://0.0.0.0:8081/", lambda: ADDRESSES[:2]) == ""


def test_this_machine_has_addresses() -> None:
    found = own_addresses()
    assert "127.0.0.1" in found
    assert all(ipaddress.IPv4Address(one) for one in found)
