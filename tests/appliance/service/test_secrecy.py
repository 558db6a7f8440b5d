"""Canaries wherever a configuration may hold a secret, and a log in which none sings."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest

from appliance.provisioning import Config
from appliance.service import journal
from appliance.service.journal import MASK, Secrets
from appliance.service.secrecy import conceal, secrets_of

FILES = {
    "room.secret": "Digest c4n4ry-endpoint",
    "calendar.secret": "c4n4ry-calendar",
    "turn.secret": "c4n4ry-turn",
    "room.token": "c4n4ry-token",
    "panel.pin": "c4n4ry-pin",
}


def config(folder: Path) -> Config:
    for name, text in FILES.items():
        path = folder / name
        path.write_text(text)
        path.chmod(0o600)
    return Config.model_validate(
        {
            "room": {
                "token_url": "https://rooms.example/token",
                "token_headers": {"X-Key": "c4n4ry-header"},
                "token_secret_file": folder / "room.secret",
            },
            "calendar": {
                "url": "https://calendar.example/c4n4ry-url",
                "user": "oak",
                "password_file": folder / "calendar.secret",
            },
            "network": {
                "turn_url": "turns:turn.example",
                "turn_user": "oak",
                "turn_password_file": folder / "turn.secret",
            },
            "panel": {"pin_file": folder / "panel.pin"},
            "controls": {"backend": "virtual", "options": {"api_token": "c4n4ry-option"}},
            "provisioning": {"proxy": "http://u:c4n4ry-proxy@proxy:3128"},
        }
    )


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    monkeypatch.setattr(journal, "SECRETS", Secrets())
    monkeypatch.setattr("appliance.service.secrecy.SECRETS", journal.SECRETS)
    stream = io.StringIO()
    handler = journal.handler(stream)
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    return stream


def test_no_secret_of_a_configuration_reaches_the_log(tmp_path: Path, lines: io.StringIO) -> None:
    told = config(tmp_path)
    secrets = [secret for secret in secrets_of(told) if secret]
    assert {secret.rpartition("c4n4ry-")[2] for secret in secrets} == {
        *("endpoint", "calendar", "turn", "pin", "header", "url", "option", "proxy")
    }
    logging.getLogger("appliance.of.this.test").warning("before: %s", secrets)
    assert "c4n4ry" in lines.getvalue()
    lines.truncate(0)
    conceal(told)
    # A library that knows nothing of it.
    log = logging.getLogger("some.library")
    for secret in secrets:
        log.warning("sent %r", {"it": secret})
        try:
            raise ValueError(f"refused: {secret}")
        except ValueError:
            log.exception("that was %s", secret)
    assert lines.getvalue().count(MASK) >= 2 * len(secrets)
    assert "c4n4ry" not in lines.getvalue()


def test_a_token_in_a_file_and_one_in_the_configuration(tmp_path: Path, lines: io.StringIO) -> None:
    config(tmp_path)
    for room in ({"token_file": tmp_path / "room.token"}, {"token": "c4n4ry-inline"}):
        conceal(Config.model_validate({"room": {"host": "h", **room}}))
    logging.getLogger("some.library").warning("c4n4ry-token, c4n4ry-inline")
    assert lines.getvalue().rstrip().endswith(f"{MASK}, {MASK}")


def test_a_pin_is_a_secret_but_the_log_does_not_tell_it_by_its_gaps(
    tmp_path: Path, lines: io.StringIO
) -> None:
    (tmp_path / "panel.pin").write_text("471147")
    (tmp_path / "panel.pin").chmod(0o600)
    told = Config.model_validate(
        {
            "room": {"host": "h", "name": "demo", "guest": True},
            "panel": {"pin_file": tmp_path / "panel.pin"},
        }
    )
    assert "471147" in set(secrets_of(told))
    conceal(told)
    logging.getLogger("some.library").warning("packet 1471147")
    assert lines.getvalue().rstrip().endswith("packet 1471147")


def test_a_secret_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    told = config(tmp_path)
    (tmp_path / "calendar.secret").unlink()
    assert "c4n4ry-turn" in set(secrets_of(told))


@pytest.mark.parametrize("odd", ["Room ://[7", "wss://[fd00::7:8443"])
def test_what_only_looks_like_an_address_holds_no_password(odd: str) -> None:
    room = {"host": "h", "name": "demo", "guest": True, "user_name": odd}
    assert not any(secrets_of(Config.model_validate({"room": room})))
