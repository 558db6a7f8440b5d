"""A device and its panel, from start to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from appliance.panel import Panel
from appliance.provisioning import Config
from appliance.service.device import Device
from appliance.service.hardware import build


async def serve(
    config: Config,
    on_ready: Callable[[str | None], None],
    stop: asyncio.Event,
    *,
    patient: bool = True,
) -> None:
    """Run a device until `stop` is set, and leave its room then.

    `on_ready` is called with the panel's address (None without a panel) once the device works;
    it may not be in its room yet.  `patient` is that of `Attendance`.  Raises ConfigError and
    HalError about the hardware, `appliance.panel.ListenError`, and what `Attendance.run` raises.
    """
    # Looking for devices reads files and asks libraries: not on the loop.
    hardware = await asyncio.to_thread(build, config)
    device = Device(config, hardware, patient=patient)
    panel: Panel | None = None
    if config.panel.enabled:
        panel = Panel(
            device,
            config.panel.listen,
            embed_origins=config.panel.frame_ancestors,
            hosts=config.panel.hosts,
        )
    stopped = asyncio.create_task(stop.wait(), name="stop")
    ended: asyncio.Task[None] | None = None
    try:
        if panel is not None:
            await panel.start()
        await device.start()
        on_ready(None if panel is None else panel.url)
        ended = asyncio.create_task(device.wait(), name="end")
        await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            ended.result()
    finally:
        stopped.cancel()
        if ended is not None:
            ended.cancel()
        # The device first: its gates close before anything is waited for.
        await device.stop()
        if panel is not None:
            await panel.stop()
