"""One booked meeting."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any

TITLE_MAX = 120
"""Characters of a title that are kept: a screen shows no more."""

TEXT_MAX = 4_000
"""Characters of a description in which a link is looked for."""


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
    """What the event says of a room of Roomlet: a link or the name of a room."""
    conference: str = ""
    """The link by which the event says to meet."""
    texts: tuple[str, ...] = ()
    """Where else a link may stand, best first."""

    def to_json(self) -> dict[str, Any]:
        """For the other process."""
        times = {"begins": self.begins.isoformat(), "ends": self.ends.isoformat()}
        return asdict(self) | times

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Meeting:
        """What `to_json` made.  Raises ValueError, KeyError and TypeError for anything else."""
        times = {name: dt.datetime.fromisoformat(values[name]) for name in ("begins", "ends")}
        return cls(**values | times | {"texts": tuple(values["texts"])})
