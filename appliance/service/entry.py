"""What opens the room of a configuration, and which room that is."""

from __future__ import annotations

from appliance.provisioning import Config
from appliance.service.guest import guest_token
from appliance.service.token_endpoint import endpoint_token
from appliance.signaling.token import inspect


class Entry:
    """The way into the room that `config` names.  `room` is that room, as far as it is known."""

    def __init__(self, config: Config) -> None:
        self.room = config.room.name or ""
        self._config = config

    async def token(self) -> str:
        """A token, asked for anew each time.  Raises ConfigError, and as `guest_token` and
        `endpoint_token`."""
        room = self._config.room
        token = self._config.read_token()
        if room.token_url is not None:
            token = await endpoint_token(self._config)
        elif token is None:
            assert room.host is not None, "the configuration was checked"
            assert room.name is not None, "the configuration was checked"
            token = await guest_token(room.host, room.name, room.user_name)
        self.room = inspect(token).room or room.name or ""
        return token
