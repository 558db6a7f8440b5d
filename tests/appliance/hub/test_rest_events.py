"""What happened, as a script reads it: by whom and of what, with all that was told of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.requests import Request

from appliance.hub.records import EventRecord
from appliance.hub.rest_events import EventAnswer, page_of_events
from appliance.hub.rest_paging import PageQuery
from appliance.hub.store import Store
from tests.appliance.hub.stored import SESSION

EVENT = EventRecord("e", "s", "member.joined", {"room_id": "r", "x": ["ü", None]}, 100.25)


def test_an_event_as_it_is_told() -> None:
    event = replace(EVENT, member_id="m", recording_id="rec", level="error")
    assert EventAnswer.of(event, "project").model_dump() == {
        "id": "e",
        "project_id": "project",
        "room_id": "r",
        "room_session_id": "s",
        "room_recording_id": "rec",
        "room_participant_id": "m",
        "level": "error",
        "name": "member.joined",
        "payload": {"room_id": "r", "x": ["ü", None]},
        "created_at": datetime(1970, 1, 1, 0, 1, 40, 250_000, tzinfo=UTC),
    }


def test_what_it_has_nothing_to_do_with_is_null_and_there() -> None:
    answer = EventAnswer.of(replace(EVENT, payload={}), "project").model_dump()
    fields = ("room_id", "room_recording_id", "room_participant_id", "level")
    assert [answer[name] for name in fields] == [None, None, None, "info"]


@pytest.mark.parametrize("room_id", [None, 7, ["r"], {"id": "r"}])
def test_a_room_s_id_that_is_no_text_is_none(room_id: Any) -> None:
    event = replace(EVENT, payload={"room_id": room_id})
    answer = EventAnswer.of(event, "project")
    assert answer.room_id is None
    # What was told stays as it was.
    assert answer.payload == {"room_id": room_id}


async def test_a_page_of_them_has_the_newest_first_and_leads_to_the_others(store: Store) -> None:
    store.sessions.started(SESSION)
    for number in range(5):
        store.events.happened(replace(EVENT, id=f"e{number}", created_at=float(number)))
    path = "/api/video/room_sessions/s/events"

    async def page(query: PageQuery) -> tuple[list[str], dict[str, str | None]]:
        request = Request({"type": "http", "path": path, "query_string": b"", "headers": []})
        events = await store.events.page(query.request(), session_id="s")
        answer = page_of_events(request, query, events, "project")
        assert {one.project_id for one in answer.data} <= {"project"}
        return [one.id for one in answer.data], answer.links.model_dump()

    ids, links = await page(PageQuery(page_size=2))
    assert (ids, links["prev"]) == (["e4", "e3"], None)
    assert links["next"] == f"{path}?page_number=1&page_size=2&page_token=PA5"
    # What happens meanwhile moves nothing.
    store.events.happened(replace(EVENT, id="late"))
    ids, links = await page(PageQuery(page_number=2, page_size=2, page_token="PA5"))
    assert (ids, links["next"]) == (["e0"], None)
    assert links["prev"] == f"{path}?page_number=1&page_size=2&page_token=PA5"
    ids, _ = await page(PageQuery(page_number=3, page_size=2, page_token="PA5"))
    assert ids == []
