"""The command `roomlet`.

Whatever goes wrong is one line on the standard error, `roomlet: what; what to do`, and an exit
code by its kind; `--debug` adds the traceback.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from appliance import __version__
from appliance.service.children import end_with_parent

if TYPE_CHECKING:
    from hal.device import Kind

# Everything else is imported by the command that needs it: `roomlet --help` must not wait for
# codecs.

LISTEN: Final = "127.0.0.1:8080"
DATA: Final = "~/.local/share/roomlet/hub"
DATA_HELP: Final = "The hub's directory of keys and of all that it keeps."
OPTIONS: Final = {
    "room_name": "--room",
    "user_name": "--name",
    "permissions": "--permission",
    "join_until": "--minutes",
    "listen": "--listen",
    "open_rooms": "--open-room",
    "panels": "--panel",
    "room.host": "HOST",
    "room.name": "ROOM",
    "room.user_name": "--name",
    "room.token": "--token",
    "panel.listen": "--panel",
}
"""What the fields of settings are called on the command line."""


class Exit(IntEnum):
    """What the exit code says."""

    OK = 0
    OTHER = 1
    USAGE = 2
    CONFIGURATION = 3
    DEVICE = 4
    NETWORK = 5
    AUTHORIZATION = 6


app = typer.Typer(
    name="roomlet",
    help="A meeting-room appliance, and the room server that it joins.",
    epilog=(
        "Exit codes: 0 all well, 2 usage, 3 configuration, 4 device, 5 network,"
        " 6 authorization, 1 anything else."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"roomlet {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    debug: Annotated[
        bool, typer.Option("--debug", help="Log everything; show tracebacks.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Say the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    _log(logging.DEBUG if debug else logging.INFO)


@app.command()
def demo(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")
    ] = 8080,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--for",
            min=10,
            metavar="SECONDS",
            help="Look at two appliances for so many SECONDS, and report.",
        ),
    ] = None,
    report: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="File for the report, a JSON object; - is standard output."
        ),
    ] = None,
) -> None:
    """A hub and a simulated appliance on this machine, for a browser or a report."""
    from appliance.service import demo as demonstration

    def say(text: str) -> None:
        typer.echo(text, err=seconds is not None)

    if seconds is None:
        if report is not None:
            raise typer.BadParameter("--report needs --for SECONDS")
        _run(lambda stop: demonstration.meeting(port, say, stop))
        return
    path = None if report in (None, "-") else Path(report or "")
    if path is not None:
        # A file that cannot be written is told now, not when the time is over.
        path.open("a").close()
    figures = _run(lambda stop: demonstration.report(port, seconds, say, stop))
    text = json.dumps(figures, indent=2)
    try:
        if path is None:
            typer.echo(text)
        else:
            path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        if path is None:
            raise
        # What took so long to find out must not be lost.
        typer.echo(text)
        raise OSError(error.errno, error.strerror, str(path)) from error
    if figures["errors"]:
        raise typer.Exit(Exit.OTHER)


@app.command()
def hub(
    listen: Annotated[str, typer.Option(help="HOST:PORT; port 0 takes a free one.")] = LISTEN,
    data: Annotated[Path | None, typer.Option(help=DATA_HELP, show_default=DATA)] = None,
    open_room: Annotated[
        list[str] | None, typer.Option(help="A room that any visitor of the page may enter.")
    ] = None,
    cert: Annotated[Path | None, typer.Option(help="Certificate chain (PEM), for https.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
    panel: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=URL", help="A device's panel to show beside a room's page."),
    ] = None,
) -> None:
    """The room server; says on one line when it is ready."""
    from appliance.hub import server
    from appliance.hub.config import HubConfig

    links = [_panel_link(text) for text in panel or ()]
    config = _checked(
        lambda: HubConfig(
            listen=listen,
            data=_data(data),
            open_rooms=tuple(open_room or ()),
            cert=cert,
            key=key,
            panels=links,
        )
    )

    def ready(url: str) -> None:
        print(f"roomlet hub ready at {url}", flush=True)

    _run(lambda stop: server.serve(config, ready, stop))


@app.command()
def run(
    config: Annotated[Path, typer.Option(help="The device's configuration, a TOML file.")],
) -> None:
    """The appliance, as a configuration describes it."""
    from appliance.provisioning import load
    from appliance.service import daemon

    settings = load(config)
    if not logging.getLogger().isEnabledFor(logging.DEBUG):
        logging.getLogger().setLevel(settings.log.level.upper())
    # A token that is missing is a mistake now; one that goes away later is waited for.
    settings.read_token()

    def ready(panel: str | None) -> None:
        print(f"roomlet device ready{'' if panel is None else f', panel at {panel}'}", flush=True)

    _run(lambda stop: daemon.serve(settings, ready, stop))


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
        # A device that fails at the start is this command's error, told once.
        logging.getLogger("appliance.media").setLevel(logging.ERROR)
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
    settings = _checked(
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

    _run(lambda stop: daemon.serve(settings, ready, stop, patient=False))


@app.command()
def token(
    room: Annotated[str, typer.Option(help="The room that it opens.")],
    name: Annotated[str | None, typer.Option(help="The member's name.")] = None,
    permission: Annotated[
        list[str] | None, typer.Option(help="As room.self.audio_mute; give as many as wanted.")
    ] = None,
    audience: Annotated[bool, typer.Option("--audience", help="To watch and hear only.")] = False,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="How long it lets in; without end if not given.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help=DATA_HELP, show_default=DATA)] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it there, for its owner alone (mode 0600)."),
    ] = None,
) -> None:
    """A room token, signed with the keys of a hub.

    The keys come from the hub's data directory, or from ROOMLET_PROJECT and ROOMLET_API_TOKEN.
    The token goes to the standard output, or with --out to a file that only its owner can read.
    """
    from datetime import UTC, datetime, timedelta

    from appliance.hub import keys
    from appliance.hub.tokens import TokenOptions, mint

    until = None if minutes is None else datetime.now(UTC) + timedelta(minutes=minutes)
    options = _checked(
        lambda: TokenOptions(
            room_name=room,
            user_name=name,
            permissions=permission or [],
            join_as="audience" if audience else "member",
            join_until=until,
            # Who holds the keys may make rooms.
            auto_create_room=True,
        )
    )
    secrets = keys.find(_data(data))
    minted = mint(options, secrets.signing_key, project=secrets.project)
    if out is None:
        typer.echo(minted)
    else:
        _write_secret(out, minted + "\n")


@app.command()
def devices(
    as_json: Annotated[bool, typer.Option("--json", help="For programs: a JSON array.")] = False,
) -> None:
    """The cameras, microphones, speakers, controls and screens of this machine."""
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from hal.registry import list_devices

    found = list_devices()
    if as_json:
        typer.echo(json.dumps([asdict(device) for device in found], indent=2))
        return
    table = Table("kind", "backend", "device", "label", box=None, header_style="bold")
    for device in found:
        table.add_row(device.kind, device.backend, device.id, device.label)
    Console(soft_wrap=True).print(table)


def main() -> None:
    """Run the command and exit with the code of what happened."""
    end_with_parent()
    sys.exit(_main())


def _main() -> int:
    usage_error: Any = typer.BadParameter.__mro__[1]
    debug = "--debug" in sys.argv[1:]
    try:
        result = app(prog_name="roomlet", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Whoever read our words has gone.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OTHER
    except usage_error as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "roomlet"
        # Without a command there is nothing to complain of: the help has just been printed.
        if text := _formatted(error):
            _complain(f"{text}; see '{command} --help'")
        return Exit.USAGE
    except Exception as error:
        if debug:
            logging.getLogger(__name__).exception("failed")
        _complain(_line(error))
        return _code(error)
    return result if isinstance(result, int) else Exit.OK


def _run(work: Callable[[asyncio.Event], Coroutine[Any, Any, Any]]) -> Any:
    """Do `work` on a loop; its event is set by the first signal that asks to end."""

    async def main() -> Any:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop.set)
        return await work(stop)

    return asyncio.run(main())


def _code(error: Exception) -> Exit:
    """The exit code of an error, by its kind."""
    from appliance.hub import errors as hub
    from appliance.panel import ListenError
    from appliance.provisioning import ConfigError
    from appliance.room import errors as room
    from appliance.service.demo import PortTaken
    from appliance.service.errors import EntranceClosed
    from appliance.signaling import errors as signaling
    from hal.errors import HalError

    if isinstance(error, ConfigError) and error.path is None:
        # Options of the command line, not a file: what counts is what became of them.
        error = error.__cause__ if isinstance(error.__cause__, HalError) else error
    kinds: tuple[tuple[tuple[type[Exception], ...], Exit], ...] = (
        ((ConfigError, hub.SettingError), Exit.CONFIGURATION),
        ((HalError, room.Overconstrained), Exit.DEVICE),
        (
            (
                signaling.AuthError,
                signaling.PermissionDenied,
                hub.TokenError,
                EntranceClosed,
                room.JoinRefused,
            ),
            Exit.AUTHORIZATION,
        ),
        (
            (
                hub.ListenError,
                ListenError,
                PortTaken,
                signaling.SignalingError,
                room.JoinTimeout,
            ),
            Exit.NETWORK,
        ),
    )
    return next((code for types, code in kinds if isinstance(error, types)), Exit.OTHER)


def _checked(make: Callable[[], Any]) -> Any:
    """What `make` makes of options; what pydantic refuses of them is bad usage."""
    from pydantic import ValidationError

    try:
        return make()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        fields = [str(part) for part in first["loc"] if isinstance(part, str)]
        name = next(
            (OPTIONS[key] for key in (".".join(fields), *fields[:1]) if key in OPTIONS),
            ".".join(fields),
        )
        text = str(first["msg"]).removeprefix("Value error, ")
        if first["type"] == "string_pattern_mismatch" and fields[:1] != ["panels"]:
            # Of all texts, only rooms' names have a pattern.
            text = "letters, digits, - and _ only"
        raise typer.BadParameter(f"{name}: {text}" if name else text) from None


def _data(given: Path | None) -> Path:
    """The hub's data directory, by default among the user's own data."""
    if given is not None:
        return given.expanduser()
    home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(home).expanduser() / "roomlet" / "hub"


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


def _panel_link(text: str) -> dict[str, str]:
    name, separator, url = text.partition("=")
    if not separator:
        raise typer.BadParameter(f"--panel takes NAME=URL, not {text!r}")
    return {"name": name, "url": url}


def _write_secret(path: Path, text: str) -> None:
    """Write a file that its owner alone can read, whatever it was before."""
    with open(
        path, "w", encoding="ascii", opener=lambda name, flags: os.open(name, flags, 0o600)
    ) as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)


def _formatted(error: BaseException) -> str:
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    return " ".join(str(text).split()).rstrip(".")


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        text = f"{error.filename}: {os.strerror(error.errno).lower()}; check the path"
    return text or f"{type(error).__name__}; run again with --debug to see where"


def _complain(text: str) -> None:
    print(f"roomlet: {text}", file=sys.stderr)


def _log(level: int) -> None:
    # systemd's journal has the time already.
    when = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    logging.basicConfig(
        level=level, stream=sys.stderr, format=f"{when}%(levelname)s %(name)s: %(message)s"
    )
    for chatty in ("aioice", "aiortc", "websockets", "uvicorn", "asyncio"):
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))
