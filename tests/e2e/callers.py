"""The two clients, each told in the words of the browser's API what to call."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any, Protocol

from playwright.async_api import BrowserContext
from room import DEADLINE
from same_calls import LISTENED, Call, Session
from sdk_client import Local, SdkClient, SdkError

from appliance.media.capture import CameraCapture, MicCapture
from appliance.media.gate import CameraGate, MicGate
from appliance.room import LocalStream, RoomError, RoomSession
from appliance.signaling.errors import SignalingError
from hal.audio.synthetic import SyntheticMicrophone
from hal.camera import VideoFormat
from hal.camera.synthetic import SyntheticCamera

WIDTH, HEIGHT, FPS = 320, 180, 10

WHOLE = {"setMeta", "updateMeta"}
"""Methods whose object is data, and not a set of options."""
AT_ONCE = {"destroy"}
"""Methods that return nothing to wait for."""


class Rejected(Exception):
    """A call failed; `code` is the server's, or the name of the error where that has none."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code


class Caller(Protocol):
    """One of the two clients."""

    name: str
    #: What names in angle brackets stand for, as far as that is the client's own affair.
    things: dict[str, str]

    async def create(self, url: str, token: str, session: Session) -> None:
        """Make the object of a room that is reached at `url`."""

    async def do(self, call: Call, args: tuple[Any, ...]) -> None:
        """Make a call and wait for its end.  Raises Rejected."""

    async def close(self) -> None:
        """Free what is left of the room."""


class SdkCaller:
    """The official SDK in a page, with Chromium's fake devices."""

    name = "sdk"

    def __init__(self, context: BrowserContext, page_url: str) -> None:
        self.things: dict[str, str] = {}
        self._context = context
        self._page_url = page_url
        self._client: SdkClient | None = None

    async def create(self, url: str, token: str, session: Session) -> None:
        client = self._client = SdkClient(await self._context.new_page())
        await client.open(self._page_url)
        speakers = await client.page.evaluate(
            "async () => (await navigator.mediaDevices.enumerateDevices())"
            ".filter((d) => d.kind === 'audiooutput').map((d) => d.deviceId)"
        )
        self.things = {"<speaker>": speakers[-1]}
        events = LISTENED if session.listens else ()
        await client.create(url, token, local=None, events=events, **session.options)

    async def do(self, call: Call, args: tuple[Any, ...]) -> None:
        assert self._client is not None
        try:
            if call.method == "setLocalStream":
                local = Local(width=WIDTH, height=HEIGHT, fps=FPS)
                await self._client.set_local_stream(local, DEADLINE)
            else:
                await self._client.call(
                    call.method, *args, on=call.on, keep=call.keep, timeout=DEADLINE
                )
        except SdkError as error:
            raise Rejected(str(error.code or error.name), error.message) from error

    async def close(self) -> None:
        assert self._client is not None
        await self._client.page.close()


class OwnCaller:
    """`RoomSession`, with what devices the registry gives.

    A call is translated by the one rule of that port: names in snake case, and an object of
    options as keywords.
    """

    name = "own"

    def __init__(self) -> None:
        self.things = {"<speaker>": "synthetic:2"}
        self._room: RoomSession | None = None
        self._kept: dict[str, Any] = {}
        self._stream: LocalStream | None = None

    async def create(self, url: str, token: str, session: Session) -> None:
        self._kept = {}
        self._room = RoomSession(token, host=url, **_keywords(session.options))

    async def do(self, call: Call, args: tuple[Any, ...]) -> None:
        method = getattr(self._room if call.on is None else self._kept[call.on], snake(call.method))
        keywords = dict(call.own)
        if call.method == "setLocalStream":
            args = (self._new_stream(),)
        elif args and isinstance(args[0], Mapping) and call.method not in WHOLE:
            keywords |= _keywords(args[0])
            args = ()
        try:
            with warnings.catch_warnings():
                # Some are deprecated, and that is tested elsewhere.
                warnings.simplefilter("ignore", DeprecationWarning)
                result = method(*args, **keywords)
                if call.method not in AT_ONCE:
                    result = await result
        except (SignalingError, RoomError) as error:
            code = getattr(error, "code", None) or type(error).__name__
            raise Rejected(str(code), str(error)) from error
        if call.keep is not None:
            self._kept[call.keep] = result

    async def close(self) -> None:
        assert self._room is not None
        self._room.destroy()
        await self._room.wait_closed()
        stream, self._stream = self._stream, None
        for capture in () if stream is None else (stream.microphone, stream.camera):
            if capture is not None:
                await capture.stop()

    def _new_stream(self) -> LocalStream:
        self._stream = LocalStream(
            MicCapture(SyntheticMicrophone(device_id=5), MicGate()),
            CameraCapture(
                SyntheticCamera(device_id=6),
                CameraGate(),
                VideoFormat(WIDTH, HEIGHT, FPS),
                bitrate=200_000,
            ),
        )
        return self._stream


def snake(name: str) -> str:
    """A name of the browser's API as it is in Python."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def _keywords(options: Mapping[str, Any]) -> dict[str, Any]:
    # Constraints on a device are options as well; what else is inside is data.
    constraints = ("audio", "video")
    return {
        snake(key): _keywords(one) if key in constraints and isinstance(one, Mapping) else one
        for key, one in options.items()
    }
