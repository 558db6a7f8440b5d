"""What comes in by HDMI, shown to the room for as long as something does.

A computer is plugged in, and its picture is shared; it is pulled or falls asleep, and the sharing
ends.  Nobody presses anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Final

from appliance.media.errors import MediaError
from appliance.provisioning.config import ScreenShareConfig
from appliance.room import RoomError, RoomSession
from appliance.signaling.errors import PermissionDenied, SignalingError
from hal import registry
from hal.camera import Camera
from hal.camera.signal import SignalCamera
from hal.errors import HalError

log = logging.getLogger(__name__)

LOOK_EVERY: Final = 3.0
"""Seconds between two looks at the input.  Each look without a signal opens it for up to
`hal.camera.signal.PATIENCE` more."""

REFUSED_RETRY: Final = 60.0
"""Seconds until the room is asked again, after it refused."""

VIDEO: Final[dict[str, Any]] = {"width": 1280, "height": 720, "frame_rate": 15}
"""What is asked of the input: the canvas is no larger, and text does not move."""

_Failure = (HalError, MediaError, RoomError, SignalingError, OSError)


class Sharing:
    """Shares one input in whatever session there is.

    `session` gives the present one.  `remark` gets why nothing is shared, None when something is
    or nothing could be.
    """

    def __init__(
        self,
        config: ScreenShareConfig,
        session: Callable[[], RoomSession | None],
        *,
        remark: Callable[[str | None], None] = lambda _: None,
        make: Callable[[ScreenShareConfig], Camera] | None = None,
        every: float = LOOK_EVERY,
    ) -> None:
        """`make` makes the input, not open yet; by default the one that is configured."""
        self._config = config
        self._session = session
        self._remark = remark
        self._make = _make if make is None else make
        self._every = every
        self._task: asyncio.Task[None] | None = None
        self._told = ""

    def start(self) -> None:
        """Begin, on the running loop."""
        self._task = asyncio.create_task(self._run(), name="sharing")

    async def stop(self) -> None:
        """Share no longer.  Safe to call twice, or without `start`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            session = self._session()
            pause = self._every
            if session is None or not session.active:
                self._tell("")
            else:
                try:
                    await self._share(session)
                except PermissionDenied as error:
                    pause = REFUSED_RETRY
                    self._tell(f"the room does not take this device's screen: {error}")
                except _Failure as error:
                    self._tell(str(error))
            await asyncio.sleep(pause)

    async def _share(self, session: RoomSession) -> None:
        """Show the input until it ends.  Raises one of _Failure."""
        # Looking for devices reads files: not on the loop.
        camera = SignalCamera(await asyncio.to_thread(self._make, self._config))
        leg = await session.start_screen_share(
            source=camera, video=VIDEO, layout=self._config.layout
        )
        ended = asyncio.Event()
        leg.on("destroy", lambda *_: ended.set())
        self._tell("")
        log.info("%s is shared", camera.device.label)
        try:
            while not leg.ended:
                # An object that is destroyed with its session tells nobody.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._every):
                        await ended.wait()
        finally:
            # Another input may follow.
            if not leg.ended:
                with contextlib.suppress(*_Failure):
                    await leg.leave()
        log.info("%s is shared no more", camera.device.label)

    def _tell(self, text: str) -> None:
        if text == self._told:
            return
        self._told = text
        if text:
            log.info("nothing is shared: %s", text)
        self._remark(text or None)


def _make(config: ScreenShareConfig) -> Camera:
    return registry.create("camera", config.backend, **config.arguments)
