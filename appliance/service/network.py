"""What a configuration hints at how the room's media find this device."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from appliance.media.addresses import host_addresses
from appliance.provisioning import Config
from appliance.service import journal

log = logging.getLogger(__name__)


class MediaNetwork:
    """The `[network]` of `config`."""

    def __init__(self, config: Config) -> None:
        self._config: Final = config

    def ice_servers(self) -> list[dict[str, Any]] | None:
        """STUN and TURN servers, as `RoomSession` takes them; None for those that the room server
        names.  Raises ConfigError for a password that cannot be read."""
        network = self._config.network
        servers: list[dict[str, Any]] = []
        if network.stun_url is not None:
            servers.append({"urls": [network.stun_url]})
        if network.turn_url is not None:
            password = self._config.read_turn_password() or ""
            journal.SECRETS.add(password)
            servers.append(
                {"urls": [network.turn_url], "username": network.turn_user, "credential": password}
            )
        return servers or None

    def placed(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What a leg factory is given, with the addresses to be reached at.  A room server on this
        machine is reached by the loopback alone, whatever is said here."""
        found = arguments["addresses"]
        return {**arguments, "addresses": self.addresses() if found is None else found}

    def addresses(self) -> list[str] | None:
        """Where to be reached, as `MediaLeg` takes it; None for every address of the machine."""
        wanted = self._config.network.interfaces
        if not wanted:
            return None
        found = host_addresses(wanted)
        if not found:
            # A cable that is not in, or a lease that is late: the room keeps working.
            log.warning(
                "no address at %s, the network.interfaces; media go by any", ", ".join(wanted)
            )
        return found or None
