"""docs/roomsession.md names all that the API has, as it is, and nothing else."""

from __future__ import annotations

import ast
import asyncio
import inspect
import itertools
import os
import re
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import av
import pytest

from appliance import room
from appliance.hub import tokens
from appliance.hub.config import HubConfig
from appliance.hub.server import HubServer
from appliance.media.constraints import TrackWishes
from appliance.room import (
    LocalOverlay,
    RoomError,
    RoomSession,
    RoomSessionDevice,
    RoomSessionPlayback,
    RoomSessionRecording,
    RoomSessionScreenShare,
    RoomSessionStream,
)
from appliance.room.call import CallState
from appliance.room.devices import DeviceKind
from appliance.room.emitter import EventEmitter
from appliance.room.events import ALIASES, SUBSCRIBED
from appliance.room.members import Members
from appliance.room.work_methods import KINDS
from appliance.room.works import Work
from appliance.signaling.payload import Payload
from appliance.signaling.permissions import PERMISSIONS, required

DOCUMENT = Path(__file__).parents[3] / "docs" / "roomsession.md"

WORKS = "Recordings, playbacks and streams"
LEGS = "RoomSessionDevice and RoomSessionScreenShare"

SECTIONS: dict[type, tuple[str, ...]] = {
    RoomSession: ("Properties", "Methods"),
    RoomSessionRecording: (WORKS, "RoomSessionRecording"),
    RoomSessionPlayback: (WORKS, "RoomSessionPlayback"),
    RoomSessionStream: (WORKS, "RoomSessionStream"),
    RoomSessionDevice: (LEGS,),
    RoomSessionScreenShare: (LEGS,),
    LocalOverlay: ("LocalOverlay",),
}
"""The headings below which each class is told."""

_OF_LEGS = {"apart", "call", "cut", "ended", "follow", "marker", "member_changed", "retie"}

THE_SESSIONS_OWN: dict[type, set[str]] = {
    RoomSessionDevice: _OF_LEGS,
    RoomSessionScreenShare: _OF_LEGS,
    LocalOverlay: {"bind", "draw", "place", "rebind"},
}
"""What the session alone calls, though its name has no underscore."""

LISTENING = {"stats", *(name for name in vars(EventEmitter) if not name.startswith("_"))}
"""What is told to be no coroutine once for all."""

NOTHING_ASKED = LISTENING | {
    *("join", "leave", "destroy", "wait_closed", "set_stop_while_muted", "set_local_stream"),
    *("update_camera", "update_microphone", "update_speaker"),
    *("add_camera", "add_microphone", "add_device"),
    *("start_screen_share", "create_screen_share_object"),
}
"""What makes calls, or nothing at the server, and sends no request that has a permission."""

Row = dict[str, str]


def rows(heading: str) -> Iterator[Row]:
    """The rows of all tables of a section: of the parts below it too, but for those of classes of
    their own."""
    found = re.search(rf"^(#+) {heading}\n", DOCUMENT.read_text(), re.MULTILINE)
    assert found is not None, heading
    level, text = len(found[1]), DOCUMENT.read_text()[found.end() :]
    ends = re.search(rf"^#{{1,{level}}} |^#+ RoomSession", text, re.MULTILINE)
    lines = text[: ends.start() if ends else None].splitlines()
    for is_table, table in itertools.groupby(lines, lambda line: line.startswith("|")):
        if is_table:
            head, _, *body = (
                [cell.strip() for cell in re.split(r" \|(?= |$)", line[2:])][:-1] for line in table
            )
            yield from (dict(zip(head, row, strict=True)) for row in body)


def told(cls: type, column: str) -> Iterator[tuple[str, Row]]:
    """What stands in a column about a class: each code of a cell, with its row."""
    for heading in SECTIONS[cls]:
        for row in rows(heading):
            yield from ((code, row) for code in re.findall(r"`(.+?)`", row.get(column, "")))


def public(cls: type) -> dict[str, Any]:
    own = THE_SESSIONS_OWN.get(cls, set())
    return {
        name: inspect.getattr_static(cls, name)
        for name in dir(cls)
        if not name.startswith("_") and name not in own
    }


def calls(cls: type) -> dict[str, tuple[str, Row]]:
    found = [(code.partition("(")[0], (code, row)) for code, row in told(cls, "method")]
    assert len(found) == len({name for name, _ in found})
    return dict(found)


def arguments(code: str) -> list[tuple[str, str, object]]:
    """Name, kind and default of each argument of a call as it is printed."""
    (function,) = ast.parse(f"def {code}: ...").body
    assert isinstance(function, ast.FunctionDef)
    scope: dict[str, Any] = {}
    exec(ast.unparse(function), scope)
    return listed(scope[function.name])


def listed(function: Callable[..., object]) -> list[tuple[str, str, object]]:
    return [
        (one.name, one.kind.name, one.default)
        for one in inspect.signature(function).parameters.values()
        if one.name != "self"
    ]


@pytest.mark.parametrize("cls", SECTIONS)
def test_every_property_is_told_and_no_other_one(cls: type) -> None:
    names = [name for name, _ in told(cls, "property" if cls is not RoomSession else "name")]
    assert len(names) == len(set(names))
    assert set(names) == {name for name, what in public(cls).items() if not callable(what)}


@pytest.mark.parametrize("cls", SECTIONS)
def test_every_method_is_told_with_its_arguments_and_no_other_one(cls: type) -> None:
    methods = {name: what for name, what in public(cls).items() if callable(what)}
    assert set(calls(cls)) == set(methods)
    for name, (code, row) in calls(cls).items():
        assert arguments(code) == listed(methods[name]), name
        if name not in LISTENING:
            plain = not inspect.iscoroutinefunction(methods[name])
            assert row["meaning"].startswith("No coroutine.") == plain, name


@pytest.mark.parametrize("cls", SECTIONS)
def test_what_a_method_returns_is_told(cls: type) -> None:
    for name, (_, row) in calls(cls).items():
        returned = inspect.signature(getattr(cls, name)).return_annotation
        said = row["returns"].strip("`")
        if returned in ("Self", cls.__name__):
            assert said in ("the session", "itself", cls.__name__), name
        elif returned == "Payload":
            assert re.fullmatch(r"`Payload` with `\.\w+`", row["returns"]), name
        else:
            assert said == {"None": ""}.get(returned, returned.partition("[")[0]), name


def test_every_option_is_told_with_its_default_and_no_other_one() -> None:
    options = {
        name: row for row in rows("Constructor") for name in re.findall(r"`(\w+)`", row["option"])
    }
    parameters = dict(inspect.signature(RoomSession).parameters)
    assert set(options) == set(parameters)
    for name, row in options.items():
        default = parameters[name].default
        if default is inspect.Parameter.empty:
            assert row["default"] == ""
        else:
            shown = default.__name__ if inspect.isclass(default) else repr(default)
            assert row["default"].strip("`") == shown, name


def test_every_option_of_join_is_told() -> None:
    named = [
        name
        for row in rows("Joining and leaving")
        for name in re.findall(r"`(\w+)`", row.get("option of `join`", ""))
    ]
    assert sorted(named) == sorted(name for name, *_ in listed(RoomSession.join))


def test_every_constraint_is_told() -> None:
    cells = [row["constraint"] for row in rows("Constraints")]
    named = [name for cell in cells for name in re.findall(r"`([a-z_]+)`", cell)]
    assert sorted(named) == sorted(typing.get_type_hints(TrackWishes))


def test_every_hook_is_told() -> None:
    session = RoomSession("token", host="ws://127.0.0.1:1")
    hooks = {name for name in vars(session) if not name.startswith("_")}
    assert {row["attribute"].strip("`") for row in rows("Hooks")} == hooks


VALUES: dict[str, Any] = {
    "volume": 1.0, "value": 1.0, "position": "auto", "positions": {"self": "auto"},
    "meta": {"a": 1}, "keys": ["a"], "name": "grid-responsive", "enable": True, "url": "rtmp://x/y",
}  # fmt: skip


async def asked(cls: type, name: str, member_id: str | None, **given: Any) -> set[str]:
    """The permissions of the requests that a method makes."""
    permissions: set[str] = set()

    async def rpc(method: str, **params: Any) -> Payload:
        targets_self = params.get("member_id", "own") == "own"
        permissions.add(required(f"video.{method}", targets_self) or "none")
        return Payload({kind.kind: {"id": "x"} for kind in KINDS})

    if issubclass(cls, Work):
        thing: Any = cls(rpc, {}, {"id": "x"})
    else:
        thing = RoomSession("token", host="ws://127.0.0.1:1")
        thing._rpc = rpc
        thing._state.member_id = "own"
    needed = {
        one.name: VALUES.get(one.name, 1.0)
        for one in inspect.signature(getattr(cls, name)).parameters.values()
        if one.name not in ("self", "member_id", *given) and one.default is inspect.Parameter.empty
    }
    if cls is RoomSessionPlayback:
        needed = dict.fromkeys(needed, 1.0)
    if member_id is not None:
        needed["member_id"] = member_id
    await getattr(thing, name)(**needed, **given)
    return permissions


@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
@pytest.mark.parametrize("cls", [cls for cls in SECTIONS if cls is not LocalOverlay])
async def test_the_permissions_are_those_that_the_server_asks_for(cls: type) -> None:
    # The legs' methods are the session's.
    actual = RoomSession if cls in (RoomSessionDevice, RoomSessionScreenShare) else cls
    for name, (_, row) in calls(cls).items():
        told_of = set(re.findall(r"`([\w.]+)`", row["permission"]))
        forms = {
            form: {one.replace(".X.", f".{form}.") for one in told_of}
            for form in ("self", "member")
        }
        for permissions in forms.values():
            assert permissions <= PERMISSIONS, name
        if name in NOTHING_ASKED:
            continue
        parameters = inspect.signature(getattr(actual, name)).parameters
        targets: list[tuple[str, str | None]] = [("self", None)]
        if "member_id" in parameters:
            targets.append(("member", "other"))
            if parameters["member_id"].default is inspect.Parameter.empty:
                # None but another member.
                del targets[0]
        for form, member_id in targets:
            found: set[str] = set()
            # Some ask for one thing or for its contrary.
            for switch in {"raised", "value"} & set(parameters) or {""}:
                for value in (True, False):
                    given = {switch: value} if switch else {}
                    found |= await asked(actual, name, member_id, **given)
            assert found == (forms[form] or {"none"}), name


def test_every_event_is_told_with_what_its_handler_gets() -> None:
    events = {name: row for row in rows("Events") for name in re.findall(r"`(.+?)`", row["event"])}
    talking = [
        name
        for state in (True, False)
        for name, _ in Members().apply("member.talking", {"member": {"id": "x", "talking": state}})
    ]
    emitted = {
        name
        for path in Path(room.__file__).parent.glob("*.py")
        for name in re.findall(r'emit\("([\w.]+)"', path.read_text())
    }
    devices = {
        f"{kind}.{event}" for kind in get_args(DeviceKind) for event in ("disconnected", "updated")
    }
    states = {state.value for state in CallState if state is not CallState.NEW}
    expected = {*SUBSCRIBED, *ALIASES.values(), *emitted, *talking, *devices, *states}
    assert set(events) == {*expected, Members().list_updated()[0], "member.updated.NAME"}
    of_works = {kind.kind: f"`{kind.__name__}`" for kind in KINDS}
    for name, row in events.items():
        other = "the session" if name in states else "`Payload`"
        other = "nothing" if name.startswith("media.") else other
        assert row["the handler gets"] == of_works.get(name.partition(".")[0], other), name


def test_every_error_is_told_and_no_other_one() -> None:
    cells = [row["error"].strip("`") for row in rows("Errors")]
    assert len(cells) == len(set(cells))
    exported = {name for name in room.__all__ if _is_error(getattr(room, name))}
    exported -= {"OverconstrainedError"}
    assert set(cells) == {*exported, "ProtocolError", "hal.HalError"}
    assert issubclass(room.OverconstrainedError, RoomError)


def _is_error(what: object) -> bool:
    return isinstance(what, type) and issubclass(what, Exception)


async def test_the_recording_example_brings_the_film(tmp_path: Path) -> None:
    (script,) = re.findall(
        r"^```python\n(# record\.py.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL
    )
    hub = HubServer(HubConfig(listen="127.0.0.1:0", data=tmp_path / "hub"), environment={})
    await hub.start()
    try:
        assert '"127.0.0.1:8080"' in script
        assert "sleep(10)" in script
        script = script.replace("127.0.0.1:8080", hub.url.rpartition("/")[2])
        options = tokens.TokenOptions(
            room_name="demo", auto_create_room=True, permissions=["room.recording"]
        )
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", script.replace("sleep(10)", "sleep(3)")),
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(DOCUMENT.parents[1]),
                "ROOMLET_TOKEN": tokens.mint(
                    options, hub.keys.signing_key, project=hub.keys.project
                ),
                "PROJECT": hub.keys.project,
                "API_TOKEN": hub.keys.api_token,
                "NO_PROXY": "*",
            },
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        assert out.decode().startswith("completed ")
        with av.open(tmp_path / "room.mp4") as film:
            assert {stream.type for stream in film.streams} == {"audio", "video"}
            assert film.duration is not None
            assert film.duration > 0.5e6
    finally:
        await hub.stop()
