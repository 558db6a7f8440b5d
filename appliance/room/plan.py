"""What a join will send and receive: the caller's wish within what the token allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from appliance.media.constraints import MediaTrackConstraints

from .errors import NothingToJoin

Constraints: TypeAlias = bool | Mapping[str, Any] | MediaTrackConstraints
"""Whether a kind of media is wanted, or constraints on the device for it."""


@dataclass(frozen=True, slots=True)
class MediaPlan:
    """The directions of one call."""

    send_audio: bool
    send_video: bool
    receive_audio: bool
    receive_video: bool


def plan_media(
    authorization: Mapping[str, Any],
    *,
    audio: Constraints = True,
    video: Constraints = True,
    receive_audio: bool | None = None,
    receive_video: bool | None = None,
    send_audio: bool | None = None,
    send_video: bool | None = None,
) -> MediaPlan:
    """Work out the directions as the browser SDK does.

    An audience participant sends nothing.  What the authorization does not mention is
    allowed.  Raises NothingToJoin when no direction is left.
    """
    join_as = str(authorization.get("join_as") or "member")

    def direction(
        kind: str, wish: Constraints, send: bool | None, receive: bool | None
    ) -> tuple[bool, bool]:
        allowed = authorization.get(f"{kind}_allowed", "both")
        wanted = wish is not False
        can_send = join_as == "member" and allowed == "both"
        can_receive = allowed != "none"
        return (
            can_send and (wanted if send is None else send),
            can_receive and (wanted if receive is None else receive),
        )

    sends_audio, receives_audio = direction("audio", audio, send_audio, receive_audio)
    sends_video, receives_video = direction("video", video, send_video, receive_video)
    plan = MediaPlan(sends_audio, sends_video, receives_audio, receives_video)
    if not any((sends_audio, sends_video, receives_audio, receives_video)):
        raise NothingToJoin(
            f"there is nothing to send or receive: the token has join_as {join_as!r}, audio"
            f" {authorization.get('audio_allowed', 'both')!r}, video"
            f" {authorization.get('video_allowed', 'both')!r}; ask join() for something it allows"
        )
    return plan


@dataclass(frozen=True, slots=True)
class JoinWishes:
    """What was asked of `join`; it also counts after a promotion."""

    audio: Constraints = True
    video: Constraints = True
    receive_audio: bool | None = None
    receive_video: bool | None = None
    send_audio: bool | None = None
    send_video: bool | None = None

    def plan(self, authorization: Mapping[str, Any]) -> MediaPlan:
        """The directions that the authorization leaves.  Raises NothingToJoin."""
        return plan_media(
            authorization,
            audio=self.audio,
            video=self.video,
            receive_audio=self.receive_audio,
            receive_video=self.receive_video,
            send_audio=self.send_audio,
            send_video=self.send_video,
        )
