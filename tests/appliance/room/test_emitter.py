"""Handlers: in order, chained, once, forgotten, failing, asynchronous."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from appliance.room.emitter import EventEmitter


class Heard(list[Any]):
    """A list that hands out handlers which note their name."""

    def by(self, name: str) -> Any:
        return lambda *args: self.append((name, *args))


async def test_handlers_are_called_in_order() -> None:
    heard, emitter = Heard(), EventEmitter()
    result = emitter.on("a", heard.by("first")).on("a", heard.by("second")).once("b", print)
    assert result is emitter
    assert emitter.emit("a", 1) is True
    assert emitter.emit("c", 1) is False
    assert heard == [("first", 1), ("second", 1)]
    assert emitter.event_names() == ["a", "b"]
    assert emitter.listener_count("a") == 2


async def test_once_is_once_even_when_emitted_within() -> None:
    heard, emitter = Heard(), EventEmitter()

    def again(value: int) -> None:
        heard.append(value)
        emitter.emit("a", value + 1)

    emitter.once("a", again)
    emitter.emit("a", 1)
    emitter.emit("a", 5)
    assert heard == [1]


async def test_off_forgets_every_registration() -> None:
    heard, emitter = Heard(), EventEmitter()
    handler, other = heard.by("handler"), heard.by("other")
    emitter.on("a", handler).on("a", handler).once("a", handler).on("a", other)
    emitter.off("a", handler)
    emitter.emit("a")
    assert heard == [("other",)]
    emitter.off("a").off("never heard of")
    assert emitter.emit("a") is False


async def test_off_knows_bound_methods() -> None:
    emitter, heard = EventEmitter(), Heard()
    emitter.on("a", heard.append)
    emitter.off("a", heard.append)
    assert emitter.listeners("a") == []


async def test_remove_all_listeners() -> None:
    heard, emitter = Heard(), EventEmitter()
    for event in ("a", "b", "c"):
        emitter.on(event, heard.by(event))
    emitter.remove_all_listeners("a")
    assert emitter.event_names() == ["b", "c"]
    assert emitter.remove_all_listeners() is emitter
    assert emitter.event_names() == []


async def test_changes_while_emitting_count_from_the_next_event() -> None:
    heard, emitter = Heard(), EventEmitter()
    late = heard.by("late")

    def meddle() -> None:
        emitter.on("a", late)
        emitter.off("a", second)

    second = heard.by("second")
    emitter.on("a", meddle).on("a", second)
    emitter.emit("a")
    assert heard == [("second",)]
    heard.clear()
    emitter.off("a", meddle)
    emitter.emit("a")
    assert heard == [("late",)]


async def test_a_failing_handler_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    heard, emitter = Heard(), EventEmitter()

    def fail() -> None:
        raise ValueError("sour")

    async def fail_later() -> None:
        raise ValueError("later")

    emitter.on("a", fail).on("a", fail_later).on("a", heard.by("after"))
    with caplog.at_level(logging.ERROR):
        emitter.emit("a")
        await emitter._handler_tasks.settle(10)
    assert heard == [("after",)]
    texts = [record.getMessage() for record in caplog.records]
    assert texts == ["a handler of 'a' failed"] * 2


async def test_async_handlers_run_and_end_with_the_emitter() -> None:
    heard, emitter = Heard(), EventEmitter()
    started = asyncio.Event()

    async def quick(value: int) -> None:
        await asyncio.sleep(0)
        heard.append(value)

    async def endless(value: int) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise

    emitter.on("a", quick).on("a", endless)
    emitter.emit("a", 7)
    await started.wait()
    await emitter._handler_tasks.settle(0.05)
    assert heard == [7]
    await emitter._handler_tasks.close()
    assert heard == [7, "cancelled"]
    assert len(emitter._handler_tasks) == 0


async def test_a_handler_must_be_callable() -> None:
    with pytest.raises(TypeError, match="handler of 'a'"):
        EventEmitter().on("a", "print")  # type: ignore[arg-type]
