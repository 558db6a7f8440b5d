"""The seam between a room and its media: what a room asks of whoever carries them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from appliance.hub.chime import Occasion
from appliance.hub.members import Member
from appliance.hub.tap import Tappable
from appliance.signaling.layouts import Layer

if TYPE_CHECKING:
    from appliance.hub.preview import Watchable
    from appliance.hub.stage import Clip
    from appliance.media.peer import Peer

__all__ = ["RoomStage"]


class RoomStage(Tappable, Protocol):
    """The sound and the pictures of one room, as the room sees them."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the canvas in pixels."""

    @property
    def canvas(self) -> Watchable:
        """The picture itself."""

    def add(self, member: Member, peer: Peer) -> None:
        """Take a member's media from this leg on. One that it had before goes on hearing and
        seeing the room until `drop`."""

    def listen(self, member: Member, peer: Peer) -> None:
        """Let another leg of a member hear and see the room too."""

    def drop(self, member_id: str, peer: Peer) -> None:
        """Let go of a leg of a member that has another one; unknown ones are ignored."""

    def remove(self, member_id: str) -> None:
        """Let go of a member."""

    def update(self, member: Member) -> None:
        """A property of the member, or the state of its leg, has changed."""

    def arrange(self, layers: list[Layer]) -> None:
        """Show the members in these places."""

    def play(self, clip: Clip) -> None:
        """Let a clip be heard, and seen where the layers say; again, when it has changed."""

    def stop_playing(self, clip_id: str) -> None:
        """Let go of a clip; unknown ones are ignored."""

    def chime(self, occasion: Occasion) -> None:
        """Let everybody hear the tone of this occasion."""

    async def close(self) -> None:
        """End all media of the room. Safe to call twice, also while it ends."""
