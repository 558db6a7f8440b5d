"""The own picture over the room's, without the way through the room."""

from __future__ import annotations

from room import Place, eventually
from scenarios.client import Client
from scenarios.covering import covers
from scenarios.meeting import Meeting
from sdk_client import Pixels

OTHERWISE = "the SDK calls it localVideoOverlay, and its method setMirror"


def shows(client: Client, place: Place, picture: Pixels | None, *, mirrored: bool) -> bool:
    """Whether the own camera is seen at a place, flipped left to right or not."""
    if picture is None:
        return False
    own = place.cut(picture)
    if mirrored:
        own = own[:, ::-1]
    alone = Pixels(own.shape[1], own.shape[0], own)
    return Place(0, 0, 100, 100).camera(alone) == client.device


@covers(
    "localOverlay",
    "LocalOverlay.mirrored",
    "LocalOverlay.setMirrored",
    "option applyLocalVideoOverlay",
    only="roomlet",
    because=OTHERWISE,
)
async def test_mirrors_its_own_picture_for_itself_alone(lobby: Meeting) -> None:
    client = await lobby.joined("Birch", rootElement=True)
    me = await client.member_id()
    await eventually("the own place is known", lambda: me in client.layers())

    async def seen(mirrored: bool) -> None:
        async def so() -> bool:
            place = client.layers()[me]
            return shows(client, place, await client.screen(), mirrored=mirrored)

        await eventually(f"the own picture is {'' if mirrored else 'not '}mirrored", so)

    await seen(mirrored=False)
    overlay = client.session.local_overlay  # type: ignore[attr-defined]
    assert overlay.mirrored is False
    overlay.set_mirrored(True)
    await seen(mirrored=True)
    assert overlay.mirrored is True
    # What is sent never is.
    await lobby.witness.sees_camera(me, client.device)
    overlay.set_mirrored(False)
    await seen(mirrored=False)


@covers("localOverlay", "videoMute", only="roomlet", because=OTHERWISE)
async def test_hides_its_own_picture_while_it_is_muted(lobby: Meeting) -> None:
    client = await lobby.joined("Birch", rootElement=True)
    me = await client.member_id()
    await eventually("the own place is known", lambda: me in client.layers())
    overlay = client.session.local_overlay  # type: ignore[attr-defined]
    await eventually("the overlay is shown", lambda: overlay.visible)
    await client.call("videoMute")
    await eventually("the overlay is hidden", lambda: not overlay.visible)

    async def gone() -> bool:
        picture = await client.screen()
        place = client.layers().get(me)
        return picture is not None and (place is None or place.camera(picture) is None)

    await eventually("the own picture is gone from the screen", gone)
    await client.call("videoUnmute")
    await eventually("the overlay is shown again", lambda: overlay.visible)
