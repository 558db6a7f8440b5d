"""Room tokens: what they may say, how they are signed, and when they are accepted.

A room token is a JWT (HS256) with the header ``typ: VRT``. It is all that a client needs: the
room, the name, the permissions and the way to take part stand in it.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import jwt
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)

from appliance.hub.errors import TokenEarly, TokenExpired, TokenForged, TokenMalformed
from appliance.signaling.permissions import PERMISSIONS
from appliance.words import in_words, unknown

__all__ = [
    "META_MAX",
    "Meta",
    "Moment",
    "RoomName",
    "Seconds",
    "Title",
    "TokenOptions",
    "WholeNumber",
    "blame",
    "check_meta",
    "mint",
    "mistakes",
    "printable",
    "verify",
]

META_MAX: Final = 2000
"""Bytes of JSON in the meta of a room or a member."""

META_DEPTH: Final = 32
"""Levels of nesting in it: it comes back inside of other objects, and must fit into them."""

TOKEN_MAX: Final = 16_384
"""Characters of a token that is looked at."""

MISTAKES_MAX: Final = 20
"""Mistakes that are told of one call: rubbish has thousands, and each takes a while."""

FIELD_MAX: Final = 80
"""Characters of a field's name in a message; those that there are have fewer."""

_ALGORITHM: Final = "HS256"

#: Fields whose claim has another name: the names that clients and other tools look for.
_CLAIMS: Final = {"room_name": "r", "user_name": "u", "join_as": "ja", "permissions": "s"}


def check_meta(meta: dict[str, Any]) -> dict[str, Any]:
    """The same meta. Raises ValueError when it is longer than META_MAX as JSON, or deeper than
    META_DEPTH."""
    if _depth(meta) > META_DEPTH:
        raise ValueError(f"is nested deeper than {META_DEPTH} levels")
    try:
        size = len(json.dumps(meta, ensure_ascii=False, allow_nan=False).encode())
    except (UnicodeEncodeError, ValueError):
        raise ValueError("must be plain JSON") from None
    if size > META_MAX:
        raise ValueError(f"has {size} bytes as JSON, at most {META_MAX} are allowed")
    return meta


def _depth(value: object) -> int:
    """How many objects and lists stand inside one another, counted no further than one too deep."""
    depth, level = 0, [value]
    while level and depth <= META_DEPTH:
        containers = [one for one in level if isinstance(one, dict | list)]
        depth += bool(containers)
        level = [
            inner
            for one in containers
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return depth


def _known_permissions(names: list[str]) -> list[str]:
    for name in names:
        if name not in PERMISSIONS:
            raise ValueError(f"there is no permission {name[:80]!r}")
    return list(dict.fromkeys(names))


def _moment(value: object) -> datetime:
    """A time of ISO 8601 or in seconds of the epoch, in UTC. Raises ValueError."""
    moment: datetime | None = None
    try:
        if isinstance(value, datetime):
            moment = value
        elif isinstance(value, str):
            moment = datetime.fromisoformat(value.upper())
        elif isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            moment = datetime.fromtimestamp(value, UTC)
        if moment is not None:
            zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
            return zoned.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise ValueError("is no time; give one as 2030-01-31T12:00:00Z, or in seconds of the epoch")


def printable(text: str) -> str:
    """The same text. Raises ValueError when it would leave its line."""
    if not text.isprintable():
        raise ValueError("must be printable, on one line")
    return text


RoomName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=100)]
Meta = Annotated[dict[str, Any], AfterValidator(check_meta)]
Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "string", "format": "date"},
                {"type": "number", "minimum": 0, "maximum": 253_402_300_799},
            ]
        }
    ),
]
"""A time of ISO 8601 or in seconds of the epoch; one without a zone is UTC."""


def _whole(value: object) -> object:
    """JSON knows one kind of number: 5.0 is 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Seconds = Annotated[int, Field(ge=1, le=31_536_000), BeforeValidator(_whole)]
"""Some time, up to a year."""

WholeNumber = BeforeValidator(_whole)

Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(printable),
    Field(json_schema_extra={"format": "one-line"}),
]
"""What a person or a room is called: one printable line."""


class TokenOptions(BaseModel):
    """What a token says: the parameters of ``POST /api/video/room_tokens``.

    Times are ISO 8601 or seconds of the epoch; one without a zone is UTC.
    """

    # Strict: 1 is not true, and "5" no number.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    room_name: RoomName
    user_name: Title | None = None
    permissions: Annotated[
        list[str],
        Field(
            max_length=200,
            json_schema_extra={"items": {"type": "string", "enum": [*sorted(PERMISSIONS)]}},
        ),
        AfterValidator(_known_permissions),
    ] = Field(default_factory=list)
    join_from: Moment | None = None
    #: From then on nobody joins with this token. A client that is in the room stays.
    join_until: Moment | None = None
    #: When the member is removed from the room.
    remove_at: Moment | None = None
    #: How many seconds after it joined the member is removed.
    remove_after_seconds_elapsed: Seconds | None = None
    join_audio_muted: bool = False
    join_video_muted: bool = False
    #: Whether this token may open a room that does not exist; None leaves it to the hub.
    auto_create_room: bool | None = None
    #: Whether previews are made of the room, if this token opens it.
    enable_room_previews: bool = False
    room_display_name: Title | None = None
    end_room_session_on_leave: bool = False
    join_as: Literal["member", "audience"] = "member"
    media_allowed: Literal["all", "audio-only", "video-only"] = "all"
    #: Meta of the room, if this token opens it.
    room_meta: Meta = Field(default_factory=dict)
    #: Meta of the member.
    meta: Meta = Field(default_factory=dict)
    #: The canvas and the mix are always in step; the option is taken as it comes.
    sync_audio_video: bool | None = None

    def same_client(self, other: TokenOptions) -> bool:
        """Whether another token may go on with the session of this one."""
        mine, others = ((one.room_name, one.user_name, one.join_as) for one in (self, other))
        return mine == others


def mint(options: TokenOptions, key: bytes, *, project: str, host: str | None = None) -> str:
    """Sign a token.

    `host` becomes the header ``ch``: clients then connect there, whatever else they were told.
    """
    claims: dict[str, Any] = {"iat": int(time.time()), "sub": project}
    for name, value in options.model_dump(mode="json", exclude_defaults=True).items():
        claims[_CLAIMS.get(name, name)] = value
    # Always there: clients and other tools look for them.
    claims |= {"r": options.room_name, "ja": options.join_as, "s": options.permissions}
    if options.join_from is not None:
        claims["nbf"] = int(options.join_from.timestamp())
    if options.join_until is not None:
        claims["exp"] = int(options.join_until.timestamp())
    headers = {"typ": "VRT"}
    if host is not None:
        headers["ch"] = host
    return jwt.encode(claims, key, algorithm=_ALGORITHM, headers=headers)


def verify(token: str, key: bytes, *, joined: bool = False) -> TokenOptions:
    """What a token says, if it is ours and its time has come.

    `joined` leaves the times out: who is in a room already does not have to join.
    Raises TokenMalformed, TokenForged, TokenExpired or TokenEarly.
    """
    if not token or len(token) > TOKEN_MAX:
        raise TokenMalformed("no room token was sent; get one from /api/video/room_tokens")
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[_ALGORITHM],
            options={"verify_exp": not joined, "verify_nbf": not joined, "verify_iat": False},
        )
    except jwt.InvalidSignatureError:
        raise TokenForged("the token was signed with another key; get one from this hub") from None
    except jwt.ExpiredSignatureError:
        raise TokenExpired("the token has expired; get a new one") from None
    except jwt.ImmatureSignatureError:
        raise TokenEarly("the token is not valid yet; join later") from None
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        raise TokenMalformed("this is no room token; get one from this hub") from None
    names = {claim: name for name, claim in _CLAIMS.items()}
    fields = {names.get(claim, claim): value for claim, value in claims.items()}
    try:
        return TokenOptions.model_validate(
            {name: fields[name] for name in TokenOptions.model_fields if name in fields}
        )
    except ValidationError as error:
        raise TokenMalformed(f"the token's {blame(error, TokenOptions)}; get a new one") from None


def blame(error: ValidationError, model: type[BaseModel]) -> str:
    """One line about the first field of a model that pydantic refused."""
    return mistakes(error, model)[0][1]


def mistakes(error: ValidationError, model: type[BaseModel]) -> list[tuple[str, str]]:
    """The fields that pydantic refused of a model, at most `MISTAKES_MAX` of them, and of each one
    line that says why."""
    told = []
    for detail in error.errors(include_url=False)[:MISTAKES_MAX]:
        field = ".".join(str(part) for part in detail["loc"]) or "body"
        text = in_words(detail)
        if detail["type"] == "extra_forbidden" and len(detail["loc"]) == 1:
            text = unknown(field, sorted(model.model_fields))
        told.append((field[:FIELD_MAX], f"{field[:FIELD_MAX]}: {text}"))
    return told
