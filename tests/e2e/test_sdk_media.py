"""Pictures and sound between a guest with the official SDK and simulated appliances."""

from __future__ import annotations

import asyncio

import pytest
from room import APART, DEADLINE, FPS, HEARD, WIDTH, Appliance, Ear, Room, eventually
from sdk_client import Pixels, SdkClient

from hal.camera import scene

YOUNG_MS = 1000
"""Age of a picture, from the camera to this test, that even a busy machine sees at times."""


async def test_the_guest_sees_the_appliance_move(room: Room, guest: SdkClient) -> None:
    maple = await room.admit(guest)
    oak = room.id_of("Oak")
    first = await maple.sees_camera(oak, room.oak.number)
    assert (first.width, first.height) == (WIDTH, WIDTH * 9 // 16)

    def strip(pixels: Pixels) -> scene.SceneCode | None:
        code = scene.decode(pixels.luma, *maple.layers()[oak])
        return code if code is not None and code.camera == room.oak.number else None

    start = strip(first)
    assert start is not None
    later = await maple.sees(
        lambda p: (c := strip(p)) is not None and c.frame > start.frame + 2 * FPS
    )
    end = strip(later)
    assert end is not None
    # The camera's clock moves as its pictures do.
    passed_ms = (end.clock_ms - start.clock_ms) % scene.COUNTER_MODULO
    assert passed_ms == pytest.approx(1000 / FPS * (end.frame - start.frame), abs=900)
    # Late by what the way through encoders and the browser takes, and not by a queue.
    ages: list[int] = []

    def is_young(pixels: Pixels) -> bool:
        code = strip(pixels)
        if code is None:
            return False
        ages.append(code.age_ms())
        return ages[-1] < YOUNG_MS

    await maple.sees(is_young)
    # None from the future, which would be hours old: the clock is the same one.
    assert all(5 < age < 1000 * DEADLINE for age in ages), ages
    # Both appliances, each in its own place.
    await maple.sees_camera(room.id_of("Elm"), room.elm.number)


async def test_the_appliance_sees_the_guest_move(room: Room, guest: SdkClient) -> None:
    await room.admit(guest, camera=77)

    async def watch(one: Appliance) -> None:
        seen = await one.sees(77)

        async def more() -> bool:
            return await one.sees(77) >= seen + 3

        await eventually(f"{one.name} sees the guest move", more)

    await asyncio.gather(watch(room.oak), watch(room.elm))


async def test_each_hears_the_others_and_not_itself(room: Room, guest: SdkClient) -> None:
    maple = await room.admit(guest)
    ears: dict[str, Ear] = {"Oak": room.oak, "Elm": room.elm, "Maple": maple}
    tones = {"Oak": room.oak.tone, "Elm": room.elm.tone, "Maple": maple.tone}

    async def listen(name: str) -> None:
        own, others = tones[name], [tone for owner, tone in tones.items() if owner != name]

        # What comes late on a busy machine leaves gaps, and these are a little of each tone.
        async def hears_both_alone() -> bool:
            levels = await ears[name].hears(tones.values(), seconds=2.0)
            least = min(levels[tone] for tone in others)
            return least > HEARD and least - levels[own] >= APART

        await eventually(f"{name} hears both others and not itself", hears_both_alone)

    await asyncio.gather(*(listen(name) for name in ears))

    # And the control: one who sends nothing hears all of them.
    async def hears_all() -> bool:
        return min((await room.host.hears(tones.values())).values()) > HEARD

    await eventually("the host hears all", hears_all)
