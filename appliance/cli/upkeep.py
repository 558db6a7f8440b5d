"""`roomlet update` and `roomlet reboot`: what has to wait until nobody would miss the device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.loop import run_until_signal

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

app = typer.Typer()

DIRECTORY = Annotated[
    Path | None,
    typer.Option(metavar="DIRECTORY", help="The service's runtime directory.", readable=False),
]
LOCK = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The file by which it is wished for.", readable=False),
]

LOOK_EVERY = 0.5
"""Seconds between two looks at what the device says."""

GOING_DOWN = 60.0
"""Seconds in which the machine should have begun to go down."""


@app.command(context_settings={"ignore_unknown_options": True})
def update(
    command: Annotated[list[str], typer.Argument(help="The updater, as in: rauc install FILE.")],
    directory: DIRECTORY = None,
    lock: LOCK = None,
) -> int:
    """Run an updater when nobody is in a call and its hours have come.

    The device shows it, and stays out of its room meanwhile. The exit code is the updater's.
    """
    import shutil

    if shutil.which(command[0]) is None:
        # Told at once, not when its turn has come.
        raise typer.BadParameter(f"there is no program {command[0]!r} here", param_hint="COMMAND")
    return _when_idle(command, directory, lock, None)


@app.command()
def reboot(
    config: Annotated[
        Path | None,
        typer.Option(
            help="The device's configuration, a TOML file; else what is provisioned.",
            readable=False,
        ),
    ] = None,
    directory: DIRECTORY = None,
    lock: LOCK = None,
) -> int:
    """Restart the machine when nobody is in a call, in the hours for updates.

    The exit code is 7 where the configuration says never.
    """
    from appliance.provisioning import load
    from appliance.provisioning.provisioner import Provisioner

    def setting() -> str:
        updates = Provisioner().updates() if config is None else load(config).updates
        return updates.reboot

    return _when_idle(["systemctl", "reboot"], directory, lock, setting)


def _when_idle(
    command: list[str],
    directory: Path | None,
    lock: Path | None,
    reboot: Callable[[], str] | None,
) -> int:
    import asyncio
    import contextlib

    from appliance.cli.exit_code import ExitCode
    from appliance.service import state_file, upkeep

    leave = upkeep.Leave(directory or state_file.DEFAULT, reboot=reboot)

    async def begin(stop: asyncio.Event) -> bool:
        while not stop.is_set():
            if leave.given():
                return True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await stop.wait()
        return False

    async def last(stop: asyncio.Event) -> None:
        # The wish ends with this process, and the device must not come back now.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOING_DOWN):
                await stop.wait()

    # Tells at once, not after hours, what will never be.
    leave.given()
    with upkeep.wish(lock or upkeep.LOCK):
        if not run_until_signal(begin):
            return ExitCode.OTHER
        code, told = _run(command)
        if reboot is not None and code == 0 and not told:
            run_until_signal(last)
    return code


def _run(command: list[str]) -> tuple[int, bool]:
    """Run a command: its exit code, as a shell has it, and whether it was told to end.

    Such a signal goes on to it and does not end this process: the wish has to last for as long
    as the updater does.  Raises OSError.
    """
    import signal
    import subprocess
    from types import FrameType

    told: list[int] = []
    updater: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, _: FrameType | None) -> None:
        told.append(number)
        if updater is not None:
            updater.send_signal(number)

    before = {one: signal.signal(one, pass_on) for one in (signal.SIGTERM, signal.SIGHUP)}
    # A terminal gives it to both.
    before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda number, _: told.append(number))
    try:
        updater = subprocess.Popen(command)
        for number in told:
            # Those that came before it was there, and perhaps one twice.
            updater.send_signal(number)
        code = updater.wait()
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    return code if code >= 0 else 128 - code, bool(told)
