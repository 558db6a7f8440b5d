"""Figures of a device for Prometheus, at `/metrics` on a port or a UNIX socket.

They are read from the device's state when somebody asks, so nothing is counted twice and
nothing costs while nobody does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import uvicorn
from prometheus_client import CollectorRegistry, make_asgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from appliance import __version__
from appliance.panel import PanelState
from appliance.panel.server import parse_listen
from appliance.service.errors import ServiceError
from appliance.web.embedded import EmbeddedServer
from appliance.web.listener import Listener
from appliance.web.protocols import HttpProtocol
from hal.controls import CameraLight, Status, Tally

_UNIX: Final = "unix:"

_PATIENCE: Final = 10.0
"""Seconds in which a request has to come up to its last header."""
_MOST: Final = 16
"""Connections at once: the room must not run out of files."""
_MOST_EACH: Final = 8
"""Of them from one address."""

_COUNTERS: Final = frozenset({"microphone_xruns", "speaker_xruns"})
"""Figures of the state that only ever grow, without those of one stay in a room, which begin
anew with the next."""


class MetricsError(ServiceError, OSError):
    """The figures cannot be served where the configuration says."""


class Measured(Protocol):
    """The device whose figures these are."""

    def state(self) -> PanelState:
        """See `appliance.panel.PanelDevice.state`."""


class DeviceCollector(Collector):
    """The figures of one device; on the loop."""

    def __init__(self, device: Measured) -> None:
        self._device = device

    def collect(self) -> Iterator[Metric]:
        """See `Collector.collect`."""
        state = self._device.state()
        about = GaugeMetricFamily("roomlet_info", "The device", labels=["version", "room"])
        about.add_metric([__version__, state.room], 1)
        yield about
        yield _one_of("roomlet_state", "What it does", "state", state.status, Status)
        yield _one_of("roomlet_tally", "What the tally light shows", "tally", state.tally, Tally)
        if state.camera_light is not None:
            text, light = "What the camera's light shows", state.camera_light
            yield _one_of("roomlet_camera_light", text, "camera_light", light, CameraLight)
        gauges: dict[str, tuple[str, float | None]] = {
            "microphone_open": ("Whether sound may leave", float(state.mic_open)),
            "camera_open": ("Whether pictures may leave", float(state.camera_open)),
            "members": ("Members of the room, this one included", float(len(state.members))),
            "errors": ("Things that do not work now", float(len(state.errors))),
            "canvas_fps": ("Pictures of the room a second", state.canvas_fps),
            "join_seconds": (
                "From the last join to the first picture",
                None if state.joined_ms is None else state.joined_ms / 1000,
            ),
        }
        for name, (text, value) in gauges.items():
            if value is not None:
                yield GaugeMetricFamily(f"roomlet_{name}", text, value=value)
        for name, figure in sorted(state.stats.items()):
            if isinstance(figure, str):
                continue
            kind = CounterMetricFamily if name in _COUNTERS else GaugeMetricFamily
            yield kind(f"roomlet_{name}", f"{name.replace('_', ' ')}", value=float(figure))


def _one_of(name: str, text: str, label: str, value: str, kinds: Any) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for kind in kinds:
        family.add_metric([kind.value], float(kind.value == value))
    return family


class MetricsServer:
    """Serves the figures of one device.

    `listen` is `HOST:PORT`, where port 0 takes a free one, or `unix:PATH`; the socket there is for
    its owner and group.
    """

    def __init__(self, device: Measured, listen: str) -> None:
        self._listen = listen
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(DeviceCollector(device))
        self._server: EmbeddedServer | None = None
        self._serving: asyncio.Task[None] | None = None
        self.address = ""
        """`HOST:PORT` with the port really taken, or `unix:PATH`; valid after `start`."""

    async def start(self) -> None:
        """Listen and serve.  Raises MetricsError."""
        listener = self._bind()
        name = listener.getsockname()
        self.address = f"{_UNIX}{name}" if isinstance(name, str) else f"{name[0]}:{name[1]}"
        self._server = EmbeddedServer(
            uvicorn.Config(
                make_asgi_app(self._registry),
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                http=partial(HttpProtocol, patience=_PATIENCE),  # type: ignore[arg-type]
                timeout_graceful_shutdown=1,
            )
        )
        try:
            self._serving = await self._server.begin(listener, "metrics")
        except BaseException:
            listener.close()
            raise

    async def stop(self) -> None:
        """Serve no longer.  Safe to call twice, or without `start`."""
        if self._server is None or self._serving is None:
            return
        self._server.should_exit = True
        await asyncio.gather(self._serving, return_exceptions=True)
        self._server = self._serving = None
        if self._listen.startswith(_UNIX):
            with contextlib.suppress(OSError):
                Path(self._listen.removeprefix(_UNIX)).unlink()

    def _bind(self) -> socket.socket:
        listener: socket.socket | None = None
        try:
            if self._listen.startswith(_UNIX):
                path = Path(self._listen.removeprefix(_UNIX))
                with contextlib.suppress(FileNotFoundError):
                    # Left by one that was killed; anything else there is not ours to remove.
                    if stat.S_ISSOCK(path.lstat().st_mode):
                        path.unlink()
                listener = socket.socket(socket.AF_UNIX)
                before = os.umask(0o117)
                try:
                    listener.bind(str(path))
                finally:
                    os.umask(before)
            else:
                host, port = parse_listen(self._listen)
                listener = Listener(host, port, name="metrics", most=_MOST, most_each=_MOST_EACH)
            listener.listen(16)
            listener.setblocking(False)
        except OSError as error:
            if listener is not None:
                listener.close()
            reason = (error.strerror or str(error)).lower()
            raise MetricsError(
                f"metrics cannot listen on {self._listen}: {reason}; change metrics.listen"
            ) from error
        return listener
