"""A server for STUN and TURN on the loopback, as far as a device talks to it before a call."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aioice import stun

MAPPED: Final = ("203.0.113.7", 40_000)
"""Where it says that it sees everybody."""

RELAYED: Final = ("203.0.113.9", 50_000)

REALM: Final = "roomlet.test"


class IceServer(asyncio.DatagramProtocol):
    """Answers Binding to all, and Allocate to `users` (passwords by name)."""

    def __init__(self, users: dict[str, str]) -> None:
        self.users = users
        self.bindings = 0
        self.allocated: list[str] = []
        """Who was given a relay."""
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            request = stun.parse_message(data)
        except ValueError:
            return
        if request.message_method == stun.Method.BINDING:
            self.bindings += 1
            self._answer(request, addr, {"XOR-MAPPED-ADDRESS": MAPPED})
        elif request.message_method in (stun.Method.ALLOCATE, stun.Method.REFRESH):
            user = request.attributes.get("USERNAME", "")
            words = f"{user}:{REALM}:{self.users.get(user, '')}"
            key = hashlib.md5(words.encode()).digest()
            if user not in self.users or not request.check_message_integrity(key):
                refusal = {"ERROR-CODE": (401, "who?"), "NONCE": b"once", "REALM": REALM}
                self._answer(request, addr, refusal, stun.Class.ERROR)
                return
            if request.message_method == stun.Method.ALLOCATE:
                self.allocated.append(user)
            given = {
                "LIFETIME": request.attributes["LIFETIME"],
                "XOR-MAPPED-ADDRESS": MAPPED,
                "XOR-RELAYED-ADDRESS": RELAYED,
            }
            self._answer(request, addr, given, key=key)

    def _answer(
        self,
        request: stun.Message,
        addr: tuple[str, int],
        attributes: dict[str, Any],
        kind: stun.Class = stun.Class.RESPONSE,
        key: bytes | None = None,
    ) -> None:
        assert self._transport is not None
        answer = stun.Message(request.message_method, kind, request.transaction_id, attributes)
        if key is not None:
            answer.add_message_integrity(key)
        self._transport.sendto(bytes(answer), addr)


@asynccontextmanager
async def ice_server(**users: str) -> AsyncIterator[IceServer]:
    """One that runs meanwhile."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        lambda: IceServer(users), local_addr=("127.0.0.1", 0)
    )
    yield server
    transport.close()
