"""The hub's HTTP calls, by a real HTTP client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest

from appliance.hub.rest import GUEST_SCOPES
from tests.appliance.hub.conftest import MakeHub, TestHub
from tests.appliance.hub.hub_client import RECEIVE, Client

TOKENS = "/api/video/room_tokens"


def http(hub: TestHub, **options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=hub.url, **options)


def with_keys(hub: TestHub) -> httpx.AsyncClient:
    return http(hub, auth=(hub.keys.project, hub.keys.api_token))


async def test_a_token_lets_its_holder_in(hub: TestHub) -> None:
    body = {"room_name": "demo", "user_name": "Oak", "permissions": ["room.lock"]}
    async with with_keys(hub) as client:
        answer = await client.post(TOKENS, json=body)
    assert answer.status_code == 200
    assert answer.json().keys() == {"token"}
    assert answer.headers["cache-control"] == "no-store"
    token = answer.json()["token"]
    assert jwt.get_unverified_header(token)["typ"] == "VRT"
    async with await Client.connect(hub, token) as member:
        await member.invite()
        assert (await member.rpc("video.lock"))["code"] == "200"
        assert (await member.rpc("video.unlock"))["code"] == "403"


async def test_every_option_is_kept(hub: TestHub) -> None:
    until = datetime.now(UTC) + timedelta(hours=1)
    body = {
        "room_name": "demo",
        "join_until": until.isoformat(),
        "join_from": 1_000_000_000,
        "remove_at": int(until.timestamp()),
        "remove_after_seconds_elapsed": 5,
        "join_audio_muted": True,
        "join_video_muted": True,
        "auto_create_room": True,
        "enable_room_previews": False,
        "room_display_name": "Demo",
        "end_room_session_on_leave": True,
        "join_as": "audience",
        "media_allowed": "audio-only",
        "room_meta": {"a": 1},
        "meta": {"b": 2},
        "sync_audio_video": True,
    }
    async with with_keys(hub) as client:
        answer = await client.post(TOKENS, json=body)
    claims = jwt.decode(answer.json()["token"], hub.keys.signing_key, algorithms=["HS256"])
    assert (claims["exp"], claims["nbf"]) == (int(until.timestamp()), 1_000_000_000)
    assert (claims["r"], claims["ja"], claims["s"]) == ("demo", "audience", [])
    for name in ("meta", "room_meta", "media_allowed", "join_audio_muted", "room_display_name"):
        assert claims[name] == body[name]


@pytest.mark.parametrize(
    "auth",
    [
        None,
        ("", ""),
        ("project", "wrong"),
        ("wrong", "token"),
        ("project", ""),
        ("pröject", "tökén"),
    ],
)
async def test_without_the_api_token_there_is_none(hub: TestHub, auth: Any) -> None:
    if auth is not None:
        names = {"project": hub.keys.project, "token": hub.keys.api_token}
        auth = tuple(names.get(part, part) for part in auth)
    async with http(hub, auth=auth) as client:
        answer = await client.post(TOKENS, json={"room_name": "demo"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")
    assert "token" not in answer.json()


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Bearer x", "Basic eA==", "x" * 5000])
async def test_broken_authorization_headers(hub: TestHub, header: str) -> None:
    async with http(hub) as client:
        answer = await client.post(TOKENS, headers={"authorization": header})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("change", "attribute"),
    [
        ({"room_name": None}, "room_name"),
        ({"room_name": "de mo"}, "room_name"),
        ({"room_name": ""}, "room_name"),
        ({"permissions": ["room.self.dance"]}, "permissions"),
        ({"permissions": "room.lock"}, "permissions"),
        ({"join_as": "ghost"}, "join_as"),
        ({"media_allowed": "smell"}, "media_allowed"),
        ({"join_until": "tomorrow"}, "join_until"),
        ({"remove_after_seconds_elapsed": 0}, "remove_after_seconds_elapsed"),
        ({"meta": {"x": "y" * 2000}}, "meta"),
        ({"meta": []}, "meta"),
        ({"enable_room_previews": 1}, "enable_room_previews"),
        ({"user_name": " "}, "user_name"),
        ({"usre_name": "Oak"}, "usre_name"),
    ],
)
async def test_what_is_wrong_is_named(hub: TestHub, change: dict[str, Any], attribute: str) -> None:
    body = {key: v for key, v in {"room_name": "demo", **change}.items() if v is not None}
    async with with_keys(hub) as client:
        answer = await client.post(TOKENS, json=body)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["attribute"] == attribute
    assert attribute in error["message"]
    assert "\n" not in error["message"]


async def test_a_guest_comes_into_an_open_room(make_hub: MakeHub) -> None:
    hub = await make_hub(open_rooms=("demo",), auto_create_rooms=False)
    async with http(hub) as client:
        answer = await client.post("/guest/demo", json={"name": " Elm ", "audience": False})
        assert answer.json().keys() == {"token", "room"}
        assert answer.json()["room"] == "demo"
        async with await Client.connect(hub, answer.json()["token"]) as guest:
            authorization = guest.connected["authorization"]
            assert authorization["user_name"] == "Elm"
            assert authorization["room"]["scopes"] == list(GUEST_SCOPES)
            await guest.invite()
        answer = await client.post("/guest/demo", json={"audience": True})
        async with await Client.connect(hub, answer.json()["token"]) as watcher:
            authorization = watcher.connected["authorization"]
            assert authorization["join_as"] == "audience"
            assert authorization["room"]["scopes"] == []
            await watcher.invite(RECEIVE)


async def test_other_rooms_are_closed_to_guests(make_hub: MakeHub) -> None:
    hub = await make_hub(open_rooms=("demo",))
    async with http(hub) as client:
        for room in ("other", "demo2", "DEMO"):
            answer = await client.post(f"/guest/{room}", json={})
            assert answer.status_code == 403, room
        answer = await client.post("/guest/other", json={})
        assert answer.json()["errors"][0]["code"] == "room_not_open"
        assert "not open" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "SELF"}, 200),
        ({"origin": "SELF", "sec-fetch-site": "same-origin"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
    ],
)
async def test_guests_come_by_the_hub_s_own_page(
    make_hub: MakeHub, headers: dict[str, str], status: int
) -> None:
    hub = await make_hub(open_rooms=("demo",))
    headers = {name: value.replace("SELF", hub.url) for name, value in headers.items()}
    async with http(hub) as client:
        answer = await client.post("/guest/demo", json={}, headers=headers)
    assert answer.status_code == status


@pytest.mark.parametrize(
    "body", [{"name": "x" * 101}, {"name": "a\nb"}, {"name": 7}, {"audience": "yes"}, {"x": 1}]
)
async def test_guests_with_wrong_words(make_hub: MakeHub, body: dict[str, Any]) -> None:
    hub = await make_hub(open_rooms=("demo",))
    async with http(hub) as client:
        answer = await client.post("/guest/demo", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["attribute"] == next(iter(body))
