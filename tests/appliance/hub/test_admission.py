"""Who may come in, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.hub.admission import Rules, may_join, may_open, opened, seconds_to_stay
from appliance.hub.errors import Refused
from appliance.hub.room_options import RoomOptions
from appliance.hub.tokens import TokenOptions


def token(**options: Any) -> TokenOptions:
    return TokenOptions(room_name="demo", **options)


def rules(**settings: Any) -> Rules:
    return Rules(**{"max_members": 2, **settings})


def join(the_rules: Rules, **circumstances: Any) -> None:
    usual = {"join_as": "member", "people": 0, "locked": False, "now": 100.0}
    may_join(the_rules, **{**usual, **circumstances})


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("hub", [False, True])
@pytest.mark.parametrize("given_by_token", [None, False, True])
def test_rooms_come_into_being_only_where_that_is_allowed(
    exists: bool, hub: bool, given_by_token: bool | None
) -> None:
    allowed = exists or (hub if given_by_token is None else given_by_token)
    wanted = token(auto_create_room=given_by_token)
    if allowed:
        may_open(wanted, exists=exists, auto_create=hub)
    else:
        with pytest.raises(Refused, match="There is no room demo") as caught:
            may_open(wanted, exists=exists, auto_create=hub)
        assert caught.value.code == "404"


def test_an_ordinary_room_lets_in() -> None:
    join(rules())
    join(rules(), people=1)
    join(rules(join_from=100.0, join_until=101.0, remove_at=101.0))


@pytest.mark.parametrize(
    ("settings", "circumstances", "why"),
    [
        ({}, {"locked": True}, "locked"),
        ({}, {"locked": True, "join_as": "audience"}, "locked"),
        ({}, {"people": 2}, "full: it takes 2 members"),
        ({"max_members": 1}, {"people": 1}, "full"),
        ({"join_from": 100.1}, {}, "not let in before 1970-01-01T00:01:40Z"),
        ({"join_until": 100.0}, {}, "let nobody in since 1970-01-01T00:01:40Z"),
        ({"remove_at": 100.0}, {}, "let nobody in since"),
        ({"join_until": 99.0}, {"join_as": "audience"}, "let nobody in since"),
    ],
)
def test_refusals(settings: dict[str, Any], circumstances: dict[str, Any], why: str) -> None:
    with pytest.raises(Refused, match=why) as caught:
        join(rules(**settings), **circumstances)
    assert caught.value.code == "403"
    assert "\n" not in caught.value.message


def test_the_audience_takes_no_place() -> None:
    join(rules(), people=2, join_as="audience")


def stay(the_rules: Rules, wanted: TokenOptions, joined_at: float, now: float) -> float | None:
    return seconds_to_stay(the_rules, wanted, joined_at=joined_at, now=now)


def test_for_how_long() -> None:
    assert stay(rules(), token(), 100.0, 100.0) is None
    assert stay(rules(remove_after_seconds_elapsed=10), token(), 100.0, 100.0) == 10.0
    assert stay(rules(remove_after_seconds_elapsed=10), token(), 100.0, 104.0) == 6.0
    assert stay(rules(), token(remove_after_seconds_elapsed=7), 100.0, 100.0) == 7.0
    assert stay(rules(remove_at=150.0), token(), 100.0, 120.0) == 30.0
    end = datetime.fromtimestamp(160, UTC)
    assert stay(rules(), token(remove_at=end), 100.0, 120.0) == 40.0
    assert stay(rules(remove_at=90.0), token(), 100.0, 120.0) == 0.0


@given(st.lists(st.none() | st.integers(1, 1000), min_size=4, max_size=4), st.floats(0, 1000))
def test_the_shortest_limit_counts(limits: list[int | None], waited: float) -> None:
    room_after, token_after, room_at, token_at = limits
    the_rules = rules(remove_after_seconds_elapsed=room_after, remove_at=room_at)
    moment = None if token_at is None else datetime.fromtimestamp(token_at, UTC)
    wanted = token(remove_after_seconds_elapsed=token_after, remove_at=moment)
    left = stay(the_rules, wanted, 0.0, waited)
    ends = [limit for limit in limits if limit is not None]
    assert left == (max(min(ends) - waited, 0.0) if ends else None)


def test_rules_of_a_room() -> None:
    options = RoomOptions(
        name="demo",
        max_members=7,
        join_from=datetime.fromtimestamp(5, UTC),
        join_until=datetime.fromtimestamp(6, UTC),
        remove_at=datetime.fromtimestamp(7, UTC),
        remove_after_seconds_elapsed=8,
    )
    assert Rules.of(options, max_members=50) == Rules(7, 5.0, 6.0, 7.0, 8)
    assert Rules.of(RoomOptions(name="demo"), max_members=50) == Rules(50)


def test_a_room_that_lasts_goes_before_the_token() -> None:
    words = token(
        room_display_name="Token",
        room_meta={"by": "token"},
        enable_room_previews=True,
        sync_audio_video=True,
    )
    stored = RoomOptions(
        name="demo",
        display_name="Stored",
        meta={"by": "store"},
        sync_audio_video=False,
        layout="2x2",
    )
    room = opened(stored, words)
    assert (room.display_name, room.meta, room.layout) == ("Stored", {"by": "store"}, "2x2")
    assert (room.enable_room_previews, room.sync_audio_video) == (True, False)
    room = opened(RoomOptions(name="demo"), words)
    assert (room.display_name, room.meta) == ("Token", {"by": "token"})
    room = opened(None, words)
    assert (room.name, room.display_name, room.sync_audio_video) == ("demo", "Token", True)
