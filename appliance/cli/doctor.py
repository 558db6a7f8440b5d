"""`roomlet doctor`."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.config import ROOT_HELP
from appliance.cli.exit_code import ExitCode
from appliance.cli.loop import run_until_signal

if TYPE_CHECKING:
    from appliance.service.doctor import Outcome, Patient

app = typer.Typer()


@app.command()
def doctor(
    config: Annotated[
        Path | None,
        typer.Option(
            help="The device's configuration, a TOML file; else what is provisioned.",
            readable=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one JSON object.")] = False,
    ask: Annotated[
        bool, typer.Option("--ask", help="Ask what lights show and speakers play.")
    ] = False,
    root: Annotated[Path, typer.Option(help=ROOT_HELP, readable=False)] = Path("/"),
) -> int:
    """Tries everything that the device needs, and says what to do about what does not work.

    Plays a tone, and calls the room for a moment.
    """
    from appliance.provisioning import Config, ConfigError, ProvisioningError, load
    from appliance.provisioning.provisioner import provisioner_under
    from appliance.service import state_file
    from appliance.service.doctor import Patient

    if not logging.getLogger().isEnabledFor(logging.DEBUG):
        # What is wrong is said once, in its line.  Not the loggers' level: some are listened to.
        for handler in logging.getLogger().handlers:
            handler.setLevel(logging.CRITICAL)
    found: Config | ConfigError | ProvisioningError
    try:
        found = load(config) if config is not None else provisioner_under(root).look().config
    except (ConfigError, ProvisioningError) as error:
        found = error
    patient = Patient(
        found,
        person=_Asked() if ask else None,
        state=state_file.read(root / str(state_file.DEFAULT / state_file.NAME).lstrip("/")),
        root=root,
    )
    outcomes: list[Outcome] = run_until_signal(lambda stop: _examine(patient, as_json, stop))
    failed = [outcome for outcome in outcomes if outcome.failed]
    if as_json:
        report = {"ok": not failed, "checks": [outcome.to_json() for outcome in outcomes]}
        typer.echo(json.dumps(report, indent=2, ensure_ascii=False))
    return ExitCode.OTHER if failed else ExitCode.OK


async def _examine(patient: Patient, quiet: bool, stop: asyncio.Event) -> list[Outcome]:
    from appliance.service.doctor import examination

    outcomes: list[Outcome] = []

    async def examine() -> None:
        async for outcome in examination(patient):
            outcomes.append(outcome)
            if not quiet:
                typer.echo(_line(outcome))

    examining = asyncio.create_task(examine(), name="doctor")
    stopping = asyncio.create_task(stop.wait(), name="doctor's end")
    try:
        await asyncio.wait({examining, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not examining.done():
            raise typer.Abort
        examining.result()
    finally:
        for task in (examining, stopping):
            task.cancel()
        await asyncio.wait({examining, stopping})
    return outcomes


def _line(outcome: Outcome) -> str:
    from appliance.service.doctor import Verdict

    finding = outcome.finding
    word, colour = {
        Verdict.OK: ("ok", typer.colors.GREEN),
        Verdict.WARN: ("warn", typer.colors.YELLOW),
        Verdict.FAIL: ("FAIL", typer.colors.RED),
        Verdict.SKIPPED: ("skipped", None),
    }[finding.verdict]
    remedy = f"; {finding.remedy}" if finding.remedy else ""
    return f"{typer.style(f'{word:<7}', fg=colour)}  {outcome.name:<13}  {finding.text}{remedy}"


class _Asked:
    """Whoever sits at the terminal.  Asked on the standard error, so that a report stays whole."""

    def tell(self, text: str) -> None:
        """See `Person.tell`."""
        print(text, file=sys.stderr, flush=True)

    async def agrees(self, question: str) -> bool | None:
        """See `Person.agrees`."""
        from appliance.service.doctor.check import on_thread

        print(f"{question} [y/n] ", end="", file=sys.stderr, flush=True)

        def answer(_: threading.Event) -> str:
            return sys.stdin.readline()

        return {"y": True, "n": False}.get((await on_thread(answer)).strip().lower()[:1])
