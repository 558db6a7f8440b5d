"""What holds for every HTTP call: who may make it, how it is checked, answered and refused."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, ConfigDict
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message

from appliance.hub.errors import StoreError
from appliance.hub.keys import Keys
from appliance.hub.rest_call import (
    BODY_MAX,
    Call,
    Nothing,
    Operation,
    Problem,
    fetch,
    found,
    problem_of,
    read_body,
    remove,
    routes,
)
from appliance.hub.rest_guard import Guard
from tests.appliance.hub.conftest import TestHub
from tests.appliance.hub.rest_client import Script

KEYS = Keys("project", "secret-token")


class Query(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: int = 1


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = "nobody"


class Answer(BaseModel):
    id: str
    size: int
    name: str


Work = Callable[[Call[Any, Any]], Awaitable[BaseModel | Response | None]]


async def echo(call: Call[Query, Body]) -> Answer:
    return Answer(id=call.id, size=call.query.size, name=call.body.name)


def operation(work: Work = echo, path: str = "/things/{id}", **more: Any) -> Operation[Any, Any]:
    given: dict[str, Any] = {"method": "POST", "query": Query, "body": Body, "answer": Answer}
    return Operation(path=path, name="n", summary="s", tag="t", work=work, **{**given, **more})


def script(*operations: Operation[Any, Any], keys: bool = True) -> httpx.AsyncClient:
    """A script that may make these calls; without `keys` anybody."""
    app = Starlette(
        routes=routes(operations, Guard(KEYS)),
        exception_handlers={HTTPException: problem_of, Exception: problem_of},
    )
    return httpx.AsyncClient(
        # Starlette hands on what it has answered with 500, for the server's log.
        transport=httpx.ASGITransport(app, raise_app_exceptions=False),
        base_url="http://hub",
        auth=(KEYS.project, KEYS.api_token) if keys else None,
    )


def error_of(answer: httpx.Response, status: int) -> dict[str, str]:
    assert answer.status_code == status, answer.text
    (error,) = answer.json()["errors"]
    assert "\n" not in error["message"]
    found_error: dict[str, str] = error
    return found_error


# What is done


async def test_the_work_gets_what_the_call_brings_and_its_answer_goes_back() -> None:
    async with script(operation(status=201)) as http:
        answer = await http.post("/things/x%20y?size=7", json={"name": "Ö"})
        assert (answer.status_code, answer.json()) == (201, {"id": "x y", "size": 7, "name": "Ö"})
        assert answer.headers["content-type"] == "application/json"
        # It may hold what nobody else is to see.
        assert answer.headers["cache-control"] == "no-store"
        answer = await http.post("/things/z")
        assert answer.json() == {"id": "z", "size": 1, "name": "nobody"}


async def test_a_path_without_an_id_has_an_empty_one() -> None:
    async with script(operation(path="/things")) as http:
        assert (await http.post("/things")).json()["id"] == ""


async def test_an_answer_may_be_nothing_or_a_whole_response() -> None:
    async def nothing(_: Call[Any, Any]) -> None:
        return None

    async def whole(_: Call[Any, Any]) -> Response:
        return PlainTextResponse("text", 206)

    async with script(operation(nothing, "/none"), operation(whole, "/whole")) as http:
        answer = await http.post("/none")
        assert (answer.status_code, answer.content) == (204, b"")
        answer = await http.post("/whole")
        assert (answer.status_code, answer.text) == (206, "text")


async def test_operations_of_one_path_share_it() -> None:
    async def get(call: Call[Query, Nothing]) -> Answer:
        return Answer(id=call.id, size=0, name="got")

    async def delete(call: Call[Nothing, Nothing]) -> None:
        deleted.append(call.id)

    deleted: list[str] = []
    path = "/things/{id}"
    async with script(
        operation(),
        fetch(path, "get", "s", "t", get, Query, Answer),
        remove(path, "delete", "s", "t", delete),
    ) as http:
        assert (await http.get("/things/x")).json()["name"] == "got"
        assert (await http.head("/things/x")).status_code == 200
        assert (await http.post("/things/x")).json()["name"] == "nobody"
        assert ((await http.delete("/things/x")).status_code, deleted) == (204, ["x"])
        answer = await http.put("/things/x")
        assert error_of(answer, 405) == {
            "code": "method_not_allowed",
            "message": "the call takes other methods",
        }
        assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST", "DELETE"}


def test_what_a_call_may_be_refused_with_stands_in_it() -> None:
    async def work(_: Call[Any, Any]) -> None:
        return None

    assert fetch("/a/{id}", "n", "s", "t", work, Query, Answer).refusals == (404,)
    assert fetch("/a", "n", "s", "t", work, Query, Answer).refusals == ()
    one = remove("/a/{id}", "n", "s", "t", work, 409)
    assert (one.method, one.status, one.answer, one.refusals) == ("DELETE", 204, None, (404, 409))


# Who may


async def test_without_the_keys_nothing_is_even_looked_at() -> None:
    async def work(_: Call[Any, Any]) -> None:
        raise AssertionError("it must not get here")

    async with script(operation(work), keys=False) as http:
        for attempt in (
            http.post("/things/x"),
            http.post("/things/x?size=y", content=b"{"),
            http.post("/things/x", auth=("project", "wrong")),
        ):
            answer = await attempt
            assert error_of(answer, 401)["code"] == "unauthorized"
            assert answer.headers["www-authenticate"] == 'Basic realm="roomlet"'
            assert "secret-token" not in answer.text


async def test_a_link_opens_what_is_opened_by_links_and_nothing_else() -> None:
    async def work(_: Call[Any, Any]) -> Response:
        return PlainTextResponse("film")

    class LinkQuery(BaseModel):
        expires: int
        signature: str

    def call(path: str, **more: Any) -> Operation[Any, Any]:
        return operation(work, path, method="GET", query=LinkQuery, body=Nothing, **more)

    guard = Guard(KEYS)
    async with script(call("/open", by_link=True), call("/shut"), keys=False) as http:
        assert (await http.get(guard.link("/open", 60))).text == "film"
        error_of(await http.get(guard.link("/shut", 60)), 401)
        error_of(await http.get(guard.link("/open", -60)), 401)


# What is refused


@pytest.mark.parametrize(
    ("query", "body", "attribute"),
    [
        ("?size=x", {}, "size"),
        ("?sise=1", {}, "sise"),
        ("", {"name": 7}, "name"),
        ("", {"nmae": "x"}, "nmae"),
    ],
)
async def test_what_is_wrong_is_named(query: str, body: dict[str, Any], attribute: str) -> None:
    async with script(operation()) as http:
        error = error_of(await http.post(f"/things/x{query}", json=body), 422)
        assert (error["code"], error["attribute"]) == ("invalid_parameter", attribute)
        assert error["message"].startswith(f"{attribute}: ")


async def test_where_nothing_is_taken_something_is_refused() -> None:
    async with script(operation(query=Nothing, body=Nothing)) as http:
        assert error_of(await http.post("/things/x?size=1"), 422)["attribute"] == "size"


async def test_the_work_may_refuse_the_call() -> None:
    async def work(call: Call[Any, Any]) -> BaseModel:
        return found(None, "thing")

    async with script(operation(work)) as http:
        assert error_of(await http.post("/things/x"), 404) == {
            "code": "not_found",
            "message": "there is no such thing",
        }


def test_what_is_there_is_found_however_little_it_is() -> None:
    assert found("", "thing") == ""
    assert found(0, "thing") == 0


async def test_a_store_that_fails_is_told_and_logged_without_the_query(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work(_: Call[Any, Any]) -> None:
        raise StoreError("the disk of x is full; free some space")

    async with script(operation(work)) as http:
        assert error_of(await http.post("/things/x?size=7"), 503) == {
            "code": "store_failed",
            "message": "the disk of x is full; free some space",
        }
    line = "POST /things/x failed: the disk of x is full; free some space"
    assert [(one.levelno, one.getMessage()) for one in caplog.records] == [(logging.WARNING, line)]


async def test_a_fault_of_ours_says_nothing_of_itself() -> None:
    async def work(_: Call[Any, Any]) -> None:
        raise ZeroDivisionError("secret")

    async with script(operation(work)) as http:
        answer = await http.post("/things/x")
        assert error_of(answer, 500) == {
            "code": "internal",
            "message": "the hub failed; see its log",
        }


async def test_a_call_that_there_is_not() -> None:
    async with script(operation()) as http:
        assert error_of(await http.get("/nothing"), 404) == {
            "code": "not_found",
            "message": "there is no such call",
        }


async def test_what_the_framework_refuses_keeps_its_words_and_headers() -> None:
    refusal = HTTPException(416, "not in this file", headers={"Content-Range": "bytes */7"})
    answer = problem_of(request_of(b""), refusal)
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */7")
    assert answer.body == b'{"errors":[{"code":"refused","message":"not in this file"}]}'


def test_a_problem_can_be_sent_whatever_stands_in_it() -> None:
    problem = Problem(422, "invalid\ud800", "half a \udfff", attribute="a\ud800")
    assert (problem.errors[0].code, problem.errors[0].message) == ("invalid?", "half a ?")
    assert b'"attribute":"a?"' in bytes(problem.response().body)
    assert b"attribute" not in bytes(Problem(404, "x", "y").response().body)


# Bodies


def request_of(*chunks: bytes, ends: bool = True) -> Request:
    """A request whose body comes in these pieces; one that never `ends` is not read further."""
    pieces = [*chunks]

    async def receive() -> Message:
        assert pieces, "more is read than is needed"
        body = pieces.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(pieces) or not ends}

    return Request({"type": "http", "method": "POST", "headers": [], "path": "/"}, receive)


async def refusal_of(request: Request) -> tuple[int, str, str]:
    with pytest.raises(Problem) as caught:
        await read_body(request, Body)
    return caught.value.status, caught.value.errors[0].code, caught.value.errors[0].message


@pytest.mark.parametrize("body", [b"", b" \r\n\t", b"{}", b" {} "])
async def test_no_body_is_an_empty_object(body: bytes) -> None:
    assert await read_body(request_of(body), Body) == Body()


async def test_a_body_comes_in_pieces() -> None:
    text = '{"name": "Ö"}'.encode()
    pieces = [text[at : at + 1] for at in range(len(text))]
    assert await read_body(request_of(*pieces), Body) == Body(name="Ö")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"name",
        b'{"name": NaN}',
        b'{"name": -Infinity}',
        b'{"name": "\\ud800"}',
        b'{"\\udfff": "x"}',
        b'{"name": "\xff"}',
        b"[" * 30_000,
        b"1" * 10_000,
    ],
)
async def test_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    assert await refusal_of(request_of(body)) == (400, "invalid_body", "the body is not JSON")


@pytest.mark.parametrize("body", [b"[]", b"null", b"7", b'"name"', b"true"])
async def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    wanted = (400, "invalid_body", "the body must be a JSON object")
    assert await refusal_of(request_of(body)) == wanted


async def test_a_body_is_as_long_as_may_be_and_no_longer() -> None:
    name = "x" * (BODY_MAX - len(b'{"name":""}'))
    text = f'{{"name":"{name}"}}'.encode()
    assert len(text) == BODY_MAX
    assert (await read_body(request_of(text[:100], text[100:]), Body)).name == name
    wanted = (413, "invalid_body", "the body has more than 65536 bytes")
    assert await refusal_of(request_of(text, b" ")) == wanted
    # It is not read to its end, which may never come.
    assert await refusal_of(request_of(*[bytes(1000)] * 66, ends=False)) == wanted


@pytest.mark.parametrize(
    ("body", "status"), [(b"{", 400), (b"[]", 400), (b"x" * 70_000, 413), (b"", 422)]
)
async def test_after_a_bad_body_the_connection_goes_on(
    hub: TestHub, body: bytes, status: int
) -> None:
    async with Script(hub) as script:
        answer = await script.http.post("/api/video/room_tokens", content=body)
        assert answer.status_code == status
        assert (await script.http.get("/health")).status_code == 200
