"""One gate against a server that is slow, contradicts, refuses and loses requests."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from appliance.media.gate import MicGate, Party
from appliance.room import GateHeld, mute
from appliance.room.mute import MuteSync
from appliance.signaling.errors import Disconnected, PermissionDenied, RpcError, SignalingError


@dataclass
class Request:
    """A request on its way to the server."""

    muted: bool
    answer: asyncio.Future[None]


@dataclass(frozen=True)
class Event:
    """The server's word that the member is muted now, or is not."""

    muted: bool
    ordered: bool
    """By a moderator, not by a request of ours."""


@dataclass
class Server:
    """The room's side: it takes requests when told, and what it says waits to be delivered."""

    muted: bool
    requests: deque[Request] = field(default_factory=deque)
    says: deque[Any] = field(default_factory=deque)

    async def send(self, muted: bool) -> None:
        request = Request(muted, asyncio.get_running_loop().create_future())
        self.requests.append(request)
        await request.answer

    def change(self, muted: bool, *, ordered: bool = False) -> None:
        if muted != self.muted:
            self.muted = muted
            self.says.append(Event(muted, ordered))

    def take(self, error: SignalingError | None, *, event_first: bool) -> None:
        request = self.requests.popleft()
        if error is not None:
            self.says.append((request, error))
        elif event_first:
            self.change(request.muted)
            self.says.append((request, None))
        else:
            before = len(self.says)
            self.change(request.muted)
            self.says.insert(before, (request, None))


def _is_answer(said: Any) -> bool:
    return isinstance(said, tuple)


class Muting(RuleBasedStateMachine):
    """A person, a script and a moderator at one microphone.

    The oracle: open only while nobody closes it; after a script's mute it stays closed until
    somebody who may opens it; a moderator who may not open never does; and in the end the
    server knows.
    """

    loop: asyncio.AbstractEventLoop

    @initialize(allowed=st.booleans(), muted=st.booleans(), room=st.booleans())
    def begin(self, allowed: bool, muted: bool, room: bool) -> None:
        self.loop = asyncio.new_event_loop()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(mute, "DELAY_MIN", 0.0)
        self.server = Server(muted)
        self.gate = MicGate(allow_remote_unmute=allowed)
        self.room_closed = self.latched = False
        self.shut_by_script = self.unmute_asked = False
        self.refused = False
        self.scripts: list[asyncio.Task[None]] = []

        async def make() -> MuteSync:
            sync = MuteSync("microphone", self.gate, self.server.send)
            sync.start()
            return sync

        self.sync = self.loop.run_until_complete(make())
        if room:
            self.person("press")
        self.run()
        assert not self.gate.is_open
        assert not self.server.requests
        self.sync.joined(muted)
        self.run()

    def run(self) -> None:
        """Let everything on the loop happen that can happen now."""

        async def idle() -> None:
            for _ in range(30):
                await asyncio.sleep(0)

        self.loop.run_until_complete(idle())

    async def end(self) -> None:
        for script in self.scripts:
            script.cancel()
        await asyncio.gather(*self.scripts, return_exceptions=True)
        await self.sync.stop()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        async def tolerant() -> None:
            with contextlib.suppress(SignalingError, GateHeld):
                await work

        self.scripts.append(self.loop.create_task(tolerant()))
        self.run()

    # The people.

    @rule(act=st.sampled_from(["press", "release", "latch", "unlatch"]))
    def person(self, act: str) -> None:
        if act == "press":
            self.room_closed = True
            self.gate.mute(Party.ROOM)
        elif act == "release":
            self.room_closed = self.shut_by_script = False
            self.gate.unmute(Party.ROOM)
        else:
            self.latched = act == "latch"
            (self.gate.mute if self.latched else self.gate.unmute)(Party.LATCH)
        self.run()

    @rule()
    def script_mutes(self) -> None:
        self.start(self.sync.mute())
        self.shut_by_script, self.unmute_asked = True, False
        assert not self.gate.is_open

    @rule()
    def script_unmutes(self) -> None:
        self.unmute_asked = True
        self.start(self.sync.unmute())

    @rule(muted=st.booleans())
    def moderator(self, muted: bool) -> None:
        quiet = not self.server.requests and not self.server.says
        if not muted and quiet and self.gate.allow_remote_unmute:
            # The server has seen all that the script did: this is a later order.
            self.shut_by_script = False
        self.server.change(muted, ordered=True)

    # The wire.

    @precondition(lambda self: self.server.requests)
    @rule(event_first=st.booleans())
    def server_obeys(self, event_first: bool) -> None:
        self.server.take(None, event_first=event_first)

    @precondition(lambda self: self.server.requests)
    @rule(kind=st.sampled_from(["403", "500"]))
    def server_refuses(self, kind: str) -> None:
        error = PermissionDenied("403", "no") if kind == "403" else RpcError("500", "not now")
        self.refused = self.refused or kind == "403"
        self.server.take(error, event_first=True)

    @precondition(lambda self: self.server.says)
    @rule()
    def deliver(self) -> None:
        said = self.server.says.popleft()
        if isinstance(said, Event):
            waiting = [*self.server.requests, *(s[0] for s in self.server.says if _is_answer(s))]
            self.sync.server_says(said.muted)
            if said.muted and said.ordered and not any(request.muted for request in waiting):
                # It cannot be taken for what we asked for ourselves.
                assert not self.gate.is_open
        else:
            request, error = said
            if request.answer.done():
                return
            if error is None:
                request.answer.set_result(None)
                if not request.muted and self.unmute_asked:
                    self.shut_by_script = False
            else:
                request.answer.set_exception(error)
        self.run()

    @rule(event_first=st.booleans())
    def all_is_done(self, event_first: bool) -> None:
        """The server obeys whatever comes, until nothing comes any more."""
        for _ in range(100):
            self.run()
            if self.server.says:
                self.deliver()
                self.open_only_when_nobody_closes_it()
            elif self.server.requests:
                self.server.take(None, event_first=event_first)
            else:
                return
        pytest.fail("the device and the server never agree")

    @precondition(lambda self: self.server.requests or self.server.says)
    @rule(done=st.booleans())
    def connection_breaks(self, done: bool) -> None:
        """What was not delivered never will be; each request was done, or not."""
        lost = [said[0] for said in self.server.says if _is_answer(said)]
        while self.server.requests:
            request = self.server.requests.popleft()
            lost.append(request)
            if done:
                self.server.change(request.muted)
        self.server.says.clear()
        for request in lost:
            if not request.answer.done():
                request.answer.set_exception(Disconnected("the connection was lost"))
        state = self.server.muted
        # A moderator's order of that time cannot be told from what was there before it.
        self.run()
        self.sync.refreshed(state)
        self.run()

    # The oracle.

    @invariant()
    def open_only_when_nobody_closes_it(self) -> None:
        if not hasattr(self, "sync"):
            return
        assert self.gate.is_open == (not self.gate.closers)
        if self.room_closed or self.latched:
            assert not self.gate.is_open
        if self.shut_by_script:
            assert not self.gate.is_open

    def teardown(self) -> None:
        if not hasattr(self, "sync"):
            return
        try:
            self.all_is_done(event_first=True)
            self.open_only_when_nobody_closes_it()
            if self.gate.is_open:
                assert not self.server.muted
            elif not self.refused:
                assert self.server.muted
            before = self.gate.closers
            self.sync.cancel()
            assert self.gate.closers == before | {Party.START}
            assert all(script.done() for script in self.scripts)
        finally:
            self.loop.run_until_complete(self.end())
            self.loop.close()
            self.patch.undo()


Muting.TestCase.settings = settings(max_examples=300, stateful_step_count=30)
TestMuting = Muting.TestCase


class TestOrder:
    """Orders that cross on the wire."""

    @staticmethod
    async def begin(*, allowed: bool = False, muted: bool = False) -> tuple[MuteSync, Server]:
        server = Server(muted)
        sync = MuteSync("microphone", MicGate(allow_remote_unmute=allowed), server.send)
        sync.start()
        sync.joined(muted)
        await asyncio.sleep(0)
        return sync, server

    @staticmethod
    async def requested(server: Server) -> Request:
        async with asyncio.timeout(10):
            while not server.requests:
                await asyncio.sleep(0)
        return server.requests.popleft()

    async def test_moderators_unmute_before_our_mute(self) -> None:
        sync, server = await self.begin(allowed=True, muted=True)
        muting = asyncio.create_task(sync.mute())
        request = await self.requested(server)
        # Sent before the server saw our mute, which it will obey next.
        sync.server_says(False)
        assert not sync.gate.is_open
        sync.server_says(True)
        request.answer.set_result(None)
        await muting
        assert not sync.gate.is_open
        await sync.stop()

    async def test_moderators_unmute_before_the_event_of_our_mute(self) -> None:
        sync, server = await self.begin(allowed=True)
        muting = asyncio.create_task(sync.mute())
        request = await self.requested(server)
        request.answer.set_result(None)
        await muting
        sync.server_says(False)
        assert not sync.gate.is_open
        sync.server_says(True)
        assert not sync.gate.is_open
        # A later one is an order.
        sync.server_says(False)
        assert sync.gate.is_open
        await sync.stop()

    async def test_lost_answer_makes_no_moderator(self) -> None:
        sync, server = await self.begin()
        muting = asyncio.create_task(sync.mute())
        request = await self.requested(server)
        request.answer.set_exception(Disconnected("the connection was lost"))
        with pytest.raises(Disconnected):
            await muting
        # The server had obeyed, and only its answer was lost.
        sync.refreshed(True)
        assert sync.gate.closers == {Party.SOFTWARE}
        await sync.stop()

    async def test_missed_order_of_a_moderator(self) -> None:
        sync, _ = await self.begin()
        sync.refreshed(True)
        assert sync.gate.closers == {Party.REMOTE}
        await sync.stop()

    async def test_refused_unmute_of_an_open_gate(self) -> None:
        sync, server = await self.begin()
        unmuting = asyncio.create_task(sync.unmute())
        request = await self.requested(server)
        request.answer.set_exception(PermissionDenied("403", "no"))
        with pytest.raises(PermissionDenied):
            await unmuting
        # It was open for the server too, and stays so.
        assert sync.gate.is_open
        await sync.stop()

    async def test_refused_unmute_of_a_gate_that_a_person_opened(self) -> None:
        sync, server = await self.begin(muted=True)
        sync.gate.unmute(Party.ROOM)
        request = await self.requested(server)
        unmuting = asyncio.create_task(sync.unmute())
        request.answer.set_exception(Disconnected("the connection was lost"))
        request = await self.requested(server)
        sync.refreshed(True)
        request.answer.set_exception(PermissionDenied("403", "no"))
        with pytest.raises(PermissionDenied):
            await unmuting
        # Nobody would hear them.
        assert sync.gate.closers == {Party.REMOTE}
        await sync.stop()

    async def test_over_is_over(self) -> None:
        sync, server = await self.begin()
        await sync.stop()
        sync.server_says(False)
        sync.refreshed(False)
        sync.joined(False)
        assert sync.gate.closers == {Party.START}
        sync.gate.mute(Party.ROOM)
        await asyncio.sleep(0)
        assert not server.requests

    async def test_unmute_under_way_when_it_is_over(self) -> None:
        sync, server = await self.begin(muted=True)
        unmuting = asyncio.create_task(sync.unmute())
        request = await self.requested(server)
        sync.cancel()
        request.answer.set_result(None)
        with pytest.raises(GateHeld):
            await unmuting
        assert Party.START in sync.gate.closers
        await sync.stop()

    async def test_change_after_the_end_of_the_loop(self) -> None:
        sync, _ = await self.begin()
        gate, loop = sync.gate, asyncio.new_event_loop()
        sync._loop = loop
        loop.close()
        gate.mute(Party.ROOM)
        assert not gate.is_open
        await sync.stop()
