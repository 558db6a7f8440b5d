"""One booked meeting."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

TITLE_MAX = 120
"""Characters of a title that are kept: a screen shows no more."""

Link: TypeAlias = tuple[str, str]
"""A host as links name it, and the room of Roomlet that it leads to; empty for none."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """One occurrence of an event."""

    key: str
    """The same for the same occurrence in each reading, also after it was moved."""
    title: str
    begins: dt.datetime
    """UTC."""
    ends: dt.datetime
    """UTC, later than `begins`."""
    private: bool = False
    """Whether its title is nobody's business."""
    room: str = ""
    """The room of Roomlet that the event names."""
    meet: Link | None = None
    """Where the event says to meet; the host is empty where that cannot be understood."""
    links: tuple[Link, ...] = ()
    """What else in it may lead to a room, best first."""

    def to_json(self) -> dict[str, Any]:
        """For the other process."""
        times = {"begins": self.begins.isoformat(), "ends": self.ends.isoformat()}
        return asdict(self) | times

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Meeting:
        """What `to_json` made.  Raises ValueError, KeyError and TypeError for anything else."""
        times = {name: dt.datetime.fromisoformat(values[name]) for name in ("begins", "ends")}
        meet = None if values["meet"] is None else _link(values["meet"])
        return cls(**values | times | {"meet": meet, "links": tuple(map(_link, values["links"]))})


def _link(value: list[str]) -> Link:
    host, room = value
    return host, room
