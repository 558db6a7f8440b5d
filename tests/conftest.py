"""What holds for every test: no network but this machine, and no trace in the user's home."""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, settings

# No clock over any example, nor over how they are made: a machine under load is no bug.
_BASE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
# The same examples in every run.
settings.register_profile("roomlet", _BASE, derandomize=True)
# Other ones each time, and many: see `make fuzz`.
settings.register_profile("fuzz", _BASE, database=None, max_examples=10_000)
settings.load_profile("roomlet")


def _own_addresses() -> frozenset[str]:
    """Addresses of this machine: ICE tries them all, also between two peers on one machine."""
    return frozenset(
        address.address.partition("%")[0]
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family in (socket.AF_INET, socket.AF_INET6)
    )


_OWN = _own_addresses()


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _stays_here(host: str) -> bool:
    address = _literal(host)
    if address is None:
        return host in ("", "localhost", socket.gethostname())
    if mapped := getattr(address, "ipv4_mapped", None):
        address = mapped
    return address.is_loopback or address.is_unspecified or str(address) in _OWN


def _loopback_only(event: str, args: tuple[Any, ...]) -> None:
    """Audit hook: other machines do not exist while tests run, and neither do their names.

    Both fail as they would on a machine without a network, so that code under test meets the error
    that it is to handle.
    """
    if event == "socket.getaddrinfo":
        host = args[0].decode() if isinstance(args[0], bytes) else (args[0] or "")
        if _literal(host) is None and not _stays_here(host):
            raise socket.gaierror(socket.EAI_NONAME, f"tests know no other machine: {host}")
    elif event in ("socket.connect", "socket.sendto"):
        address = args[1]
        # A tuple is an internet address; a string is a path, which stays here.
        if isinstance(address, tuple) and not _stays_here(str(address[0])):
            raise OSError(errno.ENETUNREACH, f"tests reach no other machine: {address[0]}")


sys.addaudithook(_loopback_only)


@pytest.fixture(scope="session", autouse=True)
def _home_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What stands for several tests, programs that it starts too, is not in the user's folders."""
    with pytest.MonkeyPatch.context() as patch:
        _leave_home(patch, tmp_path_factory.mktemp("home"))
        yield


@pytest.fixture(autouse=True)
def _home_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What a test writes below the user's folders goes to a folder that is thrown away."""
    _leave_home(monkeypatch, tmp_path_factory.mktemp("home"))


def _leave_home(patch: pytest.MonkeyPatch, home: Path) -> None:
    for name in ("ROOMLET_PROJECT", "ROOMLET_API_TOKEN"):
        patch.delenv(name, raising=False)
    for variable, folder in (
        ("XDG_CACHE_HOME", "cache"),
        ("XDG_CONFIG_HOME", "config"),
        ("XDG_DATA_HOME", "data"),
        ("XDG_STATE_HOME", "state"),
    ):
        patch.setenv(variable, str(home / folder))
