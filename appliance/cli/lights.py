"""`roomlet lights`: what a device's lights show when it does not run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.loop import run_until_signal

if TYPE_CHECKING:
    import asyncio

    from appliance.provisioning import Config
    from hal.controls import Button

app = typer.Typer()


class Show(StrEnum):
    """What they are to show."""

    OFF = "off"
    FAULT = "fault"


@app.command()
def lights(
    show: Annotated[Show, typer.Argument(help="What they are to show.")],
    config: Annotated[
        Path | None,
        typer.Option(
            help="The device's configuration, a TOML file; else what is provisioned.",
            readable=False,
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option("--for", min=0, help="How long the fault is shown, in seconds.")
    ] = 2.0,
) -> None:
    """The lights of a device that does not run: dark at once, or after a fault was shown.

    For a service manager, once the device has ended: one that was killed leaves its lights as
    they were.
    """
    from appliance.provisioning import load
    from appliance.provisioning.provisioner import Provisioner

    settings = load(config) if config is not None else Provisioner().look().config
    if settings is not None:
        fault = seconds if show is Show.FAULT else None
        run_until_signal(lambda stop: drive(settings, fault, stop))


async def drive(config: Config, fault: float | None, stop: asyncio.Event) -> None:
    """Show a fault for so many seconds, or until `stop` is set, and then nothing; with None,
    nothing at once.  Raises ConfigError, HalError."""
    import asyncio
    import contextlib

    from appliance.service import hardware
    from hal.controls import CameraLight, Status, Tally

    controls = await asyncio.to_thread(hardware.controls, config)
    with controls:
        controls.open(asyncio.get_running_loop(), _deaf)
        if fault is not None:
            controls.set_tally(Tally.FAULT)
            controls.set_camera_light(CameraLight.FAULT)
            controls.set_status(Status.FAULT)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(fault):
                    await stop.wait()
        # Closing puts every light out; these are also read back.
        controls.set_tally(Tally.OFF)
        controls.set_camera_light(CameraLight.OFF)


def _deaf(button: Button, down: bool) -> None:
    """There is nothing to switch."""
