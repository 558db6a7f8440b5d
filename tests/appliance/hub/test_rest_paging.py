"""A list is read page by page, by links that lead through it as it was."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from appliance.hub.records import Page, PageRequest
from appliance.hub.rest_paging import Links, PageAnswer, PageQuery, links

PATH = "/api/video/rooms"


def request(query: str = "") -> Request:
    return Request({"type": "http", "path": PATH, "query_string": query.encode(), "headers": []})


def page(*, anchor: int = 26, more: bool = False) -> Page[Any]:
    return Page([], anchor, more)


def fields(link: str | None) -> dict[str, str]:
    assert link is not None
    parts = urlsplit(link)
    assert (parts.scheme, parts.netloc, parts.path) == ("", "", PATH)
    return {name: value for name, (value,) in parse_qs(parts.query, strict_parsing=True).items()}


def parsed(link: str | None) -> PageRequest:
    """What the store is asked for by one who follows a link."""
    own = {name: one for name, one in fields(link).items() if name.startswith("page_")}
    return PageQuery.model_validate(own).request()


# What is asked for


def test_without_a_word_it_is_the_newest() -> None:
    assert PageQuery().request() == PageRequest(0, 50, None)


def test_what_is_asked_for_is_what_the_store_gets() -> None:
    query = {"page_number": "2", "page_size": "7", "page_token": "PA1f"}
    assert PageQuery.model_validate(query).request() == PageRequest(2, 7, 31)


@pytest.mark.parametrize(
    "query",
    [
        {"page_size": "1"},
        {"page_size": "1000"},
        {"page_number": "0"},
        {"page_number": "1000000"},
        {"page_token": "PA0"},
        {"page_token": "PA" + "f" * 15},
    ],
)
def test_the_limits_are_allowed(query: dict[str, str]) -> None:
    wanted = PageQuery.model_validate(query).request()
    # No number is beyond what the store can count.
    assert wanted.number * wanted.size < 2**63
    assert (wanted.anchor or 0) < 2**63


@pytest.mark.parametrize(
    "query",
    [
        {"page_size": "0"},
        {"page_size": "1001"},
        {"page_size": "x"},
        {"page_size": ""},
        {"page_number": "-1"},
        {"page_number": "1000001"},
        {"page_number": "1.5"},
        {"page_token": ""},
        {"page_token": "PA"},
        {"page_token": "1f"},
        {"page_token": "pa1f"},
        {"page_token": "PA1F"},
        {"page_token": "PA-1"},
        {"page_token": "PA1f\n"},
        {"page_token": " PA1f"},
        {"page_token": "PA" + "f" * 16},
        {"page": "1"},
    ],
)
def test_beyond_them_it_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as caught:
        PageQuery.model_validate(query)
    (error,) = caught.value.errors()
    assert error["loc"] == tuple(query)


def test_a_wrong_token_is_told_with_the_remedy() -> None:
    with pytest.raises(ValidationError, match="follow the links of its first page"):
        PageQuery(page_token="PAx")


# What is answered


def test_a_list_of_one_page_leads_nowhere() -> None:
    one = links(request(), PageQuery(), page())
    assert one == Links(self=one.first, first=f"{PATH}?page_number=0&page_size=50")
    assert (one.next, one.prev) == (None, None)


def test_the_first_page_leads_on_in_the_list_as_it_was() -> None:
    one = links(request("page_size=7"), PageQuery(page_size=7), page(more=True))
    # Who asks for the first page wants what is new.
    assert parsed(one.self) == parsed(one.first) == PageRequest(0, 7, None)
    assert parsed(one.next) == PageRequest(1, 7, 26)
    assert one.prev is None


def test_one_in_the_middle_leads_both_ways_and_to_itself() -> None:
    query = PageQuery(page_number=3, page_size=7, page_token="PA1a")
    one = links(request("page_number=3&page_size=7&page_token=PA1a"), query, page(more=True))
    assert parsed(one.self) == query.request()
    assert parsed(one.next) == PageRequest(4, 7, 26)
    assert parsed(one.prev) == PageRequest(2, 7, 26)
    assert parsed(one.first) == PageRequest(0, 7, None)
    last = links(request(), query, page())
    assert last.next is None
    assert last.prev == one.prev


def test_no_link_leads_beyond_the_last_page_that_can_be_asked_for() -> None:
    last = PageQuery(page_number=1_000_000, page_size=1)
    one = links(request(), last, page(more=True))
    assert one.next is None
    assert parsed(one.prev).number == 999_999
    before = links(request(), PageQuery(page_number=999_999, page_size=1), page(more=True))
    assert parsed(before.next).number == 1_000_000


def test_the_filters_are_kept_in_all_of_them_as_they_were() -> None:
    asked = (
        "status=completed&room_name=a%26b%3D%C3%B6%20%2B&page_number=1&page_size=5&page_token=PA1"
    )
    query = PageQuery(page_number=1, page_size=5, page_token="PA1")
    one = links(request(asked), query, page(anchor=1, more=True))
    for link in (one.self, one.first, one.next, one.prev):
        found = fields(link)
        assert (found["status"], found["room_name"]) == ("completed", "a&b=ö +")
        assert found["page_size"] == "5"


@pytest.mark.parametrize("anchor", [0, 1, 2**60 - 1])
def test_a_token_stands_for_what_the_store_said(anchor: int) -> None:
    one = links(request(), PageQuery(), page(anchor=anchor, more=True))
    assert parsed(one.next).anchor == anchor


def test_a_page_is_its_links_and_what_is_on_it() -> None:
    class Thing(BaseModel):
        name: str

    answer = PageAnswer[Thing](
        links=links(request(), PageQuery(), page()), data=[Thing(name="Oak")]
    )
    assert answer.model_dump() == {
        "links": {
            "self": f"{PATH}?page_number=0&page_size=50",
            "first": f"{PATH}?page_number=0&page_size=50",
            "next": None,
            "prev": None,
        },
        "data": [{"name": "Oak"}],
    }
