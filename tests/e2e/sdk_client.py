"""A guest in a real browser, who uses the official SDK unmodified, and a server for its page.

`SdkClient` wraps one page.  What a test asks of it comes from the far end as the browser shows it:
events as the SDK emits them, pixels from the video element, samples from the audio track.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import functools
import http.server
import threading
import time
import urllib.parse
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from playwright.async_api import ConsoleMessage, Error, Page

HERE = Path(__file__).parent
SDK = HERE / "node_modules/@signalwire/js/dist/index.umd.js"

DEADLINE = 60.0
"""Seconds for anything that has to happen, on a machine with much other work."""

# Every event of the API, and two of the SDK's own that tell how a call went.
EVENTS = (
    "camera.disconnected",
    "camera.updated",
    "destroy",
    "hangup",
    "layout.changed",
    "media.connected",
    "media.disconnected",
    "media.reconnecting",
    "member.demoted",
    "member.joined",
    "member.left",
    "member.promoted",
    "member.talking",
    "member.updated",
    "memberList.updated",
    "microphone.disconnected",
    "microphone.updated",
    "playback.ended",
    "playback.started",
    "playback.updated",
    "recording.ended",
    "recording.started",
    "recording.updated",
    "room.audienceCount",
    "room.audience_count",
    "room.joined",
    "room.left",
    "room.updated",
    "speaker.disconnected",
    "speaker.updated",
    "stream.ended",
    "stream.started",
)


class SdkError(Exception):
    """What the SDK threw or rejected with: `name`, `code` (or None) and `message`."""

    def __init__(self, error: dict[str, Any]) -> None:
        self.name: str | None = error.get("name")
        self.code: str | int | None = error.get("code")
        self.message: str = error["message"]
        super().__init__(": ".join(str(e) for e in (self.name, self.code, self.message) if e))


@dataclasses.dataclass(frozen=True)
class Local:
    """What a guest sends: one colour with a white bar that moves across it, and a steady sine."""

    #: Hz.
    tone: float = 660.0
    #: dBFS.
    level: float = -12.0
    color: str = "#2060c0"
    width: int = 640
    height: int = 360
    fps: int = 30
    #: Draw the strip of `hal.camera.scene` with this number, 0..255: `scene.decode(picture.luma,
    #: ...)` then tells number and age of a frame at the far end.
    camera: int | None = None


DEFAULT_LOCAL = Local()


class Event(NamedTuple):
    """One event as the SDK emitted it; the payload is plain data."""

    name: str
    payload: Any


class Pixels(NamedTuple):
    """A picture: `rgba` has the shape (height, width, 4), 8 bits a channel."""

    width: int
    height: int
    rgba: NDArray[np.uint8]

    @property
    def luma(self) -> NDArray[np.float32]:
        """Brightness from 0 to 255 by BT.709, of the shape (height, width)."""
        weights = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
        return self.rgba[..., :3].astype(np.float32) @ weights


def tone_levels(
    samples: NDArray[np.float32], rate: int, frequencies: Iterable[float]
) -> dict[float, float]:
    """Level of the sine at each frequency in dBFS: 0 is a sine that reaches +-1.

    A Blackman window: what other tones leak into this one is below -58 dB from three bins on, and a
    bin is `rate / len(samples)` Hz wide.
    """
    window = np.blackman(len(samples))
    turns = np.arange(len(samples)) / rate
    levels = {}
    for frequency in frequencies:
        wave = np.exp(-2j * np.pi * frequency * turns)
        amplitude = 2 * abs(np.sum(samples * window * wave)) / np.sum(window)
        levels[frequency] = float(20 * np.log10(max(amplitude, 1e-9)))
    return levels


class SdkClient:
    """One guest: a page with the SDK, and at most one room."""

    def __init__(self, page: Page) -> None:
        self.page = page
        #: All events so far, in the order in which the SDK emitted them.
        self.events: list[Event] = []
        #: What the page wrote to its console, uncaught errors among it.
        self.console: list[str] = []
        self._arrived: list[asyncio.Future[None]] = []

    async def open(self, url: str) -> None:
        """Load the harness's page; it must come from `PageServer` or look like it."""
        self.page.on("console", self._on_console)
        self.page.on("pageerror", self._on_page_error)
        await self.page.expose_function("reportEvent", self._on_event)
        await self.page.goto(url)

    def _on_console(self, message: ConsoleMessage) -> None:
        self.console.append(f"{message.type}: {message.text}")

    def _on_page_error(self, error: Error) -> None:
        self.console.append(f"uncaught: {error.message}")

    def _on_event(self, name: str, payload: Any) -> None:
        self.events.append(Event(name, payload))
        for waiter in self._arrived:
            if not waiter.done():
                waiter.set_result(None)
        self._arrived.clear()

    async def _ask(self, step: str, *args: Any, timeout: float) -> Any:
        try:
            async with asyncio.timeout(timeout):
                answer = await self.page.evaluate(
                    "([step, args]) => harness[step](...args)", [step, list(args)]
                )
        except TimeoutError:
            raise TimeoutError(f"the page did not finish {step!r} in {timeout} s") from None
        if "error" in answer:
            raise SdkError(answer["error"])
        return answer["value"]

    async def _local(self, local: Local) -> dict[str, Any]:
        """What the page needs to draw and whistle, the offset of its clock to ours with it."""
        return {**dataclasses.asdict(local), "clock": await self._clock()}

    async def _clock(self) -> float:
        """Milliseconds from the page's clock to CLOCK_MONOTONIC."""
        offset, doubt = 0.0, float("inf")
        for _ in range(5):
            begin = time.monotonic()
            there = await self.page.evaluate("performance.now()")
            end = time.monotonic()
            if end - begin < doubt:
                offset, doubt = (begin + end) / 2 * 1000 - there, end - begin
        return offset

    async def create(
        self,
        host: str,
        token: str,
        *,
        local: Local | None = DEFAULT_LOCAL,
        synthetic: bool = False,
        events: Collection[str] = EVENTS,
        **options: Any,
    ) -> None:
        """Make the `RoomSession`, without joining; `options` go to its constructor as they are.

        The guest sends what `local` says.  With `local=None` the SDK gets its devices from the
        browser by itself: Chromium's fake ones, or with `synthetic` those of page/devices.js,
        "synthetic:N" as in the hal.

        The SDK stops a local track when it is muted, and then asks the browser for a new one: after
        an unmute the guest sends Chromium's fake device, not its own tone and picture, unless
        `stopMicrophoneWhileMuted=False` or `stopCameraWhileMuted=False` is given.
        """
        settings = {
            "options": {"host": host, "token": token, "logLevel": "warn", **options},
            "fake": await self._local(local) if local else None,
            "clock": await self._clock() if synthetic else None,
            "events": list(events),
        }
        await self._ask("create", settings, timeout=DEADLINE)

    async def join(
        self,
        host: str,
        token: str,
        *,
        join: dict[str, Any] | None = None,
        timeout: float = DEADLINE,
        **options: Any,
    ) -> None:
        """Make the `RoomSession` and join; `join` is what its method `join` gets.

        Further arguments are those of `create`.  Raises `SdkError` when the SDK rejects, and
        `TimeoutError` when it has not settled in `timeout` seconds.
        """
        await self.create(host, token, **options)
        await self.call("join", join or {}, timeout=timeout)

    async def call(
        self,
        method: str,
        *args: Any,
        keep: str | None = None,
        on: str | None = None,
        timeout: float = DEADLINE,
    ) -> Any:
        """Call a method of the room and await its promise; the result is plain data.

        `keep` keeps the object that it gives under a name, and `on` calls a method of that one:
        `await client.call("startRecording", keep="take")`, `await client.call("stop", on="take")`.
        """
        where = {"keep": keep, "on": on}
        return await self._ask("call", method, list(args), where, timeout=timeout)

    async def get(self, name: str, *, on: str | None = None) -> Any:
        """A property of the room, or of what is kept as `on`, as plain data."""
        return await self._ask("get", name, on, timeout=DEADLINE)

    async def listen(self, method: str, event: str | None = None, tag: str | None = None) -> None:
        """Call `on`, `once`, `off` or `removeAllListeners` with a handler that goes by `tag`: each
        of its calls is one of `events`, with the tag as its name."""
        await self._ask("listen", method, event, tag, timeout=DEADLINE)

    async def set_local_stream(
        self, local: Local = DEFAULT_LOCAL, timeout: float = DEADLINE
    ) -> None:
        """Call the room's method of that name with a new stream, which is as `local` says."""
        await self._ask("setLocalStream", await self._local(local), timeout=timeout)

    async def leave(self, timeout: float = DEADLINE) -> None:
        """Leave the room, as the guest's own wish."""
        await self.call("leave", timeout=timeout)

    async def loopback(self, local: Local = DEFAULT_LOCAL) -> None:
        """Send the guest's stream to itself, with no room and no SDK: what proves the harness."""
        await self._ask("loopback", await self._local(local), timeout=DEADLINE)

    async def wait_event(
        self,
        name: str,
        predicate: Callable[[Any], bool] = lambda payload: True,
        *,
        timeout: float = DEADLINE,
        after: int = 0,
    ) -> Any:
        """The payload of the first such event, which may have been before.

        `after` leaves out the first so many of `events`: take `len(client.events)` before the act.
        """
        seen = after
        try:
            async with asyncio.timeout(timeout):
                while True:
                    while seen < len(self.events):
                        event = self.events[seen]
                        seen += 1
                        if event.name == name and predicate(event.payload):
                            return event.payload
                    waiter = asyncio.get_running_loop().create_future()
                    self._arrived.append(waiter)
                    await waiter
        except TimeoutError:
            names = [event.name for event in self.events[after:]]
            raise TimeoutError(f"no such {name!r} in {timeout} s, but {names}") from None

    async def video_pixels(self, *, fresh: bool = True, timeout: float = DEADLINE) -> Pixels:
        """The far end's next frame, in its own size; with `fresh=False` the one that is shown."""
        picture = await self._ask("pixels", {"fresh": fresh}, timeout=timeout)
        width, height = picture["width"], picture["height"]
        rgba = np.frombuffer(base64.b64decode(picture["rgba"]), dtype=np.uint8)
        return Pixels(width, height, rgba.reshape(height, width, 4))

    async def wait_pixels(
        self, predicate: Callable[[Pixels], bool], *, timeout: float = DEADLINE
    ) -> Pixels:
        """The first of the far end's frames from now on for which the predicate holds."""
        picture: Pixels | None = None
        try:
            async with asyncio.timeout(timeout):
                while True:
                    picture = await self.video_pixels(timeout=timeout)
                    if predicate(picture):
                        return picture
        except TimeoutError:
            size = f"the last was {picture.width}x{picture.height}" if picture else "none came"
            raise TimeoutError(f"no such picture in {timeout} s; {size}") from None

    async def samples(self, ms: int) -> NDArray[np.float32]:
        """The far end's sound for so long from now on: mono, 48 kHz, within -1 and +1."""
        sound = await self._ask("samples", ms * 48, timeout=ms / 1000 + DEADLINE)
        assert sound["rate"] == 48000
        return np.frombuffer(base64.b64decode(sound["samples"]), dtype=np.float32)

    async def spectrum(self, frequencies: Iterable[float], ms: int = 500) -> dict[float, float]:
        """Level in dBFS of a sine at each frequency in the far end's sound, over the next `ms`."""
        return tone_levels(await self.samples(ms), 48000, frequencies)


class PageServer:
    """The guest's page, the SDK's bundle and nothing else, on loopback (a secure context)."""

    FILES = (
        ("/", HERE / "page/index.html", "text/html"),
        ("/devices.js", HERE / "page/devices.js", "text/javascript"),
        ("/harness.js", HERE / "page/harness.js", "text/javascript"),
        ("/samples.js", HERE / "page/samples.js", "text/javascript"),
        ("/sdk.js", SDK, "text/javascript"),
    )

    def __init__(self, port: int) -> None:
        #: Where the page is.
        self.url = f"http://127.0.0.1:{port}/"

    @classmethod
    @contextlib.contextmanager
    def running(cls) -> Iterator[PageServer]:
        """Serve on a free port until the block ends.  Raises `FileNotFoundError`."""
        if not SDK.is_file():
            raise FileNotFoundError(f"{SDK} is missing: run 'make setup-test'")
        files = {path: (file.read_bytes(), kind) for path, file, kind in cls.FILES}
        handler = functools.partial(_PageHandler, files)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            thread = threading.Thread(target=server.serve_forever, name="page-server")
            thread.start()
            try:
                yield cls(server.server_port)
            finally:
                server.shutdown()
                thread.join()


class _PageHandler(http.server.BaseHTTPRequestHandler):
    def __init__(self, files: dict[str, tuple[bytes, str]], *args: Any) -> None:
        self._files = files
        super().__init__(*args)

    def do_GET(self) -> None:
        body, kind = self._files.get(urllib.parse.urlsplit(self.path).path, (None, None))
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """The browser's requests are of no interest to a test."""
