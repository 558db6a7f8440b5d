"""A hub, and a session that is about to join it with media that are not there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from appliance.room import LocalStream, RoomSession
from hal import registry
from tests.appliance.room.fake_hub import FakeHub
from tests.appliance.room.fake_media import FakeSpeaker, Legs, local_stream


async def until(condition: Callable[[], Any], deadline: float = 20.0) -> None:
    """Wait until a condition holds; the poll is the test's clock, not its verdict."""
    async with asyncio.timeout(deadline):
        while not condition():
            await asyncio.sleep(0.005)


class Stage:
    """Everything of one session that a test wants to look at."""

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub
        self.legs = Legs()
        self.speaker = FakeSpeaker()
        self.stream: LocalStream = local_stream()
        self.heard: list[tuple[str, Any]] = []
        self.room: RoomSession | None = None

    def session(self, **options: Any) -> RoomSession:
        """A session of this hub that keeps every event in `heard`."""
        chosen = {
            "host": self.hub.url,
            "local_stream": self.stream,
            "speaker": self.speaker,
            "leg_factory": self.legs,
            **options,
        }
        self.room = RoomSession("token", **chosen)
        emit = self.room.emit

        def note(event: str, *args: Any) -> bool:
            self.heard.append((event, *args))
            return emit(event, *args)

        self.room.emit = note  # type: ignore[method-assign]
        return self.room

    async def joined(self, **options: Any) -> RoomSession:
        """A session that is in the room."""
        room = self.session(**options)
        await room.join()
        return room

    def names(self) -> list[str]:
        """The events so far."""
        return [event for event, *_ in self.heard]

    def payloads(self, event: str) -> list[Any]:
        """The payloads of an event so far."""
        return [args[0] if args else None for name, *args in self.heard if name == event]

    async def until_heard(self, event: str, count: int = 1) -> None:
        """Wait for an event."""
        await until(lambda: self.names().count(event) >= count)

    @property
    def mic(self) -> Any:
        """The microphone's gate."""
        assert self.stream.microphone is not None
        return self.stream.microphone.gate

    @property
    def cam(self) -> Any:
        """The camera's gate."""
        assert self.stream.camera is not None
        return self.stream.camera.gate


@pytest.fixture
def only_virtual(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `auto` finds does not depend on the machine that runs the test."""
    auto = {
        kind: tuple(choice for choice in choices if choice[0] == "synthetic")
        for kind, choices in registry.AUTO.items()
    }
    monkeypatch.setattr(registry, "AUTO", auto)
    monkeypatch.delenv("DISPLAY", raising=False)


@pytest.fixture
async def hub() -> AsyncIterator[FakeHub]:
    async with FakeHub() as fake:
        yield fake


@pytest.fixture
async def stage(hub: FakeHub) -> AsyncIterator[Stage]:
    before = asyncio.all_tasks()
    made = Stage(hub)
    yield made
    if made.room is not None:
        made.room.destroy()
        await made.room.wait_closed()
        left = {t for t in asyncio.all_tasks() - before if "room" in t.get_name().lower()}
        assert not left
