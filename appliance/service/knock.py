"""Whether another room's server takes a token, asked before a device leaves its own room."""

from __future__ import annotations

from appliance.signaling.connection import Connection
from appliance.signaling.token import websocket_url


async def knock(host: str | None, token: str) -> None:
    """Show `token` to the server at `host` (as `RoomSession` takes it), and go again: no call, no
    media, and nobody in the room sees it.

    Raises AuthError for a token that is not accepted, Disconnected, RequestTimeout and
    ProtocolError where there is no room server.
    """
    connection = Connection(
        websocket_url(host, token),
        token,
        on_event=lambda kind, params: None,
        # It is over before that matters.
        on_expiring=lambda: None,
    )
    async with connection:
        pass
