from __future__ import annotations

import asyncio
import logging
import signal
import socket

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from appliance.web.embedded import EmbeddedServer


async def hello(_: object) -> PlainTextResponse:
    return PlainTextResponse("hello")


def config(lifespan: str = "off") -> uvicorn.Config:
    app = Starlette(routes=[Route("/", hello)])
    return uvicorn.Config(app, lifespan=lifespan, log_config=None)  # type: ignore[arg-type]


def listener() -> socket.socket:
    one = socket.create_server(("127.0.0.1", 0))
    one.setblocking(False)
    return one


async def test_it_serves_when_begin_returns_and_ends_when_told() -> None:
    before = signal.getsignal(signal.SIGTERM)
    server, where = EmbeddedServer(config()), listener()
    url = "http://{}:{}".format(*where.getsockname())
    serving = await server.begin(where, "a server")
    async with httpx.AsyncClient() as client:
        assert (await client.get(url)).text == "hello"
    # The signals are the program's.
    assert signal.getsignal(signal.SIGTERM) is before
    server.should_exit = True
    async with asyncio.timeout(30):
        await serving
    assert serving.get_name() == "a server"


async def test_one_that_does_not_start_is_said() -> None:
    class Broken(EmbeddedServer):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            raise OSError("no more files")

    where = listener()
    with where, pytest.raises(RuntimeError, match="did not start") as caught:
        await Broken(config()).begin(where, "a server")
    assert isinstance(caught.value.__cause__, OSError)


async def test_who_gives_up_waiting_leaves_nothing_running() -> None:
    class Slow(EmbeddedServer):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            started.set()
            await asyncio.Event().wait()

    started = asyncio.Event()
    before = asyncio.all_tasks()
    with listener() as where:
        waiting = asyncio.create_task(Slow(config()).begin(where, "a server"))
        await started.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert asyncio.all_tasks() == before


async def test_what_visitors_do_wrong_does_not_fill_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server, where = EmbeddedServer(config()), listener()
    host, port = where.getsockname()
    serving = await server.begin(where, "a server")
    for _ in range(20):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"nonsense\r\n\r\n")
        async with asyncio.timeout(30):
            assert b"400" in await reader.readline()
        writer.close()
    server.should_exit = True
    async with asyncio.timeout(30):
        await serving
    warnings = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert warnings == ["Invalid HTTP request received."]
    assert logging.getLogger("uvicorn.error").filters == []
