"""Who may come into a room, and for how long: the rules as pure functions.

A refusal is the answer to an invite: its code and its reason are what the client's join fails with.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from appliance.hub.errors import Refused
from appliance.hub.room_options import RoomOptions
from appliance.hub.tokens import TokenOptions

__all__ = ["Rules", "full", "may_join", "may_open", "no_room", "opened", "seconds_to_stay"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a room demands of those who come. Times in seconds of the epoch."""

    max_members: int
    join_from: float | None = None
    join_until: float | None = None
    remove_at: float | None = None
    remove_after_seconds_elapsed: int | None = None

    @classmethod
    def of(cls, options: RoomOptions, *, max_members: int) -> Rules:
        """The rules of a room; `max_members` where it sets none of its own."""
        return cls(
            options.max_members or max_members,
            _seconds(options.join_from),
            _seconds(options.join_until),
            _seconds(options.remove_at),
            options.remove_after_seconds_elapsed,
        )


def may_open(token: TokenOptions, *, exists: bool, auto_create: bool) -> None:
    """Whether a token gets into a room in which nobody is yet.

    A room that does not exist comes into being only where the token allows it, or where it does
    not tell and the hub's own `auto_create` does. Raises Refused.
    """
    create = auto_create if token.auto_create_room is None else token.auto_create_room
    if not exists and not create:
        raise Refused("404", no_room(token.room_name))


def may_join(
    rules: Rules,
    *,
    join_as: Literal["member", "audience"],
    people: int,
    locked: bool,
    now: float,
) -> None:
    """Whether somebody new gets in where `people` members are. Raises Refused."""
    if locked:
        raise Refused("403", "The room is locked; ask its host to unlock it")
    if rules.join_from is not None and now < rules.join_from:
        begin = _text(rules.join_from)
        raise Refused("403", f"The room does not let in before {begin}; wait until then")
    for end in (rules.join_until, rules.remove_at):
        if end is not None and now >= end:
            since = f"The room has let nobody in since {_text(end)}"
            raise Refused("403", f"{since}; ask its host for other times")
    if join_as == "member" and people >= rules.max_members:
        raise full(rules.max_members)


def no_room(name: str) -> str:
    """That a room does not exist, and what to do."""
    return f"There is no room {name}; make it, or take a token with auto_create_room"


def full(limit: int) -> Refused:
    """The refusal of a room that has as many members as it takes."""
    return Refused("403", f"The room is full: it takes {limit} members; wait until somebody leaves")


def seconds_to_stay(
    rules: Rules, token: TokenOptions, *, joined_at: float, now: float
) -> float | None:
    """How long somebody may stay from now on, by the room and by the token; None for ever."""
    after = (rules.remove_after_seconds_elapsed, token.remove_after_seconds_elapsed)
    ends = [
        *(joined_at + seconds for seconds in after if seconds is not None),
        *(end for end in (rules.remove_at, _seconds(token.remove_at)) if end is not None),
    ]
    return max(min(ends) - now, 0.0) if ends else None


def opened(stored: RoomOptions | None, token: TokenOptions) -> RoomOptions:
    """The room that a token opens: the one that lasts, if there is one of its name, with what
    the token says in the places where that one says nothing."""
    if stored is None:
        stored = RoomOptions(name=token.room_name)
    sync = token.sync_audio_video if stored.sync_audio_video is None else stored.sync_audio_video
    return stored.model_copy(
        update={
            "display_name": stored.display_name or token.room_display_name,
            "enable_room_previews": stored.enable_room_previews or token.enable_room_previews,
            "sync_audio_video": sync,
            "meta": stored.meta or token.room_meta,
        }
    )


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _text(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
