"""`roomlet provision`: a fleet's files made and signed, and taken by its devices."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.config import ROOT_HELP, warnings_kept
from appliance.cli.exit_code import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.provisioning.minisign import PublicKey, SecretKey

PUBLIC_HELP = "minisign public key: its file, or the key itself."
SECRET_HELP = "minisign secret key file; its password is asked for."

_MOST = 4096
"""Bytes of a file with a key or a password."""

app = typer.Typer(no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="The folder of the fleet's files.", readable=False)]
Secret = Annotated[Path, typer.Option("--key", metavar="FILE", help=SECRET_HELP, readable=False)]
Public = Annotated[str, typer.Option("--public-key", metavar="KEY", help=PUBLIC_HELP)]
Password = Annotated[
    Path | None,
    typer.Option(
        "--password-file", metavar="FILE", help="The password, for scripts.", readable=False
    ),
]
Root = Annotated[Path, typer.Option(help=ROOT_HELP, readable=False)]


@app.command()
def keys(
    name: Annotated[
        Path, typer.Argument(help="NAME.key and NAME.pub are written.", readable=False)
    ],
    locked: Annotated[
        bool, typer.Option("--locked/--unlocked", help="Whether a password locks the secret key.")
    ] = True,
    password_file: Password = None,
) -> None:
    """A new pair of keys; what minisign -G makes does as well."""
    from appliance.provisioning.minisign import SecretKey

    secret, public = name.with_name(f"{name.name}.key"), name.with_name(f"{name.name}.pub")
    for path in (secret, public):
        if path.exists():
            raise typer.BadParameter(f"{path} is there already; choose another name")
    password = _password(password_file, confirm=True) if locked else None
    made = SecretKey.generate()
    _write(secret, made.file(password), 0o600)
    _write(public, made.public.file, 0o644)
    typer.echo(made.public)


@app.command()
def render(
    table: Annotated[
        Path, typer.Argument(help="CSV: a row a room, a column serial or mac.", readable=False)
    ],
    template: Annotated[
        Path, typer.Argument(help="TOML with ${column} where cells go.", readable=False)
    ],
    folder: Folder,
    over: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The fleet's file, which lies below each.", readable=False
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and write nothing.")
    ] = False,
) -> int:
    """A file for each row of a table, each checked; all of them, or none."""
    from appliance.provisioning.errors import ConfigErrors
    from appliance.provisioning.rendering import render

    try:
        with _warnings_told():
            rendered = render(table, template, folder, over)
    except ConfigErrors as error:
        for one in error.errors:
            typer.echo(f"roomlet: {one}", err=True)
        fleets = folder / "fleet.toml"
        if over is None and fleets.exists():
            typer.echo(f"{fleets} did not count; --over {fleets} lays it below each", err=True)
        typer.echo("nothing is written; mend these first", err=True)
        return ExitCode.CONFIGURATION
    if dry_run:
        typer.echo(rendered.diff(), nl=False)
    else:
        rendered.write(folder)
    verb = "would change" if dry_run else "changed"
    typer.echo(f"{len(rendered.changed)} of {len(rendered.files)} files {verb}", err=True)
    for name in rendered.strangers:
        typer.echo(f"{name} is of no device in {table}; delete it if it is not wanted", err=True)
    return ExitCode.OK


@app.command()
def sign(
    folder: Folder,
    key: Secret,
    serial: Annotated[
        int | None,
        typer.Option(
            min=0, max=10**15 - 1, help="Instead of the time; devices refuse a smaller one."
        ),
    ] = None,
    password_file: Password = None,
) -> None:
    """Sign what is new or changed in a folder; the rest keeps its signatures."""
    from appliance.provisioning import fleet

    for name in fleet.sign(folder, _secret(key, password_file), serial):
        typer.echo(f"signed {name}")


@app.command()
def verify(folder: Folder, public_key: Public) -> None:
    """Whether devices would take a folder's files."""
    from appliance.provisioning import fleet

    with _warnings_told():
        serials = fleet.verify(folder, _public(public_key))
    for name, serial in serials.items():
        typer.echo(f"{name} {serial}")


@app.command()
def bundle(
    folder: Folder,
    public_key: Public,
    out: Annotated[Path, typer.Option(metavar="FILE", help="A .tar.gz.", readable=False)],
) -> None:
    """Verify a folder's files and pack them, for a web server or a USB stick."""
    from appliance.provisioning import fleet

    if not out.name.endswith((".tar.gz", ".tgz")):
        raise typer.BadParameter(f"{out} is to be a .tar.gz; name it so", param_hint="--out")
    with _warnings_told():
        names = fleet.bundle(folder, _public(public_key), out)
    typer.echo(f"{out}: {len(names)} files")


@app.command()
def rotate(
    folder: Folder,
    key: Secret,
    to: Annotated[str, typer.Option(metavar="KEY", help=f"The next {PUBLIC_HELP}")],
    password_file: Password = None,
) -> None:
    """The file that leads devices from one key to the next; then sign the folder with the next."""
    from appliance.provisioning import rotation

    typer.echo(rotation.rotate(folder, _secret(key, password_file), _public(to)))


@app.command()
def fetch(
    when_due: Annotated[
        bool, typer.Option("--when-due", help="For a timer: only if the time has come.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Take older files too, and what once failed.")
    ] = False,
    root: Root = Path("/"),
) -> None:
    """Look for a new configuration of this device at its web servers."""
    from appliance.provisioning.provisioner import provisioner_under

    _tell(asyncio.run(provisioner_under(root).fetch(when_due=when_due, force=force)))


@app.command()
def take(
    folder: Annotated[
        Path, typer.Argument(help="As a USB stick's; it must be allowed here.", readable=False)
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Take older files too, and what once failed.")
    ] = False,
    root: Root = Path("/"),
) -> None:
    """Take a fleet's signed files from a folder."""
    from appliance.provisioning.provisioner import provisioner_under

    _tell(asyncio.run(provisioner_under(root).take(folder, force=force)))


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="For programs: a JSON object.")] = False,
    root: Root = Path("/"),
) -> None:
    """What has become of this device's configurations."""
    from appliance.provisioning.provisioner import provisioner_under

    told = provisioner_under(root).status()
    if as_json:
        typer.echo(told.model_dump_json(indent=2))
        return
    typer.echo(f"device: {told.identity}")
    typer.echo(f"in force: {told.generation or 'none'}{', on trial' if told.on_trial else ''}")
    typer.echo(f"last good: {told.last_good or 'none'}")
    for refusal in told.refusals:
        number = "" if refusal.generation is None else f"{refusal.generation}, "
        back = "" if refusal.back_to is None else f"; back to {refusal.back_to}"
        typer.echo(f"refused: {number}{refusal.reason}{back}")
    for key in told.overrides:
        typer.echo(f"changed at the panel: {key}")


@app.command()
def forget(
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY]...", help="As in speaker.volume.")
    ] = None,
    root: Root = Path("/"),
) -> None:
    """Take back what was changed at the device itself; without KEYs, all of it."""
    from appliance.provisioning.provisioner import provisioner_under

    provisioner = provisioner_under(root)
    changed = provisioner.status().overrides
    for key in changed if keys is None else keys:
        if key not in changed:
            raise typer.BadParameter(f"{key} was not changed at this device; see: status")
        provisioner.override(key.split("."), None)
        typer.echo(f"taken back: {key}")


@contextlib.contextmanager
def _warnings_told() -> Iterator[None]:
    """What the files themselves are warned of, each on a line of its own."""
    with warnings_kept() as warnings:
        try:
            yield
        finally:
            for text in warnings:
                typer.echo(f"roomlet: warning: {text}", err=True)


def _tell(generation: int | None) -> None:
    if generation is None:
        typer.echo("nothing new")
    else:
        typer.echo(f"configuration {generation} is in force, on trial")


def _public(given: str) -> PublicKey:
    from appliance.provisioning.minisign import MinisignError, PublicKey

    path = Path(given)
    try:
        text = _text(path)
    except OSError as error:
        # A key itself is no name of a file, or too long for one.
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            raise
    else:
        with _of(path):
            return PublicKey.parse(text)
    try:
        return PublicKey.parse(given)
    except MinisignError as error:
        raise MinisignError(
            f"{given}: there is no such file, nor is it a minisign public key itself; "
            "check the path, or copy the key whole"
        ) from error


def _secret(path: Path, password_file: Path | None) -> SecretKey:
    from appliance.provisioning.minisign import Locked, SecretKey

    text = _text(path)
    with _of(path):
        try:
            return SecretKey.parse(text)
        except Locked:
            return SecretKey.parse(text, _password(password_file))


@contextlib.contextmanager
def _of(path: Path) -> Iterator[None]:
    """Has the error of a key say which file it is in."""
    from appliance.provisioning.minisign import Locked, MinisignError

    try:
        yield
    except Locked:
        raise
    except MinisignError as error:
        raise MinisignError(f"{path} {error}") from error


def _password(path: Path | None, *, confirm: bool = False) -> str:
    """That of the secret key.  Raises BadParameter where there is none and nobody to ask."""
    if path is not None:
        given = _text(path).rstrip("\n")
        if not given:
            raise typer.BadParameter(
                f"--password-file: {path} is empty; write the password into it"
            )
        return given
    if not _can_ask():
        raise typer.BadParameter(
            "the secret key needs a password, and there is no terminal to ask for it; "
            "give it with --password-file"
        )
    answer: str = typer.prompt(
        "Password of the secret key", hide_input=True, confirmation_prompt=confirm, err=True
    )
    return answer


def _can_ask() -> bool:
    """Whether a password can be typed unseen: as `getpass` looks for a terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return sys.stdin.isatty()
    return True


def _text(path: Path) -> str:
    """What stands in a small file.  Raises OSError and MinisignError."""
    from appliance.provisioning.minisign import MinisignError

    with path.open("rb") as file:
        data = file.read(_MOST + 1)
    try:
        if len(data) <= _MOST:
            return data.decode()
    except UnicodeDecodeError:
        pass
    raise MinisignError(f"{path} is neither a key nor a password; check its name")


def _write(path: Path, text: str, mode: int) -> None:
    from appliance.provisioning.files import write_whole

    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode(), mode)
