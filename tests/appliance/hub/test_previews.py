"""A room's preview as clients get it: by an address that only they know."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import av
import httpx
import pytest

from appliance.hub.previews import Previews
from appliance.hub.server import HubServer
from appliance.signaling import verto
from tests.appliance.hub.caller import DEADLINE, GREEN, RED, Join
from tests.appliance.hub.conftest import MakeHub, TestHub
from tests.appliance.hub.hub_client import Client, make_room, until


async def get(url: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.get(url, headers=headers)


async def film_at(url: str) -> bytes:
    """The preview, as soon as there is one."""
    answers: list[httpx.Response] = []

    async def there() -> bool:
        answers.append(await get(url))
        return answers[-1].status_code == 200

    async with asyncio.timeout(DEADLINE):
        while not await there():
            assert answers[-1].status_code == 404
    return answers[-1].content


async def preview_of(client: Client) -> str:
    about = await client.event("video.room.subscribed")
    url: Any = about["room_session"]["preview_url"]
    assert about["room"]["preview_url"] == url
    assert isinstance(url, str)
    return url


async def test_a_preview_is_an_mp4_at_an_address_of_its_own(hub: TestHub) -> None:
    await make_room(hub, enable_room_previews=True)
    async with await Client.join(hub) as one, await Client.join(hub, user_name="Elm") as other:
        url = await preview_of(one)
        assert url.startswith(f"{hub.url}/previews/")
        assert await preview_of(other) == url
        # 24 random bytes.
        assert len(url.rpartition("/")[2]) == 32 + len(".mp4")
        film = await film_at(url)
        with av.open(io.BytesIO(film), "r") as container:
            frame = next(container.decode(video=0))
        assert (frame.width, frame.height) == (64, 36)
        answer = await get(url)
        assert answer.headers["content-type"] == "video/mp4"
        assert answer.headers["cache-control"] == "no-store"


async def test_one_who_comes_in_while_the_last_one_goes_finds_the_same(hub: TestHub) -> None:
    await make_room(hub, enable_room_previews=True)
    async with await Client.join(hub, user_name="Elm") as elm, await Client.connect(hub) as oak:
        url = await preview_of(elm)
        await film_at(url)
        await oak.linger()
        await elm.leave()
        await oak.invite()
        assert await preview_of(oak) == url
        await oak.leave()
        await until(lambda: hub.stages[0].closed)
        # It ends with the session: no other one is left behind.
        assert (await get(url)).status_code == 404
        assert hub.stages[0].canvas.watcher is None


@pytest.mark.parametrize(
    ("asked", "status", "start", "stop"),
    [
        ("bytes=0-1", 206, 0, 2),
        ("bytes=5-", 206, 5, None),
        ("bytes=-7", 206, -7, None),
        ("bytes=3-999999", 206, 3, None),
        ("bytes=-", 200, 0, None),
        ("bytes=9-3", 200, 0, None),
        ("bytes=999999-", 200, 0, None),
        ("lines=1-2", 200, 0, None),
        ("bytes=0-1,4-5", 200, 0, None),
    ],
)
async def test_players_may_ask_for_a_part(
    hub: TestHub, asked: str, status: int, start: int, stop: int | None
) -> None:
    await make_room(hub, enable_room_previews=True)
    async with await Client.join(hub) as client:
        url = await preview_of(client)
        film = await film_at(url)
        answer = await get(url, Range=asked)
        assert answer.status_code == status
        assert answer.content == film[start:stop]
        if status == 206:
            first, _, rest = answer.headers["content-range"].removeprefix("bytes ").partition("-")
            assert rest == f"{int(first) + len(answer.content) - 1}/{len(film)}"


async def test_the_address_is_the_one_that_the_client_has_come_by(hub: TestHub) -> None:
    await make_room(hub, enable_room_previews=True)
    port = hub.url.rpartition(":")[2]
    hub._url = f"http://localhost:{port}"
    async with await Client.join(hub) as client:
        assert (await preview_of(client)).startswith(f"http://localhost:{port}/previews/")


async def test_a_token_can_ask_for_it(hub: TestHub) -> None:
    async with await Client.join(hub, enable_room_previews=True) as client:
        assert await film_at(await preview_of(client))


async def test_without_the_option_there_is_none(hub: TestHub) -> None:
    async with await Client.join(hub) as client:
        about = await client.event("video.room.subscribed")
        assert "preview_url" not in about["room_session"]
        assert hub.stages[0].canvas.watcher is None


async def test_it_ends_with_the_session_and_the_next_has_another(hub: TestHub) -> None:
    await make_room(hub, enable_room_previews=True)
    folder = hub.config.data / "previews"
    urls = []
    for _ in range(2):
        async with await Client.join(hub) as client:
            urls.append(await preview_of(client))
            await film_at(urls[-1])
            await client.verto(verto.bye(client.call_id))
            await until(lambda: not list(folder.iterdir()))
            assert (await get(urls[-1])).status_code == 404
    assert urls[0] != urls[1]


@pytest.mark.parametrize("name", ["nothing", "..%2Fkeys", "%2e%2e/keys", "x" * 5000])
async def test_other_names_lead_nowhere(hub: TestHub, name: str) -> None:
    assert (await get(f"{hub.url}/previews/{name}.mp4")).status_code == 404


async def test_what_a_crash_has_left_is_removed(make_hub: MakeHub, tmp_path: Any) -> None:
    folder = tmp_path / "hub" / "previews"
    folder.mkdir(parents=True)
    for name in ("old.mp4", "old.mp4.new"):
        (folder / name).write_text("old")
    await make_hub()
    assert not list(folder.iterdir())


async def test_a_folder_that_cannot_be_made_costs_no_more_than_the_preview(
    make_hub: MakeHub, tmp_path: Any
) -> None:
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "previews").write_text("no folder")
    hub = await make_hub()
    await make_room(hub, enable_room_previews=True)
    async with await Client.join(hub) as client:
        about = await client.event("video.room.subscribed")
        assert "preview_url" not in about["room_session"]


def test_there_may_be_no_folder_yet(tmp_path: Any) -> None:
    Previews(None, tmp_path / "previews").clear()  # type: ignore[arg-type]


async def test_the_film_shows_the_room(live_hub: HubServer, join: Join) -> None:
    await make_room(live_hub, enable_room_previews=True)
    one, other = await join("A", tint=RED), await join("B", tint=GREEN)
    await other.sees(one.member_id, RED)
    await other.sees(other.member_id, GREEN)
    url = await preview_of(other)
    seen: list[tuple[float, float]] = []

    async def shows_both() -> bool:
        with av.open(io.BytesIO(await film_at(url)), "r") as container:
            *_, last = container.decode(video=0)
        red = last.to_ndarray(format="rgb24")
        height, width, _ = red.shape
        left, right = red[height // 2, width // 10], red[height // 2, width * 9 // 10]
        seen.append((float(left[0]) - float(left[1]), float(right[1]) - float(right[0])))
        # Red on the left, green on the right.
        return min(seen[-1]) > 60

    async with asyncio.timeout(DEADLINE):
        while not await shows_both():
            pass
