from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.hub.tokens import TokenOptions, mint
from appliance.service import journal
from appliance.service.journal import MASK, Journal, Message, Secrets

CANARY = "canary-4711-never-to-be-seen"
TOKEN = mint(TokenOptions(room_name="demo", user_name="Oak"), b"k" * 32, project="p")


class Sent:
    """Stands where `systemd.journal.send` does."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, text: str, /, **fields: Any) -> None:
        self.entries.append((text, fields))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    monkeypatch.setattr(journal, "SECRETS", Secrets())
    journal.SECRETS.add(CANARY)
    return Sent()


@pytest.fixture
def log(sent: Sent) -> Iterator[logging.Logger]:
    logger = logging.getLogger("appliance.of.this.test")
    handler = Journal(sent)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield logger
    logger.removeHandler(handler)
    journal.describe({})


def test_an_entry_has_the_fields_that_people_look_for(log: logging.Logger, sent: Sent) -> None:
    journal.describe({"ROOM": "demo", "MEMBER_ID": "4f"})
    log.warning("%s is back", "the camera", extra={"DEVICE": "usb-7", **Message.JOINED.extra})
    log.info("hello")
    (text, fields), (_, later) = sent.entries
    assert text == "the camera is back"
    wanted = {
        "ROOM": "demo",
        "MEMBER_ID": "4f",
        "DEVICE": "usb-7",
        "MESSAGE_ID": Message.JOINED.value,
        "SYSLOG_IDENTIFIER": "roomlet",
        "PRIORITY": "4",
        "LOGGER": log.name,
    }
    assert wanted.items() <= fields.items()
    assert "DEVICE" not in later
    assert "MESSAGE_ID" not in later


def test_outside_a_room_there_is_none(log: logging.Logger, sent: Sent) -> None:
    journal.describe({"ROOM": "demo", "MEMBER_ID": ""})
    log.info("hello")
    ((_, fields),) = sent.entries
    assert "MEMBER_ID" not in fields


def test_no_secret_reaches_the_journal(log: logging.Logger, sent: Sent) -> None:
    log.info("the token is %s", CANARY)
    log.info("what came: %r", {"token": TOKEN, "password": CANARY})
    log.info("asking http://user:%s@proxy:3128/", "hunter22")
    log.info("Authorization: Bearer %s", "abc.def~ghi")
    log.info("plain", extra={"DEVICE": CANARY, "COLOUR": CANARY})
    try:
        raise ValueError(f"bad token {CANARY}")
    except ValueError:
        log.exception("failed with %s", TOKEN)
    assert len(sent.entries) == 6
    told = repr(sent.entries)
    for secret in (CANARY, TOKEN, TOKEN.split(".")[1], "hunter22", "abc.def"):
        assert secret not in told
    assert MASK in told
    assert "Traceback" in sent.entries[-1][1]["EXCEPTION_TEXT"]


def test_no_secret_reaches_the_lines_either(sent: Sent) -> None:
    stream = io.StringIO()
    handler = journal.handler(stream)
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "token %s", (CANARY,), None)
    handler.emit(record)
    assert CANARY not in stream.getvalue()
    assert stream.getvalue().endswith(f"INFO x: token {MASK}\n")


def test_the_journal_is_where_systemd_put_the_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "stream").open("w") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        assert isinstance(journal.handler(stream), Journal)
        # Somebody sent the lines elsewhere.
        with (tmp_path / "other").open("w") as other:
            assert not isinstance(journal.handler(other), Journal)
        monkeypatch.setenv("JOURNAL_STREAM", "rubbish")
        assert not isinstance(journal.handler(stream), Journal)


def test_ids_are_distinct_and_fit_for_the_journal() -> None:
    ids = [message.value for message in Message]
    assert len(set(ids)) == len(ids)
    assert all(len(one) == 32 and int(one, 16) for one in ids)


@given(st.text(max_size=30), st.text(max_size=30))
def test_what_is_told_never_holds_a_known_secret(before: str, after: str) -> None:
    secrets = Secrets()
    secrets.add(CANARY)
    assert CANARY not in secrets.blacken(f"{before}{CANARY}{after}")


@given(st.permutations(["hunter22", "hunter22-longer", "hunter22-longer-still", "22-longer"]))
def test_a_secret_within_another_leaves_nothing_of_it(order: list[str]) -> None:
    secrets = Secrets()
    for secret in order:
        secrets.add(secret)
    for secret in order:
        assert secrets.blacken(f"it is {secret}.") == f"it is {MASK}."


def test_what_is_no_secret_stays_readable() -> None:
    secrets = Secrets()
    secrets.add("")
    secrets.add("abc")
    for text in ("abc at ws://hub.local:8080/x", "in demo, as member 4f", "12:30:00 eyJ"):
        assert secrets.blacken(text) == text
