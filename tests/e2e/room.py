"""A meeting for guests who come with the SDK: a hub, two appliances, and a host.

Hub and appliances are processes of their own, the appliances the very command that runs on a
device; only their hardware is simulated.  The host is a `RoomSession` in the test's process, with
every permission and without a camera.  What somebody hears is read from what their loudspeaker
plays: an appliance's writes to a file.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import select
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from sdk_client import DEADLINE, Local, Pixels, SdkClient, tone_levels

from appliance.hub import keys
from appliance.hub.config import HubConfig
from appliance.hub.tokens import TokenOptions, mint
from appliance.media.playout import SpeakerPlayout
from appliance.room import Payload, RoomSession
from appliance.service.children import PARENT
from appliance.service.panel_client import PanelClient
from appliance.signaling.permissions import PERMISSIONS
from hal.audio import RATE
from hal.audio.synthetic import SyntheticSpeaker
from hal.camera import scene

ROOM = "demo"
LAYOUT = "grid-responsive"
ROOT = Path(__file__).parents[2]

WIDTH, HEIGHT, FPS = 640, 360, 15
"""The canvas, and what the cameras send: a browser, a hub and two appliances share two cores."""

HEARD = -25.0
"""dBFS above which a tone is heard; all are spoken at -12."""

SILENT = -60.0
"""dBFS below which it is not."""

HOLE = -30.0
"""dBFS that a hole in another tone reaches at the most in a tenth of a second."""

APART = 40.0
"""dB by which the others' tones stand above the own one."""

EVERYTHING = tuple(sorted(PERMISSIONS))

EVENTS = (
    "layout.changed",
    "member.joined",
    "member.left",
    "member.talking",
    "member.updated",
    "memberList.updated",
    "room.left",
    "room.updated",
)

_WAV_HEADER = 44

Value = TypeVar("Value")

Sound = NDArray[np.float32]
"""Mono samples at RATE Hz, within -1 and +1."""


async def eventually(
    what: str, probe: Callable[[], Value | Awaitable[Value]], timeout: float = DEADLINE
) -> Value:
    """The first true value of `probe`.  Raises TimeoutError with `what` and the last value."""
    last: Any = None
    try:
        async with asyncio.timeout(timeout):
            while True:
                probed = probe()
                last = value = await probed if inspect.isawaitable(probed) else probed
                if value:
                    return value
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise TimeoutError(f"{what}: not within {timeout:.0f} s, but {last!r}") from None


class Ear(ABC):
    """Somebody who hears."""

    @abstractmethod
    async def samples(self, seconds: float) -> Sound:
        """What it hears from now on."""

    async def hears(self, tones: Iterable[float], seconds: float = 0.5) -> dict[float, float]:
        """The level in dBFS of each tone, in what it hears from now on."""
        return tone_levels(await self.samples(seconds), RATE, tones)


async def hears_tone(ear: Ear, tone: float, wanted: bool = True) -> None:
    """Wait until a tone is heard, or is not; then it stays away."""

    async def so() -> bool:
        return (await ear.hears([tone]))[tone] > HEARD

    if wanted:
        await eventually(f"{tone:g} Hz is heard", so)
    else:
        await falls_silent(ear.samples, tone)


async def falls_silent(samples: Callable[[float], Awaitable[Sound]], tone: float) -> None:
    """Wait until a tone is no more in half a second of sound, and see that it stays so.

    A busy machine tears holes into what else is heard, and a hole sounds at all frequencies: at
    most two tenths of the five may have one, and none is as loud as what was said.
    """

    async def tenths(seconds: float) -> list[float]:
        parts = np.split(await samples(seconds), round(10 * seconds))
        return sorted(tone_levels(part, RATE, [tone])[tone] for part in parts)

    async def silent() -> bool:
        levels = await tenths(0.5)
        return levels[2] < SILENT and levels[-1] < HOLE

    await eventually(f"{tone:g} Hz is not heard", silent)
    later = await tenths(1.0)
    assert later[-1] < HOLE, f"{tone:g} Hz is heard again: {later}"


class _Process:
    """One Python process of the meeting, which ends with this one; its words go to `log`."""

    def __init__(self, arguments: Iterable[str], log: Path) -> None:
        self.log = log
        with log.open("wb") as words:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env={**os.environ, PARENT: str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=words,
                start_new_session=True,
            )

    def ready(self) -> str:
        """The first line that it prints."""
        assert self._process.stdout is not None
        said = select.select([self._process.stdout], [], [], DEADLINE)[0]
        line = self._process.stdout.readline().decode().strip() if said else ""
        if line:
            return line
        raise AssertionError(f"a process did not start: {self.log.read_text(errors='replace')}")

    def end(self) -> None:
        """End it politely, else for certain."""
        with self._process:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                raise AssertionError(
                    f"a process does not end: {self.log.read_text(errors='replace')}"
                ) from None


class Hub(_Process):
    """The room server."""

    def __init__(self, folder: Path) -> None:
        self._data = folder / "hub"
        config = HubConfig(
            listen="127.0.0.1:0", data=self._data, width=WIDTH, height=HEIGHT, rate=FPS
        )
        super().__init__(
            ["-m", "tests.e2e.hub_process", config.model_dump_json()], folder / "hub.log"
        )
        self.url = self.ready()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

    @property
    def websocket(self) -> str:
        """Where clients connect."""
        return "ws" + self.url.removeprefix("http")

    def lose_newest_media(self) -> None:
        """End the media connection that was made last, without a goodbye."""
        self._process.send_signal(signal.SIGUSR1)

    @property
    def credentials(self) -> tuple[str, str]:
        """What a script says to the REST calls: project and API token."""
        secrets = keys.load(self._data, {})
        return secrets.project, secrets.api_token

    def token(
        self,
        name: str,
        permissions: Iterable[str] = EVERYTHING,
        *,
        room: str = ROOM,
        **others: Any,
    ) -> str:
        """A token for a room, signed with the hub's own key; `others` are fields of
        `TokenOptions`."""
        options = TokenOptions(
            room_name=room,
            user_name=name,
            permissions=list(permissions),
            **{"auto_create_room": True, **others},
        )
        secrets = keys.load(self._data, {})
        return mint(options, secrets.signing_key, project=secrets.project)


class Appliance(_Process, Ear):
    """A device with simulated hardware: a camera that draws `number`, and a steady `tone`."""

    def __init__(self, hub: Hub, folder: Path, name: str, number: int, tone: float) -> None:
        self.name = name
        self.number = number
        self.tone = tone
        self._sound = folder / f"{name}.wav"
        token = folder / f"{name}.token"
        token.write_text(hub.token(name))
        token.chmod(0o600)
        config = folder / f"{name}.toml"
        config.write_text(
            f"""\
[room]
host = "{hub.websocket}"
token_file = "{token.name}"
[camera]
backend = "synthetic"
options = {{ device_id = {number} }}
width = {WIDTH}
height = {HEIGHT}
rate = {FPS}
bitrate = 800_000
[microphone]
backend = "synthetic"
options = {{ frequency = {tone}, pattern = "continuous" }}
[speaker]
backend = "wav"
device = {json.dumps(str(self._sound))}
[controls]
backend = "virtual"
[display]
backend = "memory"
options = {{ width = {WIDTH}, height = {HEIGHT} }}
[panel]
listen = "127.0.0.1:0"
[probe]
enabled = true
"""
        )
        super().__init__(["-m", "appliance", "run", f"--config={config}"], folder / f"{name}.log")

    def ready(self) -> str:
        """Its panel's address; the panel is the one way to it, beside the room."""
        line = super().ready()
        self.panel = PanelClient(line.split()[-1])
        return line

    async def is_muted(self, muted: bool = True) -> bool:
        """Whether its microphone's gate and its light say so."""
        state = await self.panel.state()
        tally = "muted" if muted else "live"
        return (state["mic_open"], state["tally"]) == (not muted, tally)

    async def sees(self, camera: int) -> int:
        """How often it has seen a camera's picture move on, on its screen."""
        seen = (await self.panel.report())["cameras"].get(str(camera), {})
        return int(seen.get("advances", 0))

    async def samples(self, seconds: float) -> Sound:
        """What it plays from now on."""
        begin = max(self._sound.stat().st_size, _WAV_HEADER)
        length = round(seconds * RATE) * 2
        await eventually(f"{self.name} plays", lambda: self._sound.stat().st_size >= begin + length)
        with self._sound.open("rb") as file:
            file.seek(begin)
            return np.frombuffer(file.read(length), "<i2").astype(np.float32) / 32768


class Host(Ear):
    """A member with every permission, who sends nothing, and hears."""

    def __init__(self, hub: Hub, name: str = "Ash") -> None:
        self.name = name
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._speaker = SyntheticSpeaker(keep_s=5.0)
        self._playout = SpeakerPlayout(self._speaker)
        self.session = RoomSession(hub.token(name), host=hub.websocket, speaker=self._playout)
        for name in EVENTS:
            self.session.on(name, self._keeper(name))

    @classmethod
    @contextlib.asynccontextmanager
    async def joined(cls, hub: Hub, name: str = "Ash") -> AsyncIterator[Host]:
        """In the room until the block ends."""
        host = cls(hub, name)
        try:
            async with host.session as session:
                await session.join(send_audio=False, video=False)
                yield host
        finally:
            await host._playout.stop()

    def _keeper(self, name: str) -> Callable[[Payload], None]:
        return lambda payload: self.events.append((name, payload.to_dict()))

    @property
    def members(self) -> dict[str, dict[str, Any]]:
        """The members by name, as it was last told."""
        return {one["name"]: one.to_dict() for one in self.session.members}

    def layers(self) -> dict[str, Place]:
        """Where members are on the canvas, by member id, as it was last told."""
        layouts = [payload["layout"] for name, payload in self.events if name == "layout.changed"]
        return places(layouts[-1]) if layouts else {}

    async def told(
        self, name: str, test: Callable[[dict[str, Any]], Any], after: int = 0
    ) -> dict[str, Any]:
        """The first such event; `after` leaves out the first so many of `events`."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            found[:] = [p for n, p in self.events[after:] if n == name and test(p)]
            return bool(found)

        await eventually(f"{self.name} is told of such a {name}", look)
        return found[0]

    async def samples(self, seconds: float) -> Sound:
        """What it plays from now on."""
        begin, count = time.monotonic(), round(seconds * RATE)
        samples: NDArray[np.int16] = np.zeros(0, np.int16)

        def enough() -> bool:
            nonlocal samples
            played = [one.samples for one in self._speaker.heard() if one.at >= begin]
            samples = np.concatenate(played) if played else samples
            return len(samples) >= count

        await eventually(f"{self.name} plays", enough)
        return samples[:count].astype(np.float32) / 32768


class Place(NamedTuple):
    """A layer of the canvas, in percent."""

    x: float
    y: float
    width: float
    height: float

    def cut(self, pixels: Pixels) -> NDArray[np.uint8]:
        """Its part of a picture."""
        across, down = pixels.width / 100, pixels.height / 100
        return pixels.rgba[
            round(self.y * down) : round((self.y + self.height) * down),
            round(self.x * across) : round((self.x + self.width) * across),
        ]

    def camera(self, pixels: Pixels) -> int | None:
        """The number of the camera whose scene stands there, if one does."""
        code = scene.decode(pixels.luma, *self)
        return None if code is None else code.camera


def places(layout: Mapping[str, Any]) -> dict[str, Place]:
    """Where the members of a layout are, by member id."""
    return {
        layer["member_id"]: Place(layer["x"], layer["y"], layer["width"], layer["height"])
        for layer in layout["layers"]
        if layer.get("member_id") and layer["visible"]
    }


class Guest(Ear):
    """A guest with the SDK, in the room."""

    def __init__(self, client: SdkClient, name: str, tone: float) -> None:
        self.client = client
        self.name = name
        self.tone = tone
        self.member_id = ""

    async def samples(self, seconds: float) -> Sound:
        """What it hears from now on."""
        return await self.client.samples(round(seconds * 1000))

    async def told(
        self, name: str, test: Callable[[Any], Any] = lambda payload: True, after: int = 0
    ) -> Any:
        """The first such event; `after` leaves out the first so many of `client.events`."""
        return await self.client.wait_event(name, test, timeout=DEADLINE, after=after)

    def layers(self) -> dict[str, Place]:
        """Where members are on the canvas, by member id, as it was last told."""
        layouts = [e.payload["layout"] for e in self.client.events if e.name == "layout.changed"]
        return places(layouts[-1]) if layouts else {}

    async def sees(self, test: Callable[[Pixels], Any]) -> Pixels:
        """The first picture that passes."""
        return await self.client.wait_pixels(lambda pixels: bool(test(pixels)), timeout=DEADLINE)

    async def sees_camera(self, member_id: str, camera: int) -> Pixels:
        """The first picture in which this camera is where the layout has the member."""
        return await self.sees(
            lambda pixels: (
                (place := self.layers().get(member_id)) is not None
                and place.camera(pixels) == camera
            )
        )

    async def packets_sent(self, kind: str) -> int:
        """RTP packets of sound ("audio") or pictures ("video") that the browser has sent."""
        return int(
            await self.client.page.evaluate(
                """async (kind) => {
                  let sent = 0;
                  for (const connection of window.connections) {
                    for (const one of (await connection.getStats()).values()) {
                      if (one.type === "outbound-rtp" && one.kind === kind) sent += one.packetsSent;
                    }
                  }
                  return sent;
                }""",
                kind,
            )
        )


# The SDK keeps its connection to itself; this only remembers which there are.
_REMEMBER_CONNECTIONS = """() => {
  window.connections = [];
  window.RTCPeerConnection = new Proxy(RTCPeerConnection, {
    construct(target, args, made) {
      const connection = Reflect.construct(target, args, made);
      window.connections.push(connection);
      return connection;
    },
  });
}"""


class Room:
    """The meeting of one test: the house's appliances, and a host of its own."""

    def __init__(self, house: House, host: Host) -> None:
        self.hub = house.hub
        self.oak, self.elm = house.oak, house.elm
        self.host = host

    def id_of(self, name: str) -> str:
        """The id of a member in the room."""
        member_id: str = self.host.members[name]["id"]
        return member_id

    async def admit(
        self,
        client: SdkClient,
        name: str = "Maple",
        *,
        tone: float = 700.0,
        permissions: Iterable[str] = EVERYTHING,
        camera: int | None = None,
        url: str | None = None,
        **options: Any,
    ) -> Guest:
        """Let a guest join, with a picture and a tone of its own.

        `url` is where it connects, the hub's own by default; `options` are those of the SDK.
        """
        guest = Guest(client, name, tone)
        local = Local(tone=tone, width=WIDTH, height=HEIGHT, fps=FPS, camera=camera)
        token = self.hub.token(name, permissions)
        await client.page.evaluate(_REMEMBER_CONNECTIONS)
        await client.join(
            url or self.hub.websocket, token, local=local, timeout=DEADLINE, **options
        )
        guest.member_id = await client.get("memberId")
        await eventually(
            f"all know the place of {name}",
            lambda: guest.member_id in self.host.layers() and guest.member_id in guest.layers(),
        )
        return guest

    async def tidy(self) -> None:
        """Bring the room to where each test begins: the appliances in it, nothing muted."""
        appliances = (self.oak, self.elm)
        names = {one.name for one in appliances}
        await eventually("the appliances are in the room", lambda: names <= set(self.host.members))
        for member in self.host.session.members:
            if member["name"] not in {*names, self.host.name}:
                await self.host.session.remove_member(member["id"])
        for one in appliances:
            if self.host.members[one.name]["deaf"]:
                await self.host.session.undeaf(self.id_of(one.name))
            # Until it knows its first state both are closed, and a tap would close them for good.
            state = await one.panel.until(
                f"{one.name} has joined",
                lambda state: "start" not in {*state["closers"], *state["camera_closers"]},
                DEADLINE,
            )
            for button, is_open in (("mute", "mic_open"), ("camera", "camera_open")):
                if not state[is_open]:
                    await one.panel.tap(button)
        await self.host.session.set_layout(LAYOUT)
        await self.host.session.set_positions({self.id_of(name): "auto" for name in names})

        def tidy() -> bool:
            here = [member.to_dict() for member in self.host.session.members]
            return sorted(member["name"] for member in here) == sorted(
                [*names, self.host.name]
            ) and not any(
                member[what]
                for member in here
                for what in ("audio_muted", "video_muted", "deaf")
                if member["name"] in names
            )

        try:
            await eventually("the room is as at the beginning", tidy)
        except TimeoutError as error:
            error.add_note(f"{[member.to_dict() for member in self.host.session.members]}")
            raise


class House:
    """The processes that all tests of a run share."""

    def __init__(self, hub: Hub, oak: Appliance, elm: Appliance) -> None:
        self.hub = hub
        self.oak = oak
        self.elm = elm

    @classmethod
    @contextlib.contextmanager
    def open(cls, folder: Path) -> Iterator[House]:
        """Start them; when the block ends, all of them end."""
        with contextlib.ExitStack() as stack:
            hub = Hub(folder)
            stack.callback(hub.end)
            oak = Appliance(hub, folder, "Oak", 1, 1000.0)
            stack.callback(oak.end)
            elm = Appliance(hub, folder, "Elm", 2, 1500.0)
            stack.callback(elm.end)
            oak.ready()
            elm.ready()
            yield cls(hub, oak, elm)

    @contextlib.asynccontextmanager
    async def room(self) -> AsyncIterator[Room]:
        """The room with a host in it, and tidy before and after."""
        async with Host.joined(self.hub) as host:
            room = Room(self, host)
            await room.tidy()
            yield room
            await room.tidy()


class Cable:
    """The way of a guest's signaling to the hub; media go another way.  It can be cut."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._server: asyncio.Server | None = None
        self._port = 0
        self._plugged = asyncio.Event()
        self._carriers: set[asyncio.Task[None]] = set()
        #: How many connections have been made over it.
        self.connections = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def to(cls, address: tuple[str, int]) -> AsyncIterator[Cable]:
        """Plugged in until the block ends."""
        cable = cls(address)
        await cable.plug()
        try:
            yield cable
        finally:
            await cable.cut()

    @property
    def url(self) -> str:
        """Where the guest is to connect."""
        return f"ws://127.0.0.1:{self._port}"

    async def plug(self) -> None:
        """Take connections, at the same place as before."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Drop every connection, without a word, and take no new one."""
        if self._server is not None:
            self._server.close()
        for task in self._carriers:
            task.cancel()
        await asyncio.gather(*self._carriers, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._carriers.add(task)
        near, far = (reader, writer), await asyncio.open_connection(*self._address)
        both = [
            asyncio.create_task(_pour(near[0], far[1])),
            asyncio.create_task(_pour(far[0], near[1])),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            # The end that asyncio expects of a handler.
            pass
        finally:
            for one in both:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            for _, end in (near, far):
                end.transport.abort()
            self._carriers.discard(task)


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
