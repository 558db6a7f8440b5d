"""The program: its commands gathered, its log, and how its failures are told.

Whatever goes wrong is a line on the standard error, `roomlet: what; what to do`, and an exit
code by its kind; `--debug` adds the traceback.
"""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
from typing import Annotated, Any

import typer

from appliance import __version__
from appliance.cli import (
    config,
    demo,
    device,
    devices,
    doctor,
    hub,
    lights,
    log,
    provision,
    service,
    token,
    upkeep,
)
from appliance.cli.exit_code import ExitCode, code_of, each_of, line_of
from appliance.service import journal, log_ring
from appliance.service.children import end_with_parent

# A command imports what it needs when it runs: `roomlet --help` must not wait for codecs.

app = typer.Typer(
    name="roomlet",
    help="A meeting-room appliance, and the room server that it joins.",
    epilog=(
        "Exit codes: 0 all well, 2 usage, 3 configuration, 4 device, 5 network,"
        " 6 authorization, 7 not wanted, 1 anything else."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# In the order of the help. A module without a name adds its commands to the top level.
for commands in (demo, hub, device, token, devices, doctor, service, upkeep, lights):
    app.add_typer(commands.app)
app.add_typer(config.app, name="config", help="Look at configurations.")
app.add_typer(log.app, name="log", help="What a device remembers of its past.")
app.add_typer(provision.app, name="provision", help="Make a fleet's configurations, and take one.")


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


def main() -> None:
    """Run the command and exit with the code of what happened."""
    end_with_parent()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # As the standard error has it: what cannot be shown must not end the command.
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(run())


def run() -> int:
    """Run the command; the code of what happened."""
    usage_error: Any = typer.BadParameter.__mro__[1]
    debug = "--debug" in sys.argv[1:]
    try:
        result = app(prog_name="roomlet", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Whoever read our words has gone.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OTHER
    except usage_error as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "roomlet"
        # Without a command there is nothing to complain of: the help has just been printed.
        if text := _formatted(error):
            _complain(f"{text}; see '{command} --help'")
        return ExitCode.USAGE
    except Exception as error:
        if debug:
            logging.getLogger(__name__).exception("failed")
        for one in each_of(error):
            _complain(line_of(one))
        return code_of(error)
    return result if isinstance(result, int) else ExitCode.OK


def _formatted(error: BaseException) -> str:
    from pydantic import ValidationError

    from appliance.words import in_words

    if isinstance(error, typer.BadParameter) and isinstance(error.__cause__, ValidationError):
        # What typer has let pydantic look at.
        error.message = in_words(error.__cause__.errors(include_url=False)[0])
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    return " ".join(str(text).split()).rstrip(".")


def _complain(text: str) -> None:
    print(f"roomlet: {text}", file=sys.stderr)


def _log(level: int) -> None:
    logging.basicConfig(level=level, handlers=[journal.handler(), log_ring.RING])
    for chatty in ("aioice", "aiortc", "websockets", "uvicorn", "asyncio", "httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))
