"""Streaming a room out by RTMP: its canvas and its mix, live, to a server that shows it to many.

Each stream has a thread, which feeds a process of its own (see `publisher`), and starts another
one when that ends: a target that is dead, slow or rude disturbs nobody else.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import appliance
from appliance.hub.outgoing import Outgoing, OutgoingState
from appliance.hub.publisher import PATIENCE, News, Order, pack
from appliance.hub.tap import Intake, Item, Mark, Picture, Tappable
from appliance.hub.urls import STREAMED, UrlError, check_url, redacted, tls_options, without_secrets

__all__ = ["StreamState", "Streamer", "UrlError"]

log = logging.getLogger(__name__)

_FIRST_DELAY: Final = 1.0
_LAST_DELAY: Final = 30.0
"""Seconds before the first new attempt, and between attempts at most; each is twice the last."""

_STABLE: Final = 10.0
"""Seconds after which a connection counts as a good one, and the delays begin anew."""

_SPAN: Final = 3.0
"""Seconds of the room that wait for a slow target. Then pictures are lost: a live stream that
lags behind more and more helps nobody."""

_FAREWELL: Final = 3.0
"""Seconds that a publisher has to end by itself."""


@dataclass(frozen=True, slots=True)
class StreamState(OutgoingState):
    """A stream, as it is just now."""

    state: Literal["streaming", "completed"]
    url: str = field(kw_only=True, repr=False)
    connected: bool = False
    """Whether the target takes the stream just now."""
    error: str | None = None
    """Why the last connection ended or could not be made, in one line, without the address' path;
    None again once there is another one."""

    def to_wire(self) -> dict[str, Any]:
        """The fields as clients know them."""
        return {**OutgoingState.to_wire(self), "url": self.url}


class Streamer(Outgoing[StreamState]):
    """One stream, from `start` to `stop`.

    It goes on until it is stopped: a target that cannot be reached is tried again and again, at
    last every half a minute.
    """

    KIND = "stream"

    def __init__(
        self,
        room: Tappable,
        url: str,
        *,
        stream_id: str | None = None,
        on_change: Callable[[StreamState], None] | None = None,
        verify: bool = True,
        ca_file: Path | None = None,
    ) -> None:
        """`url` is ``rtmp://`` or ``rtmps://``; the certificate of the latter is verified by
        the system's authorities or those in `ca_file`, unless `verify` is false.

        Raises UrlError.
        """
        check_url(url, STREAMED)
        state = StreamState(stream_id or str(uuid.uuid4()), "streaming", time.time(), url=url)
        super().__init__(room, state, Intake(_SPAN), on_change)
        self._order = Order(url, room.rate)
        if url.startswith("rtmps:"):
            self._order = replace(self._order, options=tls_options(verify=verify, ca_file=ca_file))
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin to connect, and send from the next keyframe on."""
        self._not_started()
        self._begin(self._run)

    async def stop(self) -> StreamState:
        """End the stream. Returns its last state; safe to repeat."""
        self._started()
        self._stop.set()
        await self._finish()
        if self._state.state != "completed":
            now = time.time()
            self._change(
                state="completed",
                connected=False,
                ended_at=now,
                duration=round(max(0.0, now - self._state.started_at), 3),
            )
        return self._state

    def _news(self, connected: bool, error: str | None) -> None:
        if self._state.state == "completed":
            return
        where = redacted(self._state.url)
        if connected:
            log.info("stream %s goes to %s", self.id, where)
        elif error != self._state.error:
            log.warning("stream %s to %s is interrupted: %s", self.id, where, error)
        self._change(connected=connected, error=error)

    # From here on: the streamer's thread.

    def _run(self) -> None:
        delay = _FIRST_DELAY
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                with _Publishing(self._order, self._stop) as publishing:
                    self._send(publishing)
                break
            except _PublishingError as error:
                reason = str(error)
            except Exception as error:
                log.exception("the streamer failed")
                reason = f"unexpected: {error!r}"
            self._post(False, reason)
            if time.monotonic() - began > _STABLE:
                delay = _FIRST_DELAY
            # Not all streams of a server that comes back should meet there again.
            self._stop.wait(delay * random.uniform(0.8, 1.2))
            delay = min(2 * delay, _LAST_DELAY)

    def _send(self, publishing: _Publishing) -> None:
        """Send until the stream is stopped. Raises _PublishingError."""
        # What waited for a connection is stale. A keyframe comes within two seconds.
        self._intake.clear()
        up = False
        while not isinstance(item := self._intake.poll(0.5), Mark):
            if item is not None:
                publishing.send(item)
            if publishing.is_up() and not up:
                up = True
                self._post(True, None)

    def _post(self, connected: bool, error: str | None) -> None:
        """Cross to the loop: the only place where this thread reaches it."""
        try:
            self._loop.call_soon_threadsafe(self._news, connected, error)
        except RuntimeError:
            # The loop was closed without a stop().
            self._stop.set()


class _PublishingError(Exception):
    """Why a publisher is of no more use, in one line."""


class _Publishing:
    """A publisher's process, as seen from here; it ends with the block."""

    def __init__(self, order: Order, stop: threading.Event) -> None:
        self._order = order
        self._stop = stop
        self._up = False
        self._reason = ""
        self._heard = b""

    def __enter__(self) -> Self:
        root = str(Path(appliance.__file__).parents[1])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "appliance.hub.publisher"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                bufsize=0,
                # An interrupt from the keyboard is for the hub, which ends its publishers.
                start_new_session=True,
            )
        except OSError as error:
            raise _PublishingError(f"no process can be started: {error.strerror}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to = self._process.stdin.fileno()
        self._from = self._process.stdout.fileno()
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)
        try:
            self._write(json.dumps(asdict(self._order)).encode() + b"\n")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        if kind is not None:
            process.kill()
        try:
            process.wait(_FAREWELL)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def send(self, item: Item) -> None:
        """Hand on a picture or a sound. Raises _PublishingError when the publisher has ended,
        or has taken nothing for too long."""
        if isinstance(item, Picture):
            kind: Literal["keyframe", "picture"] = "keyframe" if item.frame.keyframe else "picture"
            self._write(pack(kind, item.at, item.access_unit()))
        elif not isinstance(item, Mark):
            self._write(pack("sound", item.at, item.samples.tobytes()))

    def is_up(self) -> bool:
        """Whether the target takes the stream. Raises _PublishingError when it does not any
        more."""
        if not self._listen():
            raise self._end()
        return self._up

    def _listen(self) -> bool:
        """Take the news that has come. Returns whether more can come."""
        while True:
            try:
                data = os.read(self._from, 4096)
            except BlockingIOError:
                return True
            if not data:
                return False
            *lines, self._heard = (self._heard + data).split(b"\n")
            for line in lines:
                news = News(**json.loads(line))
                self._up, self._reason = news.up, news.reason

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        deadline = time.monotonic() + PATIENCE
        # No select(), which knows no descriptor beyond 1023; a hub may have more.
        room = select.poll()
        room.register(self._to, select.POLLOUT)
        while rest:
            try:
                rest = rest[os.write(self._to, rest) :]
                continue
            except BlockingIOError:
                pass
            except BrokenPipeError:
                raise self._end() from None
            room.poll(200)
            if self._stop.is_set():
                raise _PublishingError("the stream was stopped")
            if time.monotonic() > deadline:
                raise _PublishingError(f"the target took nothing for {PATIENCE} seconds")

    def _end(self) -> _PublishingError:
        """Why the publisher has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_FAREWELL)
        self._listen()
        if self._reason:
            return _PublishingError(without_secrets(self._reason, self._order.url))
        if self._process.returncode == -signal.SIGALRM:
            return _PublishingError(f"the target did not answer for {PATIENCE} seconds")
        return _PublishingError("the target ended the stream")
