"""Cards whose news a test tells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from appliance.panel import Card, Refused


class FakeMaintenance:
    """`pieces` is what each card shows at first, `tell` what follows."""

    def __init__(self) -> None:
        self.pieces: dict[str, list[Mapping[str, Any]]] = {}
        self.watching: list[str] = []
        self.moved = asyncio.Event()
        self.broken = False
        self.asked: list[tuple[str, ...]] = []
        self.refusal = ""
        self._queues: list[tuple[str, asyncio.Queue[Mapping[str, Any]]]] = []

    async def watch(self, card: Card) -> AsyncGenerator[Mapping[str, Any]]:
        if self.broken:
            raise ValueError("a fault of ours")
        queue: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        entry = (card, queue)
        self._queues.append(entry)
        self._note(card, True)
        try:
            for piece in self.pieces.get(card, []):
                yield piece
            while True:
                yield await queue.get()
        finally:
            self._queues.remove(entry)
            self._note(card, False)

    async def choose(self, kind: str, backend: str, device: str) -> None:
        self._ask("choose", kind, backend, device)

    async def withdraw_choice(self, kind: str) -> None:
        self._ask("withdraw_choice", kind)

    async def withdraw(self, key: str) -> None:
        self._ask("withdraw", key)

    def restart(self, sure: bool) -> None:
        self._ask("restart", "sure" if sure else "not sure")

    async def bundle(self) -> bytes:
        return b"PK of a test"

    def _ask(self, *words: str) -> None:
        self.asked.append(words)
        self.moved.set()
        if self.refusal:
            raise Refused(self.refusal)

    def tell(self, card: Card, piece: Mapping[str, Any]) -> None:
        for name, queue in self._queues:
            if name == card:
                queue.put_nowait(piece)

    def _note(self, card: str, there: bool) -> None:
        (self.watching.append if there else self.watching.remove)(card)
        self.moved.set()
