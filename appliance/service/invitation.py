"""A room that a person names: by its code, by a link to it, or by a token for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from pydantic import SecretStr

from appliance.service.errors import InvitationInvalid
from appliance.signaling.token import inspect

TEXT_MAX: Final = 4000
"""Characters of an invitation, which may be a token; the panel takes 4096 bytes."""

_CODE: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
"""The names that a room can have; as in `RoomConfig.name`."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
"""A JSON Web Token."""

_SOCKETS: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


@dataclass(frozen=True, slots=True)
class Invitation:
    """Where a device is asked to come, for a while."""

    room: str
    """Its name; empty where the token alone knows."""
    host: str | None = None
    """Its room server, `ws://HOST:PORT` or `wss://HOST`; None for the device's own."""
    token: SecretStr | None = None
    """What opens it; None where a token has to be asked for."""

    @classmethod
    def parse(cls, text: str) -> Invitation:
        """What somebody typed, pasted or wrote into a calendar.

        A room's code (`demo`), the address of a hub's page with the room (`http://hub/?room=demo`,
        `http://hub/#demo`), or a room token.  Raises InvitationInvalid; its message does not
        repeat the text, which may hold a secret.
        """
        text = text.strip()
        if len(text) > TEXT_MAX:
            raise InvitationInvalid("This is too long for an invitation: give a code or a link.")
        if _CODE.fullmatch(text):
            return cls(text)
        if _TOKEN.fullmatch(text):
            return cls(inspect(text).room or "", token=SecretStr(text))
        return cls._of_link(text)

    @classmethod
    def _of_link(cls, text: str) -> Invitation:
        unclear = "This is neither a room's code nor a link to a room."
        try:
            parts = urlsplit(text)
            # A port that is none raises when it is asked for.
            fine = parts.hostname and (parts.port or True)
        except ValueError:
            raise InvitationInvalid(unclear) from None
        scheme = _SOCKETS.get(parts.scheme.lower())
        if not fine or scheme is None or any(c.isspace() for c in text):
            raise InvitationInvalid(unclear)
        if parts.username is not None:
            raise InvitationInvalid("Leave user and password out of the link to a room.")
        room = (parse_qs(parts.query).get("room") or [unquote(parts.fragment)])[0]
        if not _CODE.fullmatch(room):
            raise InvitationInvalid("This link names no room: it should end with ?room=NAME.")
        path = parts.path.removesuffix("/index.html").rstrip("/")
        return cls(room, urlunsplit((scheme, parts.netloc.lower(), path, "", "")))
