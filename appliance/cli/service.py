"""`roomlet fault` and `roomlet state`: what stands beside a device that is a service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.exit_code import ExitCode
from appliance.cli.loop import run_until_signal

app = typer.Typer()


@app.command()
def fault(
    config: Annotated[
        Path | None,
        typer.Option(
            help="The device's configuration, a TOML file; else what is provisioned.",
            readable=False,
        ),
    ] = None,
    reason: Annotated[str, typer.Option(help="What is wrong, for the screen.")] = "",
    seconds: Annotated[float, typer.Option("--for", help="How long, in seconds.")] = 600.0,
) -> None:
    """Lights and screen of a device that could not be begun; it captures nothing."""
    from appliance.provisioning import Config, ConfigError, ProvisioningError, load
    from appliance.provisioning.provisioner import Provisioner
    from appliance.service import breakdown

    settings: Config | None = None
    try:
        settings = load(config) if config is not None else Provisioner().look().config
    except (ConfigError, ProvisioningError) as error:
        # This is likely to be the fault itself.
        reason = reason or str(error)
    run_until_signal(lambda stop: breakdown.serve(settings, reason, seconds, stop))


@app.command()
def state(
    idle: Annotated[
        bool,
        typer.Option("--idle", help="Say nothing; exit 0 if nobody is in a call, else 1."),
    ] = False,
    directory: Annotated[
        Path | None,
        typer.Option(metavar="DIRECTORY", help="The service's runtime directory.", readable=False),
    ] = None,
) -> int:
    """What the device is doing; for scripts that restart a machine or update it."""
    import json

    from appliance.service import state_file

    found = state_file.read((directory or state_file.DEFAULT) / state_file.NAME)
    if idle:
        # One that does not run is in no call.
        return ExitCode.OK if found.get("idle", True) else ExitCode.OTHER
    typer.echo(json.dumps(found or {"status": "stopped"}))
    return ExitCode.OK
