"""A newer token before the present one ends."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest

from appliance.room import renewal
from appliance.signaling.errors import Disconnected
from tests.appliance.room.conftest import Stage, until

SOON = 100.0
"""Seconds: less than the notice."""


def asked_with(stage: Stage) -> list[str]:
    """The tokens with which the hub was asked to go on."""
    sent = stage.hub.sent("signalwire.reauthenticate")
    return [params["authentication"]["jwt_token"] for params in sent]


def longer(stage: Stage) -> None:
    """From now on the hub lets a session go on for an hour."""
    authorization = {**stage.hub.authorization, "expires_at": time.time() + 3600}
    stage.hub.results["signalwire.reauthenticate"] = {"authorization": authorization}


async def test_a_token_that_is_about_to_end_is_renewed(stage: Stage) -> None:
    stage.hub.authorization["expires_at"] = time.time() + SOON
    longer(stage)
    room = stage.session()

    async def newer() -> str:
        return "newer"

    room.renew_token = newer
    await room.join()
    await until(lambda: asked_with(stage) == ["newer"])
    assert room.active
    await room.leave()


async def test_failures_are_told_once_and_tried_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(renewal, "RETRY", 0.01)
    caplog.set_level(logging.INFO)
    stage.hub.authorization["expires_at"] = time.time() + SOON
    answers: list[Any] = [Disconnected("gone"), OSError("gone"), "same", "same", "newer", "x"]
    room = stage.session()

    async def newer() -> str:
        answer = answers.pop(0)
        if answer == "newer":
            longer(stage)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    room.renew_token = newer
    await room.join()
    # What is no news is not sent twice.
    await until(lambda: asked_with(stage) == ["same", "newer"])
    await until(lambda: "the room token is renewed" in caplog.text)
    told = [r.getMessage() for r in caplog.records if "is not renewed" in r.getMessage()]
    assert [text.partition("renewed: ")[2] for text in told] == [
        "gone",
        "there is none that is newer",
    ]
    assert answers == ["x"]
    await room.leave()


async def test_without_a_source_of_tokens_it_is_told(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.hub.authorization["expires_at"] = time.time() + SOON
    room = await stage.joined()
    await until(lambda: "nothing renews it" in caplog.text)
    assert room.active
    await room.leave()
