"""A newer token for a session whose own is about to end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from appliance.signaling.connection import Connection, ConnectionState

log = logging.getLogger(__name__)

RETRY: Final = 15.0
"""Seconds between two tries; the first is 120 s before the end."""


async def renew(connection: Connection, get_token: Callable[[], Awaitable[str]]) -> None:
    """Go on with what `get_token` gives; ends once the authorization is longer, or with the
    connection.

    Failures are logged, each once, and tried again.
    """
    ends, used, told = connection.authorization.get("expires_at"), "", ""
    while connection.state is not ConnectionState.CLOSED:
        try:
            token = await get_token()
            if token != used:
                authorization = await connection.reauthenticate(token)
                if authorization.get("expires_at") != ends:
                    log.info("the room token is renewed")
                    return
                used = token
            text = "there is none that is newer"
        except Exception as error:
            # Whoever gives tokens fails in ways of its own.
            text = str(error) or type(error).__name__
        if text != told:
            log.warning("the room token is about to end, and is not renewed: %s", text)
            told = text
        await asyncio.sleep(RETRY)
