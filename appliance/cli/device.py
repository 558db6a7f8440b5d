"""`roomlet run` and `roomlet join`: the appliance itself."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.config import ROOT_HELP
from appliance.cli.loop import run_until_signal
from appliance.cli.options import checked

if TYPE_CHECKING:
    from hal.device import Kind


app = typer.Typer()


@app.command()
def run(
    config: Annotated[
        Path | None,
        typer.Option(
            help="The device's configuration, a TOML file; else what is provisioned.",
            readable=False,
        ),
    ] = None,
    root: Annotated[Path, typer.Option(help=ROOT_HELP, readable=False)] = Path("/"),
) -> None:
    """The appliance, as a configuration describes it; SIGHUP reads that again."""
    import asyncio
    import faulthandler

    from appliance.provisioning.provisioner import provisioner_under
    from appliance.service import daemon
    from appliance.service.settings import FileSettings, ProvisionedSettings

    # A service manager that gives up on it ends it by SIGABRT: the log shall tell where it hung.
    faulthandler.enable()
    settings = (
        ProvisionedSettings(provisioner_under(root)) if config is None else FileSettings(config)
    )
    reload = asyncio.Event()

    def ready(panel: str | None) -> None:
        print(f"roomlet device ready{'' if panel is None else f', panel at {panel}'}", flush=True)

    run_until_signal(lambda stop: daemon.Daemon(settings, ready).run(stop, reload), reload)


@app.command()
def join(
    host: Annotated[str, typer.Argument(help="The room server: HOST, or ws://HOST:PORT.")],
    room: Annotated[str, typer.Argument(help="The room.")],
    token: Annotated[
        str | None,
        typer.Option(envvar="ROOMLET_TOKEN", help="Room token; without one, come in as a guest."),
    ] = None,
    name: Annotated[str, typer.Option(help="What the others see, for a guest.")] = "Roomlet",
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="Simulated devices instead of this machine's.")
    ] = False,
    camera: Annotated[
        str | None, typer.Option(metavar="BACKEND[:DEVICE]", help="See 'roomlet devices'.")
    ] = None,
    microphone: Annotated[str | None, typer.Option(metavar="BACKEND[:DEVICE]")] = None,
    speaker: Annotated[str | None, typer.Option(metavar="BACKEND[:DEVICE]")] = None,
    display: Annotated[str | None, typer.Option(metavar="BACKEND[:DEVICE]")] = None,
    panel: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where the panel is.")
    ] = "127.0.0.1:0",
) -> None:
    """An appliance at once, with this machine's devices; Ctrl-C leaves the room."""
    from appliance.provisioning.config import Config
    from appliance.service import daemon
    from appliance.signaling.token import inspect

    if not logging.getLogger().isEnabledFor(logging.DEBUG):
        # A device that fails at the start is this command's error, told once; how devices are
        # watched is of no matter to a visit.
        for quiet in ("appliance.media", "hal.hotplug"):
            logging.getLogger(quiet).setLevel(logging.ERROR)
    if token is not None and inspect(token).room not in (None, room):
        raise typer.BadParameter(f"the token is for room {inspect(token).room}, not {room}")
    stand_in = {"display": "memory", "controls": "virtual"} if synthetic else {}
    wishes: dict[Kind, str | None] = {
        "camera": camera,
        "microphone": microphone,
        "speaker": speaker,
        "controls": None,
        "display": display,
    }
    sections = {
        kind: _device(kind, wish, stand_in.get(kind, "synthetic" if synthetic else "auto"))
        for kind, wish in wishes.items()
    }
    entrance = {"guest": True} if token is None else {"token": token}
    settings = checked(
        lambda: Config.model_validate(
            {
                "room": {"host": host, "name": room, "user_name": name, **entrance},
                "panel": {"listen": panel},
                **sections,
            }
        )
    )

    def ready(url: str | None) -> None:
        typer.echo(f"joining {room}; the panel is at {url}")

    run_until_signal(lambda stop: daemon.serve(settings, ready, stop, patient=False))


def _device(kind: Kind, wish: str | None, backend: str) -> dict[str, str]:
    """`BACKEND[:DEVICE]` as a section of a configuration; a backend that nobody knows is bad
    usage."""
    from hal import registry
    from hal.errors import BackendUnavailable, DeviceNotFound

    name, _, device = (wish or backend).partition(":")
    if wish and name != "auto":
        try:
            registry.load(kind, name)
        except DeviceNotFound as error:
            raise typer.BadParameter(f"--{kind}: {error}") from None
        except BackendUnavailable:
            # It is known; that it does not work here is the device's own error.
            pass
    return {"backend": name, **({"device": device} if device else {})}
