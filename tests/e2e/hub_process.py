"""A hub in a process of its own, with settings that the command line does not have.

Its one argument is a `HubConfig` as JSON; the first line that it prints is where it listens.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

from appliance.hub.config import HubConfig
from appliance.hub.server import serve
from appliance.service.children import end_with_parent


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    config = HubConfig.model_validate_json(sys.argv[1])
    await serve(config, lambda url: print(url, flush=True), stop)


if __name__ == "__main__":
    end_with_parent()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    asyncio.run(main())
