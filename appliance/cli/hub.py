"""`roomlet hub`."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Annotated, Final

import typer

from appliance.cli.loop import run_until_signal
from appliance.cli.options import DATA, DATA_HELP, checked, data_directory

LISTEN: Final = "127.0.0.1:8080"
CANVAS: Final = "1280x720"
FPS: Final = 30
MAX_MEMBERS: Final = 50

app = typer.Typer()


@app.command()
def hub(
    listen: Annotated[str, typer.Option(help="HOST:PORT; port 0 takes a free one.")] = LISTEN,
    data: Annotated[
        Path | None, typer.Option(help=DATA_HELP, show_default=DATA, readable=False)
    ] = None,
    open_room: Annotated[
        list[str] | None, typer.Option(help="A room that any visitor of the page may enter.")
    ] = None,
    cert: Annotated[
        Path | None, typer.Option(help="Certificate chain (PEM), for https.", readable=False)
    ] = None,
    key: Annotated[Path | None, typer.Option(help="Its private key (PEM).", readable=False)] = None,
    panel: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=URL", help="A device's panel to show beside a room's page."),
    ] = None,
    canvas: Annotated[
        str, typer.Option(metavar="WIDTHxHEIGHT", help="Size of a room's picture, in pixels.")
    ] = CANVAS,
    fps: Annotated[int, typer.Option(help="Pictures a second of a room's picture.")] = FPS,
    max_members: Annotated[
        int, typer.Option(help="Members of a room at most, the audience not counted.")
    ] = MAX_MEMBERS,
    media_address: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IP",
            help="A local address to receive media at, in place of all that fit --listen.",
        ),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A further host name that the hub is reached by."),
    ] = None,
) -> None:
    """The room server; says on one line when it is ready."""
    from appliance.hub import server
    from appliance.hub.config import HubConfig
    from appliance.service.notify import Notifier
    from appliance.service.vigil import Vigil

    links = [_panel_link(text) for text in panel or ()]
    width, height = _size(canvas)
    config = checked(
        lambda: HubConfig(
            listen=listen,
            data=data_directory(data),
            open_rooms=tuple(open_room or ()),
            cert=cert,
            key=key,
            panels=links,
            width=width,
            height=height,
            rate=fps,
            max_members=max_members,
            addresses=media_address or None,
            allowed_hosts=tuple(allowed_host or ()),
        )
    )

    notifier = Notifier()
    # Its loop turns: that is all there is to watch.
    vigil = Vigil(notifier, dict, lambda _: None)

    def ready(url: str) -> None:
        print(f"roomlet hub ready at {url}", flush=True)
        notifier.status(f"Serving at {url}.")
        notifier.ready()
        vigil.start()

    async def work(stop: asyncio.Event) -> None:
        try:
            await server.serve(config, ready, stop)
        finally:
            notifier.stopping()
            await vigil.stop()

    run_until_signal(work)


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
    if match is None:
        raise typer.BadParameter(f"--canvas takes WIDTHxHEIGHT, as 1280x720, not {text!r}")
    return int(match[1]), int(match[2])


def _panel_link(text: str) -> dict[str, str]:
    name, separator, url = text.partition("=")
    if not separator:
        raise typer.BadParameter(f"--panel takes NAME=URL, not {text!r}")
    return {"name": name, "url": url}
