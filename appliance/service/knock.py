"""Whether another room lets a device in, asked before it leaves its own one."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from appliance.signaling.connection import Connection
from appliance.signaling.errors import SignalingError, rpc_error
from appliance.signaling.token import websocket_url
from appliance.signaling.verto import ADMISSION, RPC_METHOD

log = logging.getLogger(__name__)


async def knock(host: str | None, token: str) -> None:
    """Show `token` to the server at `host` (as `RoomSession` takes it), ask whether its room
    would take a call, and go again: no call, no media, and nobody in the room sees it.

    Raises AuthError for a token that is not accepted, NotAdmitted, NotFound and PermissionDenied
    where the room refuses, Disconnected, RequestTimeout and ProtocolError where there is no room
    server.  One that does not know the question passes: only a join tells there.
    """
    connection = Connection(
        websocket_url(host, token),
        token,
        on_event=lambda kind, params: None,
        # It is over before that matters.
        on_expiring=lambda: None,
    )
    async with connection:
        try:
            answer = await connection.request(ADMISSION, {})
        except SignalingError as error:
            log.debug("the server does not say whether it lets in: %s", error)
            return
    if isinstance(refusal := answer.get("refusal"), Mapping):
        # In the words of the call that it would be.
        raise rpc_error(refusal, RPC_METHOD)
