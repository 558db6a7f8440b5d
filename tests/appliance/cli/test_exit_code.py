"""Each kind of failure has its exit code, and one line."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from appliance.cli.exit_code import ExitCode, code_of, line_of
from appliance.cli.program import app
from appliance.hub import errors as hub
from appliance.panel import ListenError as PanelListenError
from appliance.provisioning import ConfigError
from appliance.provisioning import errors as provisioning
from appliance.provisioning.minisign import MinisignError, WrongSignature
from appliance.room import errors as room
from appliance.service.demo import PortTaken
from appliance.service.errors import EntranceClosed, ServiceError
from appliance.service.upkeep import RebootRefused
from appliance.signaling import errors as signaling
from hal import errors as hal

DEVICE_PAGE = Path(__file__).parents[3] / "docs" / "device.md"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("wrong", path=Path("a.toml")), ExitCode.CONFIGURATION),
        (ConfigError("wrong"), ExitCode.CONFIGURATION),
        (provisioning.Refused("too old"), ExitCode.CONFIGURATION),
        (MinisignError("no key"), ExitCode.CONFIGURATION),
        (WrongSignature("another key"), ExitCode.CONFIGURATION),
        (hub.SettingError("no certificate"), ExitCode.CONFIGURATION),
        (hal.DeviceBusy("taken"), ExitCode.DEVICE),
        (hal.DeviceForbidden("not yours"), ExitCode.DEVICE),
        (hal.BackendUnavailable("no library"), ExitCode.DEVICE),
        (room.Overconstrained("deviceId", "none of that id"), ExitCode.DEVICE),
        # Kinds of errors of the network, but another remedy.
        (signaling.AuthError(-32002, "no token"), ExitCode.AUTHORIZATION),
        (signaling.PermissionDenied("403", "no"), ExitCode.AUTHORIZATION),
        (room.JoinRefused("403", "no"), ExitCode.AUTHORIZATION),
        (hub.TokenExpired("over"), ExitCode.AUTHORIZATION),
        (EntranceClosed("members only"), ExitCode.AUTHORIZATION),
        (signaling.Disconnected("gone"), ExitCode.NETWORK),
        (signaling.RequestTimeout("late"), ExitCode.NETWORK),
        (signaling.NotFound("404", "no such"), ExitCode.NETWORK),
        (room.JoinTimeout("late"), ExitCode.NETWORK),
        (provisioning.Unreachable("no answer"), ExitCode.NETWORK),
        (hub.ListenError("taken"), ExitCode.NETWORK),
        (PanelListenError("taken"), ExitCode.NETWORK),
        (PortTaken("taken"), ExitCode.NETWORK),
        (RebootRefused("never"), ExitCode.UNWANTED),
        (hub.DataError("no room"), ExitCode.OTHER),
        (ServiceError("whatever"), ExitCode.OTHER),
        # What only looks like one of them.
        (ConnectionRefusedError("refused"), ExitCode.OTHER),
        (PermissionError("not yours"), ExitCode.OTHER),
        (ValueError("wrong"), ExitCode.OTHER),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else None,
)
def test_the_code_is_of_the_kind_of_failure(error: Exception, code: ExitCode) -> None:
    assert code_of(error) is code


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def test_options_count_as_what_became_of_them_and_a_file_as_a_file() -> None:
    gone = hal.DeviceNotFound("no such camera")
    assert code_of(caused(ConfigError("camera"), gone)) is ExitCode.DEVICE
    in_a_file = ConfigError("camera", path=Path("a.toml"))
    assert code_of(caused(in_a_file, gone)) is ExitCode.CONFIGURATION
    assert code_of(caused(ConfigError("camera"), ValueError("x"))) is ExitCode.CONFIGURATION


def test_the_codes_are_those_of_the_page_and_the_help() -> None:
    page = DEVICE_PAGE.read_text().partition("## Exit codes")[2].partition("\n## ")[0]
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert told == {*ExitCode, 130}
    assert {int(code) for code in re.findall(r"\b\d\b", app.info.epilog or "")} == {*ExitCode}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("what; what to do", "what; what to do"),
        ("what;\n  what\tto do\n", "what; what to do"),
    ],
)
def test_the_text_is_one_line(text: str, line: str) -> None:
    assert line_of(ValueError(text)) == line


class Speechless(Exception):
    """An error that nobody has a text for."""


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_error_that_says_nothing_is_named(text: str) -> None:
    assert line_of(Speechless(text)) == ("Speechless; run again with --debug to see where")


@pytest.mark.parametrize(
    ("name", "told"),
    [("/a/b", "/a/b"), ("a\nb", "a b"), (os.fsencode("/a/ü"), "/a/ü"), (Path("/a"), "/a")],
)
def test_a_file_is_named_with_what_is_wrong_with_it(name: str | bytes | Path, told: str) -> None:
    error = OSError(errno.EACCES, "whatever the system says", name)
    assert line_of(error) == f"{told}: permission denied; check the path"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        # Its own words are better where there is no file, or no number.
        (OSError(errno.EPIPE, "Broken pipe"), f"[Errno {errno.EPIPE}] Broken pipe"),
        (hub.DataError("the folder; mend it"), "the folder; mend it"),
    ],
)
def test_other_errors_of_the_system_have_their_own_words(error: OSError, line: str) -> None:
    assert line_of(error) == line


def test_a_real_one(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    with pytest.raises(OSError) as caught:
        missing.read_text()
    assert line_of(caught.value) == f"{missing}: no such file or directory; check the path"
