"""A member of a room as a scenario sees it, whichever client it is.

Methods, properties, options and events go by the names of the browser API, values come as plain
data.  `RoomletClient` is our `RoomSession` in the test's process, `OfficialClient` the unmodified
SDK in Chromium; `Client` is what they have in common.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from room import HEARD, Place, eventually, falls_silent, places
from sdk_client import Event, Local, Pixels, tone_levels

from hal.audio import RATE

LIGHT: dict[str, Any] = {"width": 320, "height": 180, "frameRate": 10}
"""Constraints on a camera, so that two cores carry a browser, a hub and two members."""

LOUD = -12.0
"""dBFS of every tone as it is spoken."""

NEAR = 3.0
"""dB that a level may be beside."""

MUTE_GREY = (0x2A, 0x2E, 0x37)
"""What most of a mute image is, as RGB."""


class Refused(Exception):
    """A client raised or rejected: `name` of the error, `code` as text or None, `message`."""

    def __init__(self, name: str, code: object, message: str) -> None:
        super().__init__(f"{name}: {code}: {message}")
        self.name = name
        self.code = None if code is None else str(code)
        self.message = message


def tone_of(number: int) -> float:
    """Hz of the synthetic microphone of this number, in the hal and in the browser alike."""
    return 500.0 * ((number - 1) % 16 + 2)


class Client(ABC):
    """One member, with the camera and the microphone "synthetic:`device`"."""

    #: "roomlet" or "official".
    kind: str

    def __init__(self, name: str, device: int) -> None:
        self.name = name
        self.device = device
        #: The numbers of camera and tone by which the others know it.
        self.tone = tone_of(device)
        #: All events of the API so far, in order; see also `listen`.
        self.events: list[Event] = []

    # --- what an adapter brings

    @abstractmethod
    async def create(
        self, host: str, token: str, *, local_stream: Local | None = None, **options: Any
    ) -> None:
        """Make the session without joining; `options` are the constructor's.

        `local_stream` becomes the option `localStream`; without it the session opens devices by
        itself.  `rootElement` is a bool: whether there is one.
        """

    @abstractmethod
    async def call(
        self, method: str, *args: Any, keep: str | None = None, on: str | None = None
    ) -> Any:
        """Call a method of the API and wait for its end.  Raises `Refused`.

        `keep` keeps the object that it gives under a name, `on` calls a method of that one.
        """

    @abstractmethod
    async def get(self, name: str, *, on: str | None = None) -> Any:
        """A property of the session, or of what is kept as `on`."""

    @abstractmethod
    async def length(self, name: str) -> int:
        """How many are in the property of this name, a list."""

    @abstractmethod
    async def set_local_stream(self, local: Local) -> None:
        """Call `setLocalStream` with such a stream."""

    @abstractmethod
    async def unplug(self) -> None:
        """Pull the camera and the microphone that it sends from."""

    @abstractmethod
    async def listen(self, method: str, event: str | None = None, tag: str | None = None) -> None:
        """Call `on`, `once`, `off` or `removeAllListeners` with a handler that goes by `tag`: each
        of its calls is one of `events`, with the tag as its name."""

    @abstractmethod
    async def picture(self) -> Pixels | None:
        """The newest picture of the room that has come, None before the first."""

    @abstractmethod
    async def samples(self, seconds: float) -> NDArray[np.float32]:
        """What it hears from now on: mono, 48 kHz, within -1 and +1."""

    @abstractmethod
    async def screen(self) -> Pixels | None:
        """What the root element shows now, an overlay with it; None where there is none.

        It is ours only with the option `rootElement=True`, and the SDK's but for `False`.
        """

    @abstractmethod
    async def speaker(self) -> str:
        """The id of the loudspeaker that plays; "" for the browser's usual one."""

    @abstractmethod
    async def captures(self, kind: str) -> bool:
        """Whether the device for "audio" or "video" is open."""

    @abstractmethod
    async def receives(self, kind: str) -> bool:
        """Whether "audio" or "video" was negotiated to come from the room."""

    @abstractmethod
    async def close(self) -> None:
        """Leave if it is in a room, and free everything."""

    # --- what follows from it

    async def join(self, **wishes: Any) -> None:
        """Join with the own devices, in a light format; `wishes` are those of the API's `join`."""
        own = {"deviceId": f"synthetic:{self.device}"}
        await self.call("join", {"audio": own, "video": {**own, **LIGHT}, **wishes})

    async def member_id(self) -> str:
        """The id of the own member."""
        member_id = await self.get("memberId")
        assert isinstance(member_id, str)
        return member_id

    async def told(
        self, name: str, test: Callable[[Any], Any] = lambda payload: True, after: int = 0
    ) -> Any:
        """The payload of the first such event, which may have been before.

        `after` leaves out the first so many of `events`: take `len(client.events)` before the act.
        """
        found: list[Any] = []

        def look() -> bool:
            found[:] = [
                e.payload for e in self.events[after:] if e.name == name and test(e.payload)
            ]
            return bool(found)

        try:
            await eventually(f"{self.name} is told of such a {name}", look)
        except TimeoutError as error:
            error.add_note(f"events: {[event.name for event in self.events[after:]]}")
            raise
        return found[0]

    def count(self, name: str, after: int = 0) -> int:
        """How many events of this name there were."""
        return sum(event.name == name for event in self.events[after:])

    def layout(self) -> dict[str, Any] | None:
        """The layout as it was last told."""
        told = [e.payload["layout"] for e in self.events if e.name == "layout.changed"]
        return told[-1] if told else None

    def layers(self) -> dict[str, Place]:
        """Where members are on the canvas, by member id, as it was last told."""
        layout = self.layout()
        return {} if layout is None else places(layout)

    async def hears(self, tones: Iterable[float], seconds: float = 0.5) -> dict[float, float]:
        """The level in dBFS of each tone, in what it hears from now on."""
        return tone_levels(await self.samples(seconds), RATE, tones)

    async def level(self, tone: float) -> float:
        """The level in dBFS of a tone where it is loudest within the next half second.

        On a loaded machine sound has gaps, which a longer measure takes for a lower level.
        """
        samples = await self.samples(0.5)
        return max(tone_levels(part, RATE, [tone])[tone] for part in np.split(samples, 5))

    async def hears_at(self, tone: float, level: float) -> None:
        """Wait until a tone is heard at that level in dBFS, near enough."""

        async def so() -> bool:
            return abs(await self.level(tone) - level) < NEAR

        await eventually(f"{self.name} hears {tone:g} Hz at {level:.0f} dBFS", so)

    async def hears_tone(self, tone: float, wanted: bool = True) -> None:
        """Wait until a tone is heard, or is not; then it stays away."""

        async def so() -> bool:
            return await self.level(tone) > HEARD

        if wanted:
            await eventually(f"{self.name} hears {tone:g} Hz", so)
        else:
            await falls_silent(self.samples, tone)

    async def sees(self, what: str, test: Callable[[Pixels], Any]) -> Pixels:
        """The first picture that passes; `what` describes it."""
        seen: list[Pixels] = []

        async def so() -> bool:
            picture = await self.picture()
            if picture is None or not test(picture):
                return False
            seen.append(picture)
            return True

        await eventually(f"{self.name} sees {what}", so)
        return seen[0]

    async def sees_camera(self, member_id: str, camera: int) -> None:
        """Wait until this camera's picture is where the layout has the member."""

        def there(pixels: Pixels) -> bool:
            place = self.layers().get(member_id)
            return place is not None and place.camera(pixels) == camera

        await self.sees(f"camera {camera}", there)

    async def sees_mute_image(self, member_id: str) -> None:
        """Wait until the mute image is where the layout has the member."""

        def there(pixels: Pixels) -> bool:
            place = self.layers().get(member_id)
            return place is not None and is_mute_image(place, pixels)

        await self.sees("a mute image", there)

    async def lacks_camera(self, camera: int) -> None:
        """Wait until no place of the layout shows this camera's picture."""
        await self.sees(
            f"no camera {camera}",
            lambda pixels: all(place.camera(pixels) != camera for place in self.layers().values()),
        )


def is_mute_image(place: Place, pixels: Pixels) -> bool:
    """Whether a place of a picture is mostly the one dark grey of a mute image."""
    cell = place.cut(pixels)[..., :3].reshape(-1, 3).astype(int)
    near = abs(cell - MUTE_GREY).max(axis=1) < 12
    return bool(near.mean() > 0.5)


def updated(member_id: str, **values: Any) -> Callable[[Any], bool]:
    """Whether a `member.updated` tells that these properties have changed, to these values."""

    def test(payload: Any) -> bool:
        member = payload["member"]
        return (
            member["id"] == member_id
            and set(values) <= set(member.get("updated", ()))
            and all(member[name] == value for name, value in values.items())
        )

    return test


def about(member_id: str) -> Callable[[Any], bool]:
    """Whether an event is about this member."""
    return lambda payload: bool(payload["member"]["id"] == member_id)


def room_updated(**values: Any) -> Callable[[Any], bool]:
    """Whether a `room.updated` tells that these properties have changed, to these values."""

    def test(payload: Mapping[str, Any]) -> bool:
        room = payload["room"]
        return set(values) <= set(room["updated"]) and all(
            room[name] == value for name, value in values.items()
        )

    return test
