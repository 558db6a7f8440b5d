"""What goes on in the rooms beside their members, as members can ask for it."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.hub.broadcasts import Broadcasts
from appliance.hub.playbacks import Playbacks
from appliance.hub.recordings import Recordings

__all__ = ["Programme"]


@dataclass(frozen=True, slots=True)
class Programme:
    """All of it, of all rooms."""

    recordings: Recordings
    playbacks: Playbacks
    broadcasts: Broadcasts
