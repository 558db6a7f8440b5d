"""What the room says of its layouts, and which of them a person chooses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from appliance.panel import Refused
from appliance.room import Payload, RoomError, RoomSession
from appliance.signaling.errors import SignalingError

log = logging.getLogger(__name__)


class Layouts:
    """The layouts of one room after the other.

    `name` is the present one, `names` are those that may be chosen.  `on_change` is called after
    each change of them, `on_layers` with the layers of each new layout.
    """

    def __init__(self) -> None:
        self.name = ""
        self.names: list[str] = []
        self.on_change: Callable[[], None] | None = None
        self.on_layers: Callable[[list[Any], str | None], None] | None = None
        self._session: RoomSession | None = None
        self._asking: asyncio.Task[None] | None = None

    def follow(self, session: RoomSession) -> None:
        """Listen to a session that is about to join."""
        self._session = session
        session.on("room.joined", self._joined)
        session.on("layout.changed", self._layout_changed)

    def forget(self) -> None:
        """There is no room any more."""
        self.name, self.names, self._session = "", [], None

    async def select(self, name: str) -> None:
        """Change the layout.  Raises Refused, with words for whoever chose."""
        session = self._session
        if session is None or not session.active:
            raise Refused("There is no room: the layout belongs to it.")
        try:
            await session.set_layout(name)
        except (SignalingError, RoomError) as error:
            raise Refused(str(error)) from error

    async def stop(self) -> None:
        """Ask no more."""
        task, self._asking = self._asking, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _joined(self, event: Payload) -> None:
        layout = event.to_dict().get("room_session", {}).get("layout_name")
        self.name = layout if isinstance(layout, str) else self.name
        if self._asking is not None:
            self._asking.cancel()
        self._asking = asyncio.get_running_loop().create_task(self._ask(), name="layouts")

    async def _ask(self) -> None:
        session = self._session
        if session is None or "room.set_layout" not in session.permissions:
            return
        try:
            names = (await session.get_layouts()).to_dict().get("layouts")
        except (SignalingError, RoomError) as error:
            log.info("the room does not tell its layouts: %s", error)
            return
        self.names = [str(name) for name in names] if isinstance(names, list) else []
        self._changed()

    def _layout_changed(self, event: Payload) -> None:
        layout = event.to_dict().get("layout")
        if not isinstance(layout, Mapping):
            return
        self.name = str(layout.get("name") or "")
        layers = layout.get("layers")
        if self.on_layers is not None and self._session is not None and isinstance(layers, list):
            self.on_layers(layers, self._session.member_id)
        self._changed()

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()
