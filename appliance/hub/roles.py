"""What a client becomes in a room when it is promoted or demoted there.

Its token stays what it is: when the client comes back with it, it is still the member, or the
audience, that it was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import ValidationError

from appliance.hub.errors import Refused
from appliance.hub.tokens import TokenOptions, blame

__all__ = ["Allowed", "Role", "demotion", "media_of", "promotion"]

Allowed = Literal["none", "receive", "both"]

#: The parameters of ``video.member.promote`` and ``video.member.demote``. Whoever may promote
#: decides what the new member may do: also more than it may itself.
_PROMOTION: Final = (
    "media_allowed",
    "join_audio_muted",
    "join_video_muted",
    "permissions",
    "meta",
)
_DEMOTION: Final = ("media_allowed",)


@dataclass(frozen=True, slots=True)
class Role:
    """A way to take part: fields of `TokenOptions`, with their new values."""

    join_as: Literal["member", "audience"]
    changes: Mapping[str, Any]

    def over(self, token: TokenOptions) -> TokenOptions:
        """What a token says, with these values in place of its own."""
        return token.model_copy(update={**self.changes, "join_as": self.join_as})

    @property
    def gives_meta(self) -> bool:
        """Whether the member gets a new meta."""
        return "meta" in self.changes


def promotion(params: Mapping[str, Any]) -> Role:
    """From the audience to a member. Raises Refused for values that cannot be.

    What is not given is as the client's token says; `media_allowed` is what it may send, and is
    everything if it is not given.
    """
    return Role("member", {"media_allowed": "all", **_checked(params, _PROMOTION)})


def demotion(params: Mapping[str, Any]) -> Role:
    """From a member to the audience. Raises Refused for values that cannot be.

    `media_allowed` is what it may receive: everything, if it is not given.
    """
    return Role("audience", {"media_allowed": "all", **_checked(params, _DEMOTION)})


def media_of(options: TokenOptions, *, promoted: bool = False) -> tuple[Allowed, Allowed]:
    """What a client may do with sound, and with pictures.

    A token that allows one kind allows it in both directions; who was `promoted` receives both
    kinds always, and `media_allowed` is about sending.
    """
    audience = options.join_as == "audience"
    granted: Allowed = "receive" if audience else "both"
    other: Allowed = "receive" if promoted and not audience else "none"
    return (
        other if options.media_allowed == "video-only" else granted,
        other if options.media_allowed == "audio-only" else granted,
    )


def _checked(params: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    # Clients send what was not given as null, or not at all.
    given = {name: params[name] for name in names if params.get(name) is not None}
    try:
        options = TokenOptions.model_validate({"room_name": "room", **given})
    except ValidationError as error:
        raise Refused("422", blame(error, TokenOptions)) from None
    return {name: getattr(options, name) for name in given}
