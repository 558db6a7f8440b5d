"""How far a stay in a room has come."""

from __future__ import annotations

from enum import Enum


class Phase(Enum):
    """Of a session, or of an extra leg of one; a stay that has ended does not begin again."""

    NEW = "new"
    JOINING = "joining"
    JOINED = "joined"
    LEAVING = "leaving"
    ENDED = "ended"
