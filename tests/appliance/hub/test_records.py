"""What is kept has a column for each field, does not change under anybody, and shows no key."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from appliance.hub import records as module
from appliance.hub.records import (
    EventRecord,
    MemberRecord,
    Page,
    PageRequest,
    RoomStream,
    StoredRoom,
    StreamRecord,
)
from appliance.hub.store import Store
from tests.appliance.hub.stored import OPTIONS, RECORDING, SESSION, STREAM

ROOM = StoredRoom("r", OPTIONS, 1.0, 2.0)
ROOM_STREAM = RoomStream("rs", "r", "rtmp://127.0.0.1/key", 1.0, 2.0)
MEMBER = MemberRecord("m", "s", "Oak", "member", 10.0)
EVENT = EventRecord("e", "s", "member.joined", {"x": 1}, 10.0)
#: One of each kind, with what its table has besides its fields.
KEPT: list[tuple[str, Any, set[str]]] = [
    ("rooms", ROOM, {"name"}),
    ("room_streams", ROOM_STREAM, set()),
    ("room_sessions", SESSION, {"name"}),
    ("members", MEMBER, set()),
    ("events", EVENT, set()),
    ("recordings", RECORDING, set()),
    ("streams", STREAM, set()),
]


@pytest.mark.parametrize(("table", "record", "more"), KEPT, ids=[name for name, *_ in KEPT])
async def test_each_field_has_its_column(
    store: Store, table: str, record: Any, more: set[str]
) -> None:
    sql = f"SELECT name, \"notnull\" FROM pragma_table_info('{table}')"
    rows = await store.database.read(lambda c: c.execute(sql).fetchall())
    columns = {row["name"]: bool(row["notnull"]) for row in rows}
    fields = {field.name: field for field in dataclasses.fields(record)}
    assert columns.keys() == {*fields, *more, "number"}
    # What may be None may be NULL, and nothing else.
    for name, field in fields.items():
        assert columns[name] == ("None" not in str(field.type)), name


def test_each_kind_is_among_them() -> None:
    kinds = {one for one in vars(module).values() if dataclasses.is_dataclass(one)}
    kept = {type(record) for _, record, _ in KEPT}
    own = {one for one in kinds if one.__module__ == module.__name__}
    assert own == kept | {PageRequest, Page}


@pytest.mark.parametrize(
    "record", [*(one for _, one, _ in KEPT), PageRequest(), Page([1], 1, True)]
)
def test_nobody_changes_one(record: Any) -> None:
    for field in dataclasses.fields(record):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, field.name, None)
    # Nor is anything said of it that is not kept.
    assert not hasattr(record, "__dict__")


def test_a_room_has_the_name_that_tokens_are_for() -> None:
    assert ROOM.name == OPTIONS.name == "demo"


@pytest.mark.parametrize("record", [STREAM, ROOM_STREAM])
def test_no_url_of_a_stream_is_shown_by_accident(record: StreamRecord | RoomStream) -> None:
    assert record.url.endswith("key")
    assert "key" not in repr(record)
    assert "rtmp" not in str(record)


def test_what_has_begun_has_no_end() -> None:
    assert (SESSION.locked, SESSION.ended_at, SESSION.end_reason) == (False, None, None)
    assert (MEMBER.parent_id, MEMBER.left_at) == (None, None)
    assert (EVENT.member_id, EVENT.recording_id, EVENT.level) == (None, None, "info")
    for record in (RECORDING, STREAM):
        assert (record.ended_at, record.duration, record.error) == (None, None, None)
    assert RECORDING.size is None


def test_who_asks_for_a_list_gets_its_beginning_as_it_is_now() -> None:
    assert PageRequest() == PageRequest(number=0, size=50, anchor=None)
