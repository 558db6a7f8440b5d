"""JSON-RPC 2.0 as the video rooms speak it: one object a frame, either way."""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TypeAlias

from .errors import ProtocolError, one_line, rpc_error

__all__ = [
    "Id",
    "Request",
    "Response",
    "dumps",
    "error",
    "new_id",
    "parse",
    "request",
    "result",
    "unwrap",
]

#: Clients send UUID strings; the server's inner Verto ids may be numbers.
Id: TypeAlias = str | int

MAX_ID: Final = 200
"""Characters of an id: answers carry it back, so a long one would cost the answerer."""

#: What counts as success in a result's ``code``, as the browser SDK has it.
_SUCCESS = re.compile(r"2[0-9][0-9]")


@dataclass(frozen=True, slots=True)
class Request:
    """A frame with a method. ``id`` is None for a notification, which gets no answer."""

    id: Id | None
    method: str
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """A frame without a method.

    ``error`` is None on success. ``result`` is any JSON value; None when there was none.
    """

    id: Id | None
    result: Any = None
    error: dict[str, Any] | None = None


def new_id() -> str:
    """A fresh request id: a random UUID."""
    return str(uuid.uuid4())


def parse(text: str) -> Request | Response:
    """Read one frame.

    As the browser SDK does, a frame without ``method`` is a response whatever else it holds.

    Raises:
        ProtocolError: the text is no JSON object, or a part of it has a wrong type. A number that
            JSON cannot say again (NaN, an infinity) is refused too, so that all that was read can
            be sent.
    """
    try:
        frame = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError:
        raise ProtocolError("a frame is nested too deep") from None
    except ValueError as e:
        raise ProtocolError(f"a frame is not JSON: {e}") from None
    if not isinstance(frame, dict):
        raise ProtocolError(f"a frame must be a JSON object, not {_kind(frame)}")
    identifier = _identifier(frame.get("id"))
    if "method" not in frame:
        return Response(identifier, frame.get("result"), _error_object(frame.get("error")))
    method = frame["method"]
    if not isinstance(method, str):
        raise ProtocolError(f"a method must be a string, not {_kind(method)}")
    params = frame.get("params")
    if params is None:
        params = {}
    if not isinstance(params, dict):
        raise ProtocolError(f"the params of {method[:80]} must be an object, not {_kind(params)}")
    return Request(identifier, method, params)


def dumps(frame: Mapping[str, Any]) -> str:
    """The text of a frame. ASCII only, so that a lone surrogate cannot break the encoding.

    Raises:
        ValueError: it holds NaN or an infinity.
        TypeError: it holds what JSON has no word for.
    """
    return json.dumps(frame, separators=(",", ":"), allow_nan=False)


def request(method: str, params: Mapping[str, Any], id: Id | None = None) -> dict[str, Any]:  # noqa: A002
    """A request frame; without ``id`` it gets a fresh one."""
    identifier = new_id() if id is None else id
    return {"jsonrpc": "2.0", "id": identifier, "method": method, "params": dict(params)}


def result(id: Id | None, result: Any) -> dict[str, Any]:  # noqa: A002
    """The frame of a successful answer."""
    return {"jsonrpc": "2.0", "id": id, "result": result}


def error(id: Id | None, code: int | str, message: str) -> dict[str, Any]:  # noqa: A002
    """The frame of a failed answer."""
    return {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}


def unwrap(result: Mapping[str, Any]) -> dict[str, Any]:
    """What a result really says, by the browser SDK's rules.

    1. A ``code`` that is not 2xx is a failure: servers report most failures this way.
    2. A nested JSON-RPC answer (``result.jsonrpc``) is read by the same rules, its ``error`` is a
       failure, and the outer ``node_id`` is copied into what it resolves to.
    3. Another nested object ``result`` is the answer. Else the result itself is.

    Not for ``signalwire.connect``, whose result is taken as it is.

    Raises:
        RpcError: it is a failure.
    """
    current: Mapping[str, Any] = result
    nodes: list[Any] = []
    while True:
        code = current.get("code")
        if code and not _SUCCESS.fullmatch(one_line(code)):
            raise rpc_error(current)
        nested = current.get("result")
        if not isinstance(nested, dict):
            break
        if not nested.get("jsonrpc"):
            current = nested
            break
        if failure := _error_object(nested.get("error")):
            raise rpc_error(failure)
        nodes.append(current.get("node_id"))
        inner = nested.get("result")
        current = inner if isinstance(inner, dict) else {}
    answer = dict(current)
    # The outermost node wins, as where the SDK returns from the recursion.
    for node in reversed(nodes):
        if node is not None:
            answer["node_id"] = node
    return answer


def _identifier(value: Any) -> Id | None:
    if isinstance(value, str) and len(value) > MAX_ID:
        raise ProtocolError(f"an id has {MAX_ID} characters at the most")
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ProtocolError(f"an id must be a string or an integer, not {_kind(value)}")


def _error_object(value: Any) -> dict[str, Any] | None:
    if not value:
        return None
    return value if isinstance(value, dict) else {"message": value}


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    return names.get(type(value), "null" if value is None else "a number")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number
