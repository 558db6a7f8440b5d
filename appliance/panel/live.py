"""The live socket of the panel: state out on each change, presses in.

Each message is one JSON object.  Out: ``{"state": {...}}`` when it changed; ``{"beat": n}`` when
nothing did for a while (a page that hears neither must not go on showing the last LED);
``{"error": "..."}`` for what the device refused; ``{"cards": [...]}`` once, and what the open cards
have to tell, each under its own name.  In: ``{"press": "mute"}``,
``{"release": "mute"}``, ``{"volume": 0..100}``, ``{"layout": "grid-responsive"}``,
``{"visit": "a code or link"}``, ``{"home": true}``, ``{"show": "log"}``, ``{"hide": "log"}``,
and what `Cards.request` knows.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from appliance.panel.cards import Cards
from appliance.panel.device import BUTTONS, PanelDevice, Refused
from appliance.panel.door import admitted
from appliance.panel.maintenance import Maintenance

HOLD = 2.0
"""Seconds after which a button that one page holds can be pressed anew on another."""

REQUESTS: Final = 8
"""Requests of one page that a room may have yet to answer."""

ERRORS: Final = 16
"""Refusals that wait for one page to be told; of more the oldest are dropped."""

UNINVITED: Final = 4401
"""The code with which a socket is closed whose session has ended."""

HEARTBEAT: Final = 2.0
"""Seconds between two signs of life while the state does not change."""


def state_json(device: PanelDevice) -> str:
    """The device's state as one line of JSON; equal states give equal lines."""
    return json.dumps(asdict(device.state()), separators=(",", ":"), sort_keys=True)


class _Viewer:
    """One open page."""

    def __init__(self, socket: WebSocket, maintenance: Maintenance | None) -> None:
        self.socket = socket
        self.admitted = admitted(socket)
        self.cards = Cards(maintenance, self._send)
        self.wake = asyncio.Event()
        self.errors: deque[str] = deque(maxlen=ERRORS)
        self.held: set[str] = set()
        self.requests: set[asyncio.Task[None]] = set()
        """What a room is asked for, which takes its time."""

    async def _send(self, text: str) -> None:
        # A session may end at any moment; what is told after that is not for its page.
        if self.admitted():
            await self.socket.send_text(text)


class Live:
    """Everyone who has the panel open.  Made and used on one event loop."""

    def __init__(
        self,
        device: PanelDevice,
        maintenance: Maintenance | None = None,
        *,
        heartbeat: float = HEARTBEAT,
    ) -> None:
        self._device = device
        self._maintenance = maintenance
        self._heartbeat = heartbeat
        self._viewers: set[_Viewer] = set()
        # The same button on two pages is one button: it is up when the last finger left it.
        self._fingers: Counter[str] = Counter()
        self._pressed: dict[str, float] = {}
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._unsubscribe: Callable[[], None] | None = device.subscribe(self._changed)

    @property
    def viewers(self) -> int:
        """How many pages are open now."""
        return len(self._viewers)

    def close(self) -> None:
        """End every socket with code 1001, and the subscription.  Safe to call twice."""
        self._closing = True
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self.wake()

    async def serve(self, socket: WebSocket) -> None:
        """One page, from its handshake to its end.

        A page that goes away with a button down lets go of it.
        """
        await socket.accept()
        viewer = _Viewer(socket, self._maintenance)
        self._viewers.add(viewer)
        tasks = [
            asyncio.create_task(self._tell(viewer), name="panel-tell"),
            asyncio.create_task(self._listen(viewer), name="panel-listen"),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._viewers.discard(viewer)
            tasks += viewer.requests
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            await viewer.cards.close()
            for button in sorted(viewer.held):
                with suppress(Refused):
                    self._lift(viewer, button)
        for outcome in outcomes:
            # Sending to a page that has just gone away is no fault.
            if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
                raise outcome

    def _changed(self) -> None:
        # Threads cross into the loop here and nowhere else.
        with suppress(RuntimeError):  # the loop may be gone before the device's threads are
            self._loop.call_soon_threadsafe(self.wake)

    def wake(self) -> None:
        """Have every page looked after now; on the loop."""
        for viewer in self._viewers:
            viewer.wake.set()

    async def _tell(self, viewer: _Viewer) -> None:
        sent = ""
        beat = 0
        while not self._closing:
            viewer.wake.clear()
            if not viewer.admitted():
                await viewer.cards.close()
                await viewer.socket.close(UNINVITED)
                return
            state = state_json(self._device)
            quiet = not viewer.errors and state == sent
            # Those of now: a page that gives cause for more without end has the state told too.
            for _ in range(len(viewer.errors)):
                error = viewer.errors.popleft()
                await viewer.socket.send_text(json.dumps({"error": error}))
            if state != sent:
                first, sent = not sent, state
                await viewer.socket.send_text(f'{{"state":{state}}}')
                if first:
                    await viewer.socket.send_text(json.dumps({"cards": viewer.cards.offered}))
            if quiet:
                beat += 1
                await viewer.socket.send_text(json.dumps({"beat": beat}))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._heartbeat):
                    await viewer.wake.wait()
        await viewer.cards.close()
        await viewer.socket.close(1001)

    async def _listen(self, viewer: _Viewer) -> None:
        while True:
            message = await viewer.socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if not viewer.admitted():
                continue
            try:
                self._obey(viewer, message.get("text") or "")
            except Refused as refusal:
                self._refuse(viewer, refusal)

    def _refuse(self, viewer: _Viewer, refusal: Refused) -> None:
        viewer.errors.append(str(refusal))
        viewer.wake.set()

    def _ask(self, viewer: _Viewer, request: Coroutine[Any, Any, None]) -> None:
        """Ask a room for something; meanwhile the page's buttons must go on to work."""

        async def asking() -> None:
            try:
                await request
            except Refused as refusal:
                self._refuse(viewer, refusal)

        if len(viewer.requests) >= REQUESTS:
            request.close()
            raise Refused("What was asked before is not done yet: wait a moment.")
        task = asyncio.create_task(asking(), name="panel-request")
        viewer.requests.add(task)
        task.add_done_callback(viewer.requests.discard)

    def _obey(self, viewer: _Viewer, text: str) -> None:
        try:
            command = json.loads(text)
        except ValueError:
            raise Refused("The panel takes JSON objects only.") from None
        match command:
            case {"press": str(button)} if button in BUTTONS:
                self._press(viewer, button)
            case {"release": str(button)} if button in BUTTONS:
                self._lift(viewer, button)
            case {"volume": int(volume)} if 0 <= volume <= 100 and not isinstance(volume, bool):
                self._device.set_volume(volume)
            case {"layout": str(name)}:
                self._ask(viewer, self._device.select_layout(name))
            case {"visit": str(invitation)}:
                self._ask(viewer, self._device.visit(invitation))
            case {"home": True}:
                self._device.go_home()
            case {"show": str(card)}:
                viewer.cards.show(card)
            case {"hide": str(card)}:
                viewer.cards.hide(card)
            case _ if (request := viewer.cards.request(command)) is not None:
                self._ask(viewer, request)
            case _:
                raise Refused(f"The panel does not know the command {_brief(command)}.")

    def _press(self, viewer: _Viewer, button: str) -> None:
        if button in viewer.held:
            return
        now = self._loop.time()
        if self._fingers[button] == 0:
            self._device.press(button)
            self._pressed[button] = now
        elif now - self._pressed[button] > HOLD:
            # The page that holds it may be lost, which shows much later: a person who presses
            # here must not wait for that.
            self._device.release(button)
            self._device.press(button)
            self._pressed[button] = now
        viewer.held.add(button)
        self._fingers[button] += 1

    def _lift(self, viewer: _Viewer, button: str) -> None:
        if button not in viewer.held:
            return
        viewer.held.remove(button)
        self._fingers[button] -= 1
        if self._fingers[button] == 0:
            self._device.release(button)


def _brief(command: Any) -> str:
    text = json.dumps(command)
    return text if len(text) <= 60 else text[:57] + "..."
