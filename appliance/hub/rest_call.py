"""What all HTTP calls share: how they are described, checked, answered and refused.

An `Operation` is one call. The routes are made of it, and so is the OpenAPI document: the two
cannot say different things.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from appliance.hub.errors import StoreError
from appliance.hub.rest_guard import Guard
from appliance.hub.tokens import mistakes

__all__ = [
    "Call",
    "ErrorAnswer",
    "ErrorItem",
    "Nothing",
    "Operation",
    "Problem",
    "fetch",
    "found",
    "problem_of",
    "read_body",
    "remove",
    "routes",
]

log = logging.getLogger(__name__)

#: Bytes of a request's body.
BODY_MAX: Final = 65_536

Q = TypeVar("Q", bound=BaseModel)
B = TypeVar("B", bound=BaseModel)
M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


class Nothing(BaseModel):
    """A query or a body without any fields."""

    model_config = ConfigDict(extra="forbid")


class ErrorItem(BaseModel):
    """One thing that is wrong."""

    code: str
    message: str
    #: The parameter that is to blame.
    attribute: str | None = None


class ErrorAnswer(BaseModel):
    """Why a call was refused."""

    errors: list[ErrorItem]


class Problem(Exception):
    """Why a call is refused: the HTTP status, a word for programs and a line for people.

    `more` is what else is wrong, with a word of the same kind: parameters and lines.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        attribute: str | None = None,
        more: Iterable[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.status: Final = status
        self.errors: Final = [
            ErrorItem(
                code=_text(code),
                message=_text(line),
                attribute=None if field is None else _text(field),
            )
            for field, line in ((attribute, message), *more)
        ]

    def response(self, headers: dict[str, str] | None = None) -> Response:
        """The answer to the call."""
        answer = ErrorAnswer(errors=self.errors)
        if self.status == 401:
            headers = {"WWW-Authenticate": 'Basic realm="roomlet"'}
        return JSONResponse(answer.model_dump(exclude_none=True), self.status, headers=headers)


@dataclass(frozen=True, slots=True)
class Call(Generic[Q, B]):
    """One call that has passed all checks."""

    request: Request
    #: The `{id}` of the path; empty where it has none.
    id: str
    query: Q
    body: B


@dataclass(frozen=True, slots=True)
class Operation(Generic[Q, B]):
    """One call: where it is, what it takes, what it does and what it gives.

    `work` returns the answer, a whole response in its place, or None for 204.
    """

    method: str
    path: str
    name: str
    summary: str
    tag: str
    work: Callable[[Call[Q, B]], Awaitable[BaseModel | Response | None]]
    query: type[Q]
    body: type[B]
    answer: type[BaseModel] | None
    status: int = 200
    #: The kind of content, where it is not JSON.
    media_type: str = "application/json"
    #: Statuses of refusals beside those of every call.
    refusals: tuple[int, ...] = ()
    #: Whether a link that was signed opens it as well as the API token.
    by_link: bool = False


def fetch(
    path: str,
    name: str,
    summary: str,
    tag: str,
    work: Callable[[Call[Q, Nothing]], Awaitable[BaseModel | Response | None]],
    query: type[Q],
    answer: type[BaseModel],
) -> Operation[Q, Nothing]:
    """A GET; of something that may not exist where its path has an ``{id}``."""
    refusals = (404,) if "{id}" in path else ()
    return Operation(
        "GET", path, name, summary, tag, work, query, Nothing, answer, refusals=refusals
    )


def remove(
    path: str,
    name: str,
    summary: str,
    tag: str,
    work: Callable[[Call[Nothing, Nothing]], Awaitable[None]],
    *refusals: int,
) -> Operation[Nothing, Nothing]:
    """A DELETE of something that may not exist; `refusals` beside that."""
    return Operation(
        "DELETE",
        path,
        name,
        summary,
        tag,
        work,
        Nothing,
        Nothing,
        None,
        status=204,
        refusals=(404, *refusals),
    )


def found(one: T | None, what: str) -> T:
    """What a call is about. Raises Problem when there is no such thing."""
    if one is None:
        raise Problem(404, "not_found", f"there is no such {what}")
    return one


def routes(operations: Iterable[Operation[Any, Any]], guard: Guard) -> list[Route]:
    """The routes of all operations, one for each path."""
    paths: dict[str, dict[str, Operation[Any, Any]]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = operation
    return [
        Route(path, _endpoint(methods, guard), methods=[*methods])
        for path, methods in paths.items()
    ]


def problem_of(_request: Request, error: Exception) -> Response:
    """The answer to what no operation is for, or fails at."""
    if not isinstance(error, HTTPException):
        # Starlette's own handler raises it again, for the server's log.
        return Problem(500, "internal", "the hub failed; see its log").response()
    codes = {404: ("not_found", "there is no such call"), 405: ("method_not_allowed", "")}
    code, message = codes.get(error.status_code, ("refused", error.detail))
    problem = Problem(error.status_code, code, message or "the call takes other methods")
    return problem.response(dict(error.headers or {}))


async def read_body(request: Request, model: type[M]) -> M:
    """The JSON object that a request brings, as `model`; no body is an empty object.

    Raises Problem.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_MAX:
            raise Problem(413, "invalid_body", f"the body has more than {BODY_MAX} bytes")
        chunks.append(chunk)
    text = b"".join(chunks)
    try:
        value = json.loads(text, parse_constant=_no_number) if text.strip() else {}
        # Half of a surrogate pair is no text: it can neither be kept nor sent back.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Problem(400, "invalid_body", "the body is not JSON") from None
    if not isinstance(value, dict):
        raise Problem(400, "invalid_body", "the body must be a JSON object")
    return _validated(model, value)


def _endpoint(
    methods: dict[str, Operation[Any, Any]], guard: Guard
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        try:
            return await _answer(methods[method], request, guard)
        except Problem as problem:
            return problem.response()
        except StoreError as error:
            log.warning("%s %s failed: %s", request.method, request.scope["path"], error)
            return Problem(503, "store_failed", str(error)).response()

    return endpoint


async def _answer(operation: Operation[Any, Any], request: Request, guard: Guard) -> Response:
    if not guard.holds_keys(request) and not (operation.by_link and guard.has_link(request)):
        raise Problem(
            401,
            "unauthorized",
            "the project id and the API token are needed (HTTP basic authentication)",
        )
    query = _validated(operation.query, dict(request.query_params))
    body = Nothing()
    if operation.body is not Nothing:
        body = await read_body(request, operation.body)
    identifier = request.path_params.get("id", "")
    answer = await operation.work(Call(request, identifier, query, body))
    if answer is None:
        return Response(status_code=204)
    if isinstance(answer, Response):
        return answer
    return Response(
        answer.model_dump_json(),
        operation.status,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _validated(model: type[M], value: dict[str, Any]) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        (field, message), *more = mistakes(error, model)
        raise Problem(422, "invalid_parameter", message, attribute=field, more=more) from None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _text(text: str) -> str:
    """The text as it can be sent."""
    return text.encode("utf-8", "replace").decode()
