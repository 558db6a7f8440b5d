"""Somebody beside the device, who sees its lights and presses its buttons."""

from __future__ import annotations

from typing import Protocol


class Person(Protocol):
    """Whom the doctor may ask."""

    def tell(self, text: str) -> None:
        """Say what to do."""

    async def agrees(self, question: str) -> bool | None:
        """Yes or no; None for no answer."""
