"""The tests' own walls: they must hold, or a test could pass by way of another machine."""

from __future__ import annotations

import asyncio
import errno
import os
import socket

import pytest

# Set aside for documentation: it belongs to no machine anywhere.
ELSEWHERE = "192.0.2.1"


def test_other_machines_have_no_name():
    with pytest.raises(socket.gaierror) as caught:
        socket.getaddrinfo("hub.example", 8080)
    assert caught.value.errno == socket.EAI_NONAME


def test_other_machines_are_out_of_reach():
    with socket.socket() as stream, pytest.raises(OSError, match=ELSEWHERE) as caught:
        stream.connect((ELSEWHERE, 8080))
    assert caught.value.errno == errno.ENETUNREACH
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams, pytest.raises(OSError, match="reach"):
        datagrams.sendto(b"", (ELSEWHERE, 8080))


async def test_asyncio_is_held_as_well():
    with pytest.raises(OSError, match=ELSEWHERE):
        await asyncio.open_connection(ELSEWHERE, 8080)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_answers(host: str):
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection((host, server.getsockname()[1])) as client:
            assert client.getpeername()[0] == "127.0.0.1"


FOLDERS = [f"XDG_{name}_HOME" for name in ("CACHE", "CONFIG", "DATA", "STATE")]


@pytest.fixture(scope="module")
def earlier() -> dict[str, str]:
    """The folders of what stands for several tests."""
    return {name: os.environ.get(name, "") for name in FOLDERS}


def test_the_users_folders_are_not_the_users(
    earlier: dict[str, str], tmp_path_factory: pytest.TempPathFactory
):
    base = str(tmp_path_factory.getbasetemp())
    for name in FOLDERS:
        assert os.environ[name].startswith(base)
        assert earlier[name].startswith(base)
        assert os.environ[name] != earlier[name]
