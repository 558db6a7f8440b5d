"""The door of a panel that has a PIN: without a session there is the log-in page and nothing else.

The cookie is named after the port, since browsers keep one jar for all ports of a host.  It is
never readable by a script, never sent with what another site asks for, and with TLS never sent
without it.
"""

from __future__ import annotations

import asyncio
import html
import math
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from appliance.panel.access import Access
from appliance.panel.documents import LOGIN
from appliance.web.hosts import refuse

FORM_BYTES: Final = 4096
"""The longest form that is read."""

FORM_SECONDS: Final = 10.0
"""How long it may take to come."""

ADMITTED: Final = "appliance.panel.admitted"
"""Where a request's scope tells, by a function without parameters, whether it is still allowed."""


def admitted(connection: HTTPConnection) -> Callable[[], bool]:
    """Tells through the life of a request whether its session goes on."""
    still: Callable[[], bool] = connection.scope.get(ADMITTED, lambda: True)
    return still


class Door:
    """Log-in, log-out, and what is behind them.

    `port` is where the panel listens, `secure` whether it does so with TLS, `public` the paths
    that hold no secret.
    """

    def __init__(self, access: Access, *, port: int, secure: bool, public: Iterable[str]) -> None:
        self._access = access
        self._secure = secure
        self._cookie = f"{'__Host-' if secure else ''}roomlet-panel-{port}"
        self._public = frozenset({"/login", *public})

    def routes(self) -> list[Route]:
        """What is in front of the door."""
        return [
            Route("/login", self._show, methods=["GET"]),
            Route("/login", self._enter, methods=["POST"]),
            Route("/logout", self._leave, methods=["POST"]),
        ]

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """What lets nobody at `app` without a session."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] not in ("http", "websocket"):
                await app(scope, receive, send)
                return
            token = self._token(HTTPConnection(scope))
            if self._access.admits(token):
                scope[ADMITTED] = lambda: self._access.admits(token)
            elif scope["type"] == "websocket":
                await refuse("Log in first.", scope, receive, send)
                return
            elif scope["path"] == "/":
                await RedirectResponse("/login", 303)(scope, receive, send)
                return
            elif scope["path"] not in self._public:
                answer = PlainTextResponse("Log in first.\n", 401)
                await answer(scope, receive, send)
                return
            await app(scope, receive, send)

        return guarded

    def _token(self, request: HTTPConnection) -> str:
        return request.cookies.get(self._cookie, "")

    async def _show(self, request: Request) -> Response:
        if self._access.admits(self._token(request)):
            return RedirectResponse("/", 303)
        return _page()

    async def _enter(self, request: Request) -> Response:
        try:
            async with asyncio.timeout(FORM_SECONDS):
                form = await _form(request)
        except TimeoutError:
            form = None
        if form is None:
            # Closed, for what is left of a form without end would be read on and on.
            return PlainTextResponse("This is no log-in.\n", 413, {"Connection": "close"})
        address = "" if request.client is None else request.client.host
        # From here to the comparison nothing is awaited: guesses come one by one.
        wait = self._access.lockout.wait(address)
        if wait > 0:
            return _page(f"Too many wrong PINs. Try again in {_span(wait)}.", 429, wait)
        token = self._access.enter(form.get("pin", ""), address)
        if token is None:
            wait = self._access.lockout.wait(address)
            more = f" Try again in {_span(wait)}." if wait > 0 else ""
            return _page(f"That is not the PIN.{more}", 401)
        # What the browser showed before is no session any more: nobody can have planted it.
        self._access.leave(self._token(request))
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self._cookie, token, **self._attributes())
        return answer

    async def _leave(self, request: Request) -> Response:
        self._access.leave(self._token(request))
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(self._cookie, **self._attributes())
        return answer

    def _attributes(self) -> dict[str, Any]:
        return {"path": "/", "secure": self._secure, "httponly": True, "samesite": "strict"}


async def _form(request: Request) -> dict[str, str] | None:
    """The fields of a form; None for what is none, or too long a one."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return None
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES:
            return None
    try:
        fields = parse_qs(body.decode(), max_num_fields=8)
    except ValueError:
        return None
    return {name: values[0] for name, values in fields.items()}


def _page(message: str = "", status: int = 200, wait: float = 0.0) -> Response:
    # A message that is there from the start is no news to a screen reader: it is read with the
    # field, which has the focus, and the title is read before.
    note = f'<p id="message" class="note bad" role="alert">{html.escape(message)}</p>'
    text = LOGIN.text(
        title=html.escape(message) or "Log in",
        message=note if message else "",
        described=f'aria-describedby="{"message help" if message else "help"}"'
        + (' aria-invalid="true"' if message else ""),
    )
    headers = {"Cache-Control": "no-store"}
    if wait > 0:
        headers["Retry-After"] = str(math.ceil(wait))
    return HTMLResponse(text, status, headers)


def _span(seconds: float) -> str:
    if seconds <= 90:
        whole = math.ceil(seconds)
        return "a second" if whole == 1 else f"{whole} seconds"
    return f"{math.ceil(seconds / 60)} minutes"
