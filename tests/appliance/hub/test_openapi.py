"""The HTTP calls keep what their OpenAPI document says, whatever is sent to them."""

from __future__ import annotations

import asyncio
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from starlette.applications import Starlette

from appliance.hub.archive import Archive
from appliance.hub.keys import Keys
from appliance.hub.records import RecordingRecord, SessionRecord, StreamRecord
from appliance.hub.rest import ERROR_HANDLERS, PREFIX, Rest
from appliance.hub.room_options import RoomDefaults, RoomOptions
from appliance.hub.rooms import Rooms
from appliance.hub.tasks import Tasks

KEYS = Keys("project", "api-token")
AUTH = (KEYS.project, KEYS.api_token)

# Formats that only the hub knows.
_LETTERS = st.sampled_from(string.ascii_letters + string.digits + "äß漢")
schemathesis.openapi.format("one-line", st.text(_LETTERS, min_size=1, max_size=50))
schemathesis.openapi.format(
    "rtmp-url",
    st.builds("{}://127.0.0.1:1/{}".format, st.sampled_from(["rtmp", "rtmps"]), st.text("abc/-")),
)


def _no_stream(*_: Any) -> Any:
    raise AssertionError("nobody is in a room")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The calls, with a room and a past session of which everything is kept."""
    data = tmp_path_factory.mktemp("hub")
    tasks = Tasks()
    archive = Archive(data, tasks, make_stream=_no_stream, finish=lambda _: 0.0)
    rooms = Rooms(project="project", stage=_no_stream, stored=archive.directory.named)
    asyncio.run(_fill(archive, data))
    archive.start()
    rest = Rest(
        KEYS,
        frozenset(),
        store=archive.store,
        directory=archive.directory,
        rooms=rooms,
        streams=archive.streams,
        defaults=RoomDefaults(),
    )
    app = Starlette(routes=rest.routes(), exception_handlers=ERROR_HANDLERS)
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", app)
    # The right ones are sent always; what becomes of wrong ones is tested by itself.
    schema.config.generation.update(with_security_parameters=False)
    yield schema
    asyncio.run(archive.close())


async def _fill(archive: Archive, data: Path) -> None:
    await archive.open(["demo"])
    (data / "film.mp4").write_bytes(bytes(1000))
    store = archive.store
    store.sessions.started(SessionRecord("session", None, RoomOptions(name="demo"), 1.0, 1.0))
    store.recordings.changed(
        RecordingRecord(
            "recording", "session", "completed", data / "film.mp4", 1.0, 2.0, 2.0, 1.0, 1000
        )
    )
    store.streams.changed(
        StreamRecord("stream", "session", None, "rtmp://127.0.0.1/x", "completed", 1.0, 2.0, 2.0)
    )
    store.sessions.ended("session", 3.0)


def operations(api: Any) -> dict[str, Any]:
    return {one.ok().label: one.ok() for one in api.get_all_operations()}


def run(operation: Any, mode: GenerationMode, check: Callable[[Any], None]) -> int:
    """Check generated requests; how many there were."""
    count = 0

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=15,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def checked(case: Any) -> None:
        nonlocal count
        count += 1
        check(case)

    checked()
    return count


def test_good_requests_are_done(api: Any) -> None:
    """What fits the document is accepted, and answered as described."""
    for operation in operations(api).values():
        assert run(operation, GenerationMode.POSITIVE, keeps)


def test_bad_requests_are_refused(api: Any) -> None:
    """What does not fit the document is refused, and the refusal is as described."""
    for operation in operations(api).values():
        # Any id may be in a path: without more there is nothing that could be wrong.
        if operation.query or operation.body:
            assert run(operation, GenerationMode.NEGATIVE, keeps)


@pytest.mark.parametrize(
    "operation",
    [
        ("GET", "rooms", ""),
        ("PUT", "rooms", ""),
        ("GET", "rooms", "/streams"),
        ("POST", "rooms", "/streams"),
        ("GET", "room_sessions", ""),
        ("GET", "room_sessions", "/members"),
        ("GET", "room_sessions", "/events"),
        ("GET", "room_sessions", "/recordings"),
        ("GET", "room_sessions", "/streams"),
        ("GET", "room_recordings", ""),
        ("GET", "room_recordings", "/events"),
        ("GET", "room_recordings", "/media"),
        ("GET", "streams", ""),
    ],
    ids=lambda operation: "-".join(operation).replace("/", ""),
)
def test_what_there_is_is_described(api: Any, operation: tuple[str, str, str]) -> None:
    """With an id that exists, every good request succeeds."""
    method, family, rest = operation
    known = {"rooms": "demo", "room_sessions": "session", "room_recordings": "recording"}

    def succeeds(case: Any) -> None:
        case.path_parameters["id"] = known.get(family, "stream")
        assert case.call_and_validate(auth=AUTH).status_code < 300

    label = f"{method} {PREFIX}/{family}/{{id}}{rest}"
    assert run(operations(api)[label], GenerationMode.POSITIVE, succeeds)


def test_without_the_api_token_nothing_is_said(api: Any) -> None:
    for operation in operations(api).values():

        def refused(case: Any) -> None:
            if case.path_parameters:
                case.path_parameters["id"] = "demo"
            assert case.call().status_code == 401
            assert case.call(auth=(KEYS.project, "wrong")).status_code == 401

        assert run(operation, GenerationMode.POSITIVE, refused)


def test_the_document_names_every_call(api: Any) -> None:
    calls = {label.replace(PREFIX, "") for label in operations(api)}
    assert calls == {
        "POST /room_tokens",
        "GET /rooms",
        "POST /rooms",
        "GET /rooms/{id}",
        "PUT /rooms/{id}",
        "DELETE /rooms/{id}",
        "GET /rooms/{id}/streams",
        "POST /rooms/{id}/streams",
        "GET /room_sessions",
        "GET /room_sessions/{id}",
        "GET /room_sessions/{id}/members",
        "GET /room_sessions/{id}/events",
        "GET /room_sessions/{id}/recordings",
        "GET /room_sessions/{id}/streams",
        "GET /room_recordings",
        "GET /room_recordings/{id}",
        "DELETE /room_recordings/{id}",
        "GET /room_recordings/{id}/events",
        "GET /room_recordings/{id}/media",
        "GET /streams/{id}",
        "PUT /streams/{id}",
        "DELETE /streams/{id}",
    }


def keeps(case: Any) -> None:
    case.call_and_validate(auth=AUTH)
