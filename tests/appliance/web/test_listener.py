from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from appliance.web.listener import Listener
from appliance.web.seldom import Seldom

DEADLINE = 20.0


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener("127.0.0.1", 0, name="a server", most=5, most_each=2) as one:
        one.listen(16)
        yield one


@pytest.fixture
def visitors() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def come(listener: Listener, visitors: ExitStack, address: str) -> socket.socket | None:
    """Another visitor from there; the connection to him, if one is accepted."""
    visitor = socket.create_connection(listener.getsockname(), DEADLINE, (address, 0))
    visitors.enter_context(visitor)
    try:
        connection, peer = listener.accept()
    except ConnectionAbortedError:
        # What was turned away is closed already, and not kept waiting.
        assert visitor.recv(1) == b""
        return None
    assert peer == visitor.getsockname()
    return visitors.enter_context(connection)


def test_so_many_from_one_address_and_so_many_in_all(
    listener: Listener, visitors: ExitStack
) -> None:
    came = [come(listener, visitors, f"127.0.0.{number}") for number in (2, 2, 2, 3, 3, 3, 4, 4, 5)]
    taken = [connection is not None for connection in came]
    assert taken == [True, True, False, True, True, False, True, False, False]


def test_a_place_is_free_as_soon_as_its_connection_is_closed(
    listener: Listener, visitors: ExitStack
) -> None:
    came = [come(listener, visitors, "127.0.0.2") for _ in range(3)]
    assert came[0] is not None
    assert came[2] is None
    came[0].close()
    assert come(listener, visitors, "127.0.0.2") is not None
    assert come(listener, visitors, "127.0.0.2") is None


def test_one_that_is_lost_takes_no_place(listener: Listener) -> None:
    for _ in range(6):
        visitor = socket.create_connection(listener.getsockname(), DEADLINE)
        connection, _ = listener.accept()
        # As it is when what was to close it is lost.
        socket.close(connection.detach())
        del connection
        visitor.close()


def test_who_is_turned_away_is_told_once_a_minute(
    listener: Listener, visitors: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1000.0
    listener._line = Seldom(lambda: now)
    for _ in range(12):
        come(listener, visitors, "127.0.0.2")
    now += 60
    come(listener, visitors, "127.0.0.2")
    come(listener, visitors, "127.0.0.2")
    assert caplog.messages == [
        f"a server: too many connections, turned away {count}, the last from 127.0.0.2"
        " (at most 5 at once, 2 from one address)"
        for count in (1, 10)
    ]


async def test_an_event_loop_goes_on_after_who_was_turned_away(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await reader.read()
        writer.close()

    async def visit() -> tuple[bytes, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        async with asyncio.timeout(DEADLINE):
            return await reader.read(5), writer

    caplog.set_level(logging.WARNING)
    async with await asyncio.start_server(hello, sock=listener):
        came = [await visit() for _ in range(4)]
        assert [said for said, _ in came] == [b"hello", b"hello", b"", b""]
        for _, writer in came:
            writer.close()
        async with asyncio.timeout(DEADLINE):
            while True:  # until the two that were let in are gone from there too
                said, writer = await visit()
                writer.close()
                if said == b"hello":
                    break
    # Ours alone: asyncio has nothing to say.
    assert len(caplog.messages) == 1


def test_a_port_that_is_taken_and_an_address_that_is_none(listener: Listener) -> None:
    port = listener.getsockname()[1]
    with pytest.raises(OSError) as caught:
        Listener("127.0.0.1", port, name="another", most=1, most_each=1)
    assert caught.value.errno == errno.EADDRINUSE
    for host in ("192.0.2.256", "2001:db8::x", "fe80::1%none"):
        with pytest.raises(OSError):
            Listener(host, 0, name="another", most=1, most_each=1)


@pytest.mark.parametrize("host", ["192.0.2.5", "2001:db8::5"])
def test_an_address_that_may_come_later(host: str, caplog: pytest.LogCaptureFixture) -> None:
    with Listener(host, 0, name="a server", most=1, most_each=1) as listener:
        assert listener.getsockname()[0] == host
    assert [line for line in caplog.messages if f"this machine has no {host} now" in line]
