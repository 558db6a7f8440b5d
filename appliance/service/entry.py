"""What opens a room, and which room that is: that of the configuration, or another one."""

from __future__ import annotations

from typing import Final

from appliance.provisioning import Config
from appliance.service.errors import InvitationInvalid
from appliance.service.guest import guest_token
from appliance.service.invitation import Invitation
from appliance.service.token_endpoint import endpoint_token
from appliance.signaling.token import inspect


class Entry:
    """The way into the room that `config` names, or into that of an `invitation`.

    `room` is that room, as far as it is known; `host` is its server, as `RoomSession` takes it.
    """

    def __init__(self, config: Config, invitation: Invitation | None = None) -> None:
        """Raises InvitationInvalid where the device has no way into that room."""
        home = config.room
        self.invitation: Final = invitation
        self.room = (home.name or "") if invitation is None else invitation.room
        self.host: Final = invitation.host if invitation and invitation.host else home.host
        self._config = config
        if invitation is None or invitation.token is not None:
            return
        # A service that gives tokens is the own server's, and is told of no other.
        self._at_home = invitation.host is None or invitation.host == home.host
        if self.host is None and home.token_url is None:
            raise InvitationInvalid(
                "This device cannot ask for another room's token: give a link to the room."
            )

    def leads_to(self, other: Entry) -> bool:
        """Whether this is only another word for the room of `other`.  A token of its own is more:
        who has it may be somebody else there."""
        given = self.invitation is not None and self.invitation.token is not None
        return not given and bool(self.room) and (self.room, self.host) == (other.room, other.host)

    async def token(self) -> str:
        """A token, asked for anew each time.  Raises ConfigError, and as `guest_token` and
        `endpoint_token`."""
        token = await (self._own() if self.invitation is None else self._invited(self.invitation))
        self.room = inspect(token).room or self.room
        return token

    async def _own(self) -> str:
        room = self._config.room
        token = self._config.read_token()
        if room.token_url is not None:
            return await endpoint_token(self._config)
        if token is not None:
            return token
        assert room.host is not None, "the configuration was checked"
        assert room.name is not None, "the configuration was checked"
        return await guest_token(room.host, room.name, room.user_name)

    async def _invited(self, invitation: Invitation) -> str:
        if invitation.token is not None:
            return invitation.token.get_secret_value()
        if self._at_home and self._config.room.token_url is not None:
            return await endpoint_token(self._config, invitation.room)
        assert self.host is not None, "the constructor saw to it"
        return await guest_token(self.host, invitation.room, self._config.room.user_name)
