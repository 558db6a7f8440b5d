"""Room tokens from a web service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.provisioning import Config, ConfigError
from appliance.service.entry import Entry
from appliance.service.errors import EntranceClosed
from appliance.service.token_endpoint import endpoint_token
from appliance.signaling.errors import Disconnected, ProtocolError
from tests.appliance.provisioning.static_server import Authority

SECRET = "canary-of-a-secret"


@dataclass
class Endpoint:
    """Answers every request with the same, and keeps what it was asked."""

    ca_file: Path
    url: str = ""
    answer: bytes = b""
    asked: list[tuple[dict[str, str], dict[str, str]]] = field(default_factory=list)
    """Headers and JSON of each request; under "" the first line."""

    def answers(self, status: int, body: bytes, more: str = "") -> None:
        head = f"HTTP/1.1 {status} So\r\nContent-Length: {len(body)}\r\n{more}\r\n"
        self.answer = head.encode() + body

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.rstrip().split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.asked.append(({**headers, "": first}, json.loads(body)))
        writer.write(self.answer)
        await writer.drain()
        writer.close()

    def config(self, tmp_path: Path, **room: object) -> Config:
        (tmp_path / "secret").write_text(f"{SECRET}\n")
        (tmp_path / "secret").chmod(0o600)
        given = {
            "host": "ws://hub",
            "token_url": self.url,
            "token_ca_file": self.ca_file,
            "token_secret_file": tmp_path / "secret",
            **room,
        }
        return Config.model_validate({"room": given})


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def endpoint(authority: Authority) -> AsyncIterator[Endpoint]:
    endpoint = Endpoint(authority.file)
    server = await asyncio.start_server(
        endpoint.serve, "127.0.0.1", 0, ssl=authority.context(), ssl_shutdown_timeout=1
    )
    async with server:
        endpoint.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/token?a=b"
        endpoint.answers(200, b'{"token": "abc.def"}')
        yield endpoint


async def test_the_way_into_a_room(endpoint: Endpoint, tmp_path: Path) -> None:
    headers = {"X-Site": "north"}
    config = endpoint.config(tmp_path, name="demo", user_name="Oak", token_headers=headers)
    entry = Entry(config)
    assert await entry.token() == "abc.def"
    assert entry.room == "demo"
    ((asked, wanted),) = endpoint.asked
    assert asked[""] == "POST /token?a=b HTTP/1.1"
    assert wanted == {"user_name": "Oak", "room_name": "demo"}
    assert asked["authorization"] == f"Bearer {SECRET}"
    assert asked["x-site"] == "north"
    # It is asked anew each time.
    endpoint.answers(201, b'{"token": "ghi.jkl"}')
    assert await entry.token() == "ghi.jkl"


async def test_the_secret_may_be_of_another_scheme_or_none(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    config = endpoint.config(tmp_path)
    (tmp_path / "secret").write_text("Basic cDp4\n")
    await endpoint_token(config)
    await endpoint_token(endpoint.config(tmp_path, token_secret_file=None))
    (basic, wanted), (none, _) = endpoint.asked
    assert basic["authorization"] == "Basic cDp4"
    assert wanted == {"user_name": "Roomlet"}
    assert "authorization" not in none


async def test_a_secret_in_a_credential(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = endpoint.config(tmp_path, token_secret_file=None, token_secret_credential="room")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigError, match="LoadCredential=room:FILE"):
        config.read_token()
    (tmp_path / "room").write_text("xyz")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    await endpoint_token(config)
    assert endpoint.asked[0][0]["authorization"] == "Bearer xyz"


@pytest.mark.parametrize(
    ("status", "body", "more", "kind", "says"),
    [
        (401, b"{}", "", EntranceClosed, "answers 401"),
        (403, b"canary-of-a-token", "", EntranceClosed, "check the secret"),
        (429, b"{}", "", Disconnected, "answers 429"),
        (503, b"{}", "", Disconnected, "answers 503"),
        (302, b"{}", "Location: https://127.0.0.1:1/\r\n", ProtocolError, "302"),
        (200, b"canary-of-a-token", "", ProtocolError, "no room token"),
        (200, b'{"token": 7}', "", ProtocolError, "no room token"),
        (200, b'["token"]', "", ProtocolError, "no room token"),
        (200, b'{"token": "canary-of-a-token x"}', "", ProtocolError, "no room token"),
        (200, b'{"token": "' + b"x" * 70_000 + b'"}', "", ProtocolError, "no room token"),
        (200, b"[" * 60_000, "", ProtocolError, "no room token"),
    ],
)
async def test_what_gives_no_token_is_told_in_one_line_without_secrets(
    endpoint: Endpoint,
    tmp_path: Path,
    status: int,
    body: bytes,
    more: str,
    kind: type[Exception],
    says: str,
) -> None:
    endpoint.answers(status, body, more)
    with pytest.raises(kind, match=says) as caught:
        await endpoint_token(endpoint.config(tmp_path))
    text = str(caught.value)
    assert "canary" not in text
    assert "\n" not in text
    assert len(endpoint.asked) == 1


async def test_what_speaks_no_http(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.answer = b"canary-of-a-token\r\n\r\n"
    with pytest.raises(Disconnected, match="speaks no HTTP") as caught:
        await endpoint_token(endpoint.config(tmp_path))
    assert "canary" not in str(caught.value)


async def test_only_a_certificate_that_fits_is_believed(endpoint: Endpoint, tmp_path: Path) -> None:
    for ca_file in (None, tmp_path / "none.pem"):
        with pytest.raises(Disconnected, match=r"https://127\.0\.0\.1:\d+ for a room token"):
            await endpoint_token(endpoint.config(tmp_path, token_ca_file=ca_file))
    assert not endpoint.asked


async def test_nobody_there(endpoint: Endpoint, tmp_path: Path, unused_tcp_port: int) -> None:
    config = endpoint.config(tmp_path, token_url=f"https://u:canary@127.0.0.1:{unused_tcp_port}/")
    with pytest.raises(Disconnected, match=r"check room\.token_url") as caught:
        await endpoint_token(config)
    assert "canary" not in str(caught.value)


def test_a_secret_that_is_missing_is_a_mistake_at_once(tmp_path: Path) -> None:
    config = Config.model_validate(
        {"room": {"token_url": "https://x/", "token_secret_file": tmp_path / "none"}}
    )
    with pytest.raises(ConfigError, match="put the secret there"):
        config.read_token()


@pytest.mark.parametrize(
    "room",
    [
        {"token_url": "http://x/"},
        {"token_url": "https://x:99999/"},
        {"token_url": "https:///"},
        {"token_url": "https://x/", "token": "t"},
        {"token_url": "https://x/", "token_headers": {"A": "b\r\nC: d"}},
        {"token_url": "https://x/", "token_headers": {"A b": "c"}},
        {"token_url": "https://x/", "token_secret_file": "a", "token_secret_credential": "b"},
    ],
)
def test_what_cannot_be(room: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="room"):
        Config.model_validate({"room": room})
