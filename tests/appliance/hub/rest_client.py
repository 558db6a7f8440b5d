"""The HTTP calls as a script makes them, for the tests."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import httpx

from tests.appliance.hub.conftest import TestHub

API = "/api/video"


class Script:
    """A script that holds the API token."""

    def __init__(self, hub: TestHub) -> None:
        auth = (hub.keys.project, hub.keys.api_token)
        self.http = httpx.AsyncClient(base_url=hub.url, auth=auth)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.http.aclose()

    async def call(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """Make a call that is to end with this status; its answer."""
        path = path if path.startswith("/api") else API + path
        answer = await self.http.request(method, path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def get(self, path: str, status: int = 200) -> Any:
        return await self.call("GET", path, status=status)

    async def post(self, path: str, body: Any, status: int = 200) -> Any:
        return await self.call("POST", path, body, status)

    async def put(self, path: str, body: Any, status: int = 200) -> Any:
        return await self.call("PUT", path, body, status)

    async def delete(self, path: str, status: int = 204) -> Any:
        return await self.call("DELETE", path, status=status)

    async def data(self, path: str) -> list[Any]:
        """What a list has on its first page."""
        found: list[Any] = (await self.get(path))["data"]
        return found

    async def refused(self, method: str, path: str, body: Any, status: int) -> dict[str, Any]:
        """The one thing that is wrong with a call."""
        (error,) = (await self.call(method, path, body, status))["errors"]
        assert "\n" not in error["message"]
        found: dict[str, Any] = error
        return found
