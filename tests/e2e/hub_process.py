"""A hub in a process of its own, with settings that the command line does not have.

Its one argument is a `HubConfig` as JSON; the first line that it prints is where it listens.
SIGUSR1 ends the newest media connection, as a network does that fails: nobody says goodbye.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

from appliance.hub.config import HubConfig
from appliance.hub.server import HubServer
from appliance.media.peer import Peer
from appliance.service.children import end_with_parent


class FallibleHub(HubServer):
    """A hub whose media can be lost."""

    def __init__(self, config: HubConfig) -> None:
        super().__init__(config, peer=self._new_peer)
        self._newest: Peer | None = None
        self._losing: asyncio.Task[None] | None = None

    def _new_peer(self) -> Peer:
        self._newest = self._make_peer()
        return self._newest

    def lose_newest(self) -> None:
        """End the newest media connection."""
        if self._newest is not None:
            self._losing = asyncio.create_task(self._newest.close(), name="loss of media")


async def main() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    hub = FallibleHub(HubConfig.model_validate_json(sys.argv[1]))
    await hub.start()
    loop.add_signal_handler(signal.SIGUSR1, hub.lose_newest)
    print(hub.url, flush=True)
    await stop.wait()
    await hub.stop()


if __name__ == "__main__":
    end_with_parent()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    asyncio.run(main())
