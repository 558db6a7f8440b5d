"""The unmodified SDK in Chromium as a member of a scenario."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Awaitable
from typing import Any, TypeVar

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from playwright.async_api import BrowserContext
from room import DEADLINE
from scenarios.client import Client, Refused
from sdk_client import Local, Pixels, SdkClient, SdkError

Value = TypeVar("Value")


class OfficialClient(Client):
    """See `Client`; `sdk` is its page, for what only a browser has."""

    kind = "official"

    def __init__(self, name: str, device: int, context: BrowserContext, url: str) -> None:
        """`url` is where the page is."""
        super().__init__(name, device)
        self._context = context
        self._url = url

    async def create(
        self, host: str, token: str, *, local_stream: Local | None = None, **options: Any
    ) -> None:
        """See `Client.create`."""
        if not options.pop("rootElement", True):
            options["rootElement"] = None
        self.sdk = SdkClient(await self._context.new_page())
        self.sdk.events = self.events
        await self.sdk.open(self._url)
        await self._settled(
            self.sdk.create(host, token, local=local_stream, synthetic=True, **options)
        )

    async def call(
        self, method: str, *args: Any, keep: str | None = None, on: str | None = None
    ) -> Any:
        """See `Client.call`."""
        return await self._settled(self.sdk.call(method, *args, keep=keep, on=on, timeout=DEADLINE))

    async def get(self, name: str, *, on: str | None = None) -> Any:
        """See `Client.get`."""
        return await self._settled(self.sdk.get(name, on=on))

    async def length(self, name: str) -> int:
        """See `Client.length`."""
        return int(await self.sdk.page.evaluate("(name) => harness.length(name)", name))

    async def set_local_stream(self, local: Local) -> None:
        """See `Client.set_local_stream`."""
        await self._settled(self.sdk.set_local_stream(local))

    async def unplug(self) -> None:
        """See `Client.unplug`."""
        await self.sdk.page.evaluate(f"devices.unplug({self.device})")

    async def listen(self, method: str, event: str | None = None, tag: str | None = None) -> None:
        """See `Client.listen`."""
        await self.sdk.listen(method, event, tag)

    async def picture(self) -> Pixels | None:
        """See `Client.picture`."""
        return await self.sdk.video_pixels(timeout=DEADLINE)

    async def samples(self, seconds: float) -> NDArray[np.float32]:
        """See `Client.samples`."""
        return await self.sdk.samples(round(seconds * 1000))

    async def screen(self) -> Pixels | None:
        """See `Client.screen`."""
        root = self.sdk.page.locator("#root")
        if not await root.locator("video").count():
            return None
        with PIL.Image.open(io.BytesIO(await root.screenshot(animations="allow"))) as shot:
            return Pixels(shot.width, shot.height, np.asarray(shot.convert("RGBA")))

    async def speaker(self) -> str:
        """See `Client.speaker`."""
        return str(await self.sdk.page.evaluate("harness.speaker()"))

    async def captures(self, kind: str) -> bool:
        """See `Client.captures`."""
        return bool(await self.sdk.page.evaluate("(kind) => harness.captures(kind)", kind))

    async def receives(self, kind: str) -> bool:
        """See `Client.receives`."""
        return bool(await self.sdk.page.evaluate("(kind) => harness.receives(kind)", kind))

    async def close(self) -> None:
        """See `Client.close`."""
        with contextlib.suppress(Refused):
            if await self.get("active"):
                await self.call("leave")
        await self._context.close()

    async def _settled(self, promise: Awaitable[Value]) -> Value:
        try:
            return await promise
        except SdkError as error:
            raise Refused(error.name or "", error.code, error.message) from error
