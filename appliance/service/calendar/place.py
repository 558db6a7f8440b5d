"""In which room a meeting takes place.

Whoever may invite the room may write into its calendar, so a link is believed only where it leads
to the room server that is configured: any other could steer the camera to a stranger's server.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from appliance.service.calendar.meeting import Link, Meeting

LINKS_MAX: Final = 20
"""Links of one meeting that are looked at."""

TEXT_MAX: Final = 4_000
"""Characters of a description in which links are looked for."""

_LINK: Final = re.compile(r"https?://[^\s<>\"'\\]{1,500}", re.IGNORECASE)
_ROOM: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def hosts_of(server: str, further: Collection[str]) -> frozenset[str]:
    """The names of the room server, as links have them: `server` is an address, or a host."""
    server = server if "://" in server else f"wss://{server}"
    return frozenset(name for name in (_host(server), *(one.lower() for one in further)) if name)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a meeting is; by default in the device's own room."""

    room: str = ""
    """Another room of the room server."""
    foreign: str = ""
    """Another host, where the device does not go."""

    def __str__(self) -> str:
        """For people; empty for the own room."""
        return self.foreign or self.room


def read_place(room: str, conference: str, texts: Iterable[str]) -> dict[str, Any]:
    """What X-ROOMLET-ROOM, CONFERENCE, and URL, LOCATION and DESCRIPTION of an event say, as the
    attributes of a `Meeting`.

    Some thousand characters that anybody wrote: this is for the reader's process.
    """
    room, conference = room.strip()[:TEXT_MAX], conference.strip()[:TEXT_MAX]
    named = _ROOM.fullmatch(room) is not None
    meets = [_link(link) for text in (room, conference) for link in _LINK.findall(text)[:1]]
    found = (_link(link) for text in texts for link in _LINK.findall(text[:TEXT_MAX]))
    links = islice(((host, place) for host, place in found if host and place), LINKS_MAX)
    return {
        "room": room if named else "",
        "meet": meets[0] if meets and not named else None,
        "links": tuple(dict.fromkeys(links)),
    }


def place_of(meeting: Meeting, own: str, hosts: Collection[str]) -> Place:
    """Where a meeting is.

    The first of these that says something: the property X-ROOMLET-ROOM (a link, or the name of a
    room), CONFERENCE (a link to anywhere), then links to rooms of `hosts` in URL, LOCATION,
    DESCRIPTION.  `own` is the name of the device's room.
    """
    if meeting.room:
        return _in(meeting.room, own)
    if meeting.meet is not None:
        host, room = meeting.meet
        return _in(room, own) if room and host in hosts else Place(foreign=host or "another place")
    return next((_in(room, own) for host, room in meeting.links if host in hosts), Place())


def _in(room: str, own: str) -> Place:
    return Place("" if room == own else room)


def _link(text: str) -> Link:
    return _host(text), _room(text)


def _host(link: str) -> str:
    """`host`, or `host:port` where the port is not that of the scheme; empty for none."""
    try:
        parts = urlsplit(link)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return ""
    host = f"[{host}]" if ":" in host else host
    return host if port in (None, _PORTS.get(parts.scheme.lower())) else f"{host}:{port}"


def _room(link: str) -> str:
    """The room of a link as the hub's page makes them: `/?room=NAME`, or `/#NAME`."""
    try:
        parts = urlsplit(link)
        found = parse_qs(parts.query, max_num_fields=20).get("room", [unquote(parts.fragment)])[0]
    except ValueError:
        return ""
    found = found.rstrip(".,;:!?)")
    return found if parts.path in ("", "/") and _ROOM.fullmatch(found) else ""
