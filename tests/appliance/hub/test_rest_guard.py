"""Who holds the keys may make the calls, and who was given a link that one, for its time."""

from __future__ import annotations

import base64
from urllib.parse import quote, urlsplit

import pytest
from starlette.requests import Request

from appliance.hub import rest_guard
from appliance.hub.keys import Keys
from appliance.hub.rest_guard import Guard

KEYS = Keys("project", "secret:token")
NOW = 1_900_000_000.25


class Clock:
    """The time of day, as the guard sees it."""

    def __init__(self) -> None:
        self.now = NOW

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rest_guard, "time", clock)
    return clock


def request(link: str = "/", authorization: bytes | None = None) -> Request:
    """A request to this path and query, with this header."""
    parts = urlsplit(link)
    headers = [] if authorization is None else [(b"authorization", authorization)]
    query = parts.query.encode()
    return Request({"type": "http", "path": parts.path, "query_string": query, "headers": headers})


def basic(text: str | bytes, scheme: str = "Basic") -> bytes:
    given = text if isinstance(text, bytes) else text.encode()
    return scheme.encode() + b" " + base64.b64encode(given)


# The keys


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_who_brings_both_holds_the_keys(scheme: str) -> None:
    assert Guard(KEYS).holds_keys(request(authorization=basic("project:secret:token", scheme)))


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"Basic",
        b"Basic ",
        b"Basic cHJvamVjdA",
        b"Basic \xff\xfe",
        b"Basic ****",
        basic(""),
        basic(":"),
        basic("project"),
        basic("project:"),
        basic(":secret:token"),
        basic("project:secret"),
        basic("project:secret:token "),
        basic("project:secret:token\n"),
        basic("Project:secret:token"),
        basic("other:secret:token"),
        basic("secret:token:project"),
        basic(b"project:\xff\xfe"),
        basic("project:secret:token", "Bearer"),
        basic("project:secret:token") + b"!",
        b"project:secret:token",
    ],
)
def test_who_brings_less_or_other_ones_does_not(header: bytes | None) -> None:
    assert not Guard(KEYS).holds_keys(request(authorization=header))


@pytest.mark.parametrize("keys", [Keys("pro:ject", "t"), Keys("Größe", "☃"), Keys("p", "t" * 5000)])
def test_whatever_the_keys_are_they_open(keys: Keys) -> None:
    header = basic(f"{keys.project}:{keys.api_token}")
    assert Guard(keys).holds_keys(request(authorization=header))
    assert not Guard(KEYS).holds_keys(request(authorization=header))


# Links


def test_a_link_opens_its_path_until_its_time_is_over(clock: Clock) -> None:
    guard = Guard(KEYS)
    link = guard.link("/api/video/x", 60)
    path, _, query = link.partition("?")
    assert path == "/api/video/x"
    assert query.startswith(f"expires={int(NOW) + 60}&signature=")
    assert guard.has_link(request(link))
    clock.now = int(NOW) + 60
    assert guard.has_link(request(link))
    clock.now += 0.001
    assert not guard.has_link(request(link))


def test_a_link_opens_nothing_else_and_can_be_made_by_nobody_else(clock: Clock) -> None:
    guard = Guard(KEYS)
    link = guard.link("/api/video/x", 60)
    path, _, query = link.partition("?")
    expires, signature = (part.partition("=")[2] for part in query.split("&"))
    for wrong in (
        path,
        f"/api/video/y?{query}",
        f"/api/video/x/?{query}",
        f"/api/video?{query}",
        f"{path}?expires={expires}",
        f"{path}?expires={expires}&signature=",
        f"{path}?signature={signature}",
        f"{path}?expires={int(expires) + 1}&signature={signature}",
        f"{path}?expires={expires}&signature={signature[:-1]}",
        f"{path}?expires={expires}&signature={signature.upper()}",
        f"{path}?expires={expires}&signature=%ED%A0%80",
        Guard(Keys("project", "other")).link("/api/video/x", 60),
    ):
        assert not guard.has_link(request(wrong)), wrong
    # Whoever made it: the same keys are the same hub.
    assert Guard(KEYS).has_link(request(link))
    assert KEYS.api_token not in link


@pytest.mark.parametrize(
    "expires",
    ["", "-1", "+2000000000", "2e9", "2000000000.0", " 2000000000", "٢٠٠٠٠٠٠٠٠٠", "²", "9" * 13],
)
def test_a_time_that_is_none_opens_nothing_whoever_signed_it(clock: Clock, expires: str) -> None:
    guard = Guard(KEYS)
    # As if it had been signed: the number alone is to blame.
    signature = guard._signature("/x", _number(expires))
    assert not guard.has_link(request(f"/x?expires={quote(expires)}&signature={signature}"))


def _number(text: str) -> int:
    try:
        return int(float(text))
    except ValueError:
        return 0
