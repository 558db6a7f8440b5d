from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from appliance.hub.tokens import TokenOptions, mint
from appliance.service import journal
from appliance.service.journal import MASK, Secrets
from appliance.service.log_ring import LONGEST, LogRing

CANARY = "canary-4711-never-to-be-seen"
TOKEN = mint(TokenOptions(room_name="demo", user_name="Oak"), b"k" * 32, project="p")


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> LogRing:
    monkeypatch.setattr(journal, "SECRETS", Secrets())
    return LogRing(kept=3)


@pytest.fixture
def log(ring: LogRing) -> Iterator[logging.Logger]:
    logger = logging.getLogger("appliance.of.this.test")
    logger.addHandler(ring)
    logger.setLevel(logging.DEBUG)
    yield logger
    logger.removeHandler(ring)
    logger.propagate = True


def test_the_newest_lines_are_kept_and_counted_on(log: logging.Logger, ring: LogRing) -> None:
    for number in range(5):
        log.info("line %d", number)
    assert [(line.number, line.text) for line in ring.since()] == [
        (3, "line 2"),
        (4, "line 3"),
        (5, "line 4"),
    ]
    assert [line.number for line in ring.since(4)] == [5]
    (line,) = ring.since(4)
    assert (line.level, line.logger) == (logging.INFO, "appliance.of.this.test")


def test_no_secret_is_kept(log: logging.Logger, ring: LogRing) -> None:
    journal.SECRETS.add(CANARY)
    log.warning("the token %s, and %s", TOKEN, CANARY)
    try:
        raise ValueError(f"Bearer {CANARY}")
    except ValueError:
        log.exception("http://oak:%s@hub/ failed", CANARY)
    kept = [line.text for line in ring._lines]
    for text in (*kept, *(line.text for line in ring.since())):
        assert CANARY not in text
        assert TOKEN not in text
        assert MASK in text
    assert "ValueError" in kept[1]


def test_what_turns_out_to_be_a_secret_is_blackened_when_it_is_read(
    log: logging.Logger, ring: LogRing
) -> None:
    log.info("hello %s", CANARY)
    journal.SECRETS.add(CANARY)
    assert [line.text for line in ring.since()] == [f"hello {MASK}"]


def test_a_very_long_line_loses_its_middle(log: logging.Logger, ring: LogRing) -> None:
    log.info("a%sz", "x" * 10 * LONGEST)
    (line,) = ring.since()
    assert len(line.text) < LONGEST + 100
    assert (line.text[0], line.text[-1]) == ("a", "z")
    assert "characters left out" in line.text


def test_a_message_that_cannot_be_formatted_costs_no_other(
    log: logging.Logger, ring: LogRing, capsys: pytest.CaptureFixture[str]
) -> None:
    log.propagate = False  # pytest's own handler makes a failure of it
    log.info("%d", "no number")
    log.info("after it")
    assert [line.text for line in ring.since()] == ["after it"]
    assert "no number" in capsys.readouterr().err


def test_observers_hear_of_lines_of_other_threads(log: logging.Logger, ring: LogRing) -> None:
    heard: list[str] = []
    unsubscribe = ring.subscribe(lambda: heard.append(threading.current_thread().name))
    thread = threading.Thread(target=log.info, args=("hello",), name="other")
    thread.start()
    thread.join()
    unsubscribe()
    log.info("again")
    assert heard == ["other"]
