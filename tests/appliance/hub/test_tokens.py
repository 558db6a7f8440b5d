"""Room tokens: what goes in comes out, and nothing else is accepted."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from appliance.hub.errors import (
    TokenEarly,
    TokenError,
    TokenExpired,
    TokenForged,
    TokenMalformed,
)
from appliance.hub.tokens import (
    META_DEPTH,
    META_MAX,
    TokenOptions,
    blame,
    check_meta,
    mint,
    mistakes,
    verify,
)
from appliance.signaling import token as client_side

KEY = b"k" * 32


def make(key: bytes = KEY, host: str | None = None, **options: Any) -> str:
    return mint(TokenOptions(room_name="demo", **options), key, project="p", host=host)


def test_what_clients_read_of_a_token() -> None:
    info = client_side.inspect(make(host="ws://127.0.0.1:8080"))
    assert (info.type, info.host, info.room) == ("VRT", "ws://127.0.0.1:8080", "demo")
    assert client_side.inspect(make()).host is None


@given(
    st.builds(
        dict,
        user_name=st.none() | st.text("abcÄ€ ", min_size=1).map(lambda s: f"x{s}x"),
        permissions=st.lists(st.sampled_from(["room.lock", "room.self.deaf"]), unique=True),
        join_as=st.sampled_from(["member", "audience"]),
        media_allowed=st.sampled_from(["all", "audio-only", "video-only"]),
        join_audio_muted=st.booleans(),
        auto_create_room=st.none() | st.booleans(),
        remove_after_seconds_elapsed=st.none() | st.integers(1, 1000),
        remove_at=st.none() | st.just(datetime(2030, 1, 1, tzinfo=UTC)),
        meta=st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3),
    )
)
def test_a_token_says_what_was_asked_for(options: dict[str, Any]) -> None:
    wanted = TokenOptions(room_name="demo", **options)
    assert verify(mint(wanted, KEY, project="p"), KEY) == wanted


def test_times() -> None:
    now = datetime.now(UTC)
    old = make(join_until=now - timedelta(seconds=2))
    with pytest.raises(TokenExpired):
        verify(old, KEY)
    early = make(join_from=now + timedelta(minutes=1))
    with pytest.raises(TokenEarly):
        verify(early, KEY)
    # Who is in the room already does not have to join.
    assert verify(old, KEY, joined=True).room_name == "demo"
    assert verify(early, KEY, joined=True).room_name == "demo"


@pytest.mark.parametrize("moment", ["2030-01-01T00:00:00Z", "2030-01-01T00:00:00", 1893456000])
def test_times_in_words_and_numbers(moment: object) -> None:
    options = TokenOptions.model_validate({"room_name": "demo", "join_until": moment})
    assert options.join_until == datetime(2030, 1, 1, tzinfo=UTC)


def test_tokens_of_others_are_forged() -> None:
    with pytest.raises(TokenForged):
        verify(make(b"x" * 32), KEY)
    header, payload, signature = make().split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    claims["s"] = ["room.member.remove"]
    changed = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    with pytest.raises(TokenForged):
        verify(f"{header}.{changed}.{signature}", KEY)


def test_tokens_without_a_signature_are_none() -> None:
    unsigned = jwt.encode({"r": "demo"}, None, algorithm="none")
    with pytest.raises(TokenError):
        verify(unsigned, KEY)


@pytest.mark.parametrize(
    "claims", [{}, {"r": 7}, {"r": "de mo"}, {"r": "demo", "s": ["x"]}, {"r": "demo", "ja": "x"}]
)
def test_signed_nonsense_is_malformed(claims: dict[str, Any]) -> None:
    with pytest.raises(TokenMalformed) as caught:
        verify(jwt.encode(claims, KEY), KEY)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=60) | st.text("abcABC_-.=", max_size=60))
def test_no_text_is_a_token(text: str) -> None:
    with pytest.raises(TokenError):
        verify(text, KEY)


def test_endless_tokens_are_not_looked_at() -> None:
    with pytest.raises(TokenMalformed):
        verify("a" * 10_000_000, KEY)


def test_claims_of_other_tools_do_no_harm() -> None:
    claims = {"r": "demo", "ja": "member", "s": [], "jti": "x", "aud": "y", "x": {}, "iat": 9**12}
    del claims["aud"]
    assert verify(jwt.encode(claims, KEY), KEY).room_name == "demo"


def test_the_message_names_the_field() -> None:
    with pytest.raises(ValidationError) as caught:
        TokenOptions(room_name="demo", permissions=["room.dance"])
    assert mistakes(caught.value, TokenOptions) == [
        ("permissions", "permissions: there is no permission 'room.dance'")
    ]
    assert blame(caught.value, TokenOptions) == "permissions: there is no permission 'room.dance'"


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31m", "\u202e", "\u2028"])
def test_names_stay_on_one_line(name: str) -> None:
    with pytest.raises(ValidationError, match="printable"):
        TokenOptions(room_name="demo", user_name=f"x{name}x")


def test_meta_is_measured_in_bytes_of_json() -> None:
    room = META_MAX - len('{"a": ""}')
    assert check_meta({"a": "x" * room})
    with pytest.raises(ValueError, match="2001 bytes"):
        check_meta({"a": "x" * (room + 1)})
    with pytest.raises(ValueError, match="2000 are allowed"):
        check_meta({"a": "ä" * room})
    deep: dict[str, Any] = {}
    for _ in range(META_DEPTH - 1):
        deep = {"a": deep}
    assert check_meta(deep)
    with pytest.raises(ValueError, match="nested deeper"):
        check_meta({"a": deep})
    with pytest.raises(ValueError, match="nested deeper"):
        check_meta({"a": json.loads("[" * 900 + "]" * 900)})
    with pytest.raises(ValueError, match="plain JSON"):
        check_meta({"a": float("nan")})
