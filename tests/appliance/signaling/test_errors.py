from __future__ import annotations

import pytest

from appliance.signaling.errors import (
    MAX_MESSAGE,
    AuthError,
    Disconnected,
    NotAdmitted,
    NotFound,
    PermissionDenied,
    ProtocolError,
    RequestTimeout,
    RpcError,
    SignalingError,
    one_line,
    rpc_error,
)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (Disconnected("gone"), ConnectionError),
        (RequestTimeout("late"), TimeoutError),
        (ProtocolError("odd"), ValueError),
        (NotFound("404", "who"), LookupError),
    ],
)
def test_each_error_is_also_the_builtin_of_its_kind(error: SignalingError, builtin: type):
    assert isinstance(error, SignalingError)
    assert isinstance(error, builtin)


@pytest.mark.parametrize(
    ("code", "kind"),
    [("403", PermissionDenied), (403, PermissionDenied), ("404", NotFound), ("409", RpcError)],
)
def test_the_code_chooses_the_class(code: object, kind: type):
    error = rpc_error({"code": code, "message": "Unauthorized", "more": 1})
    assert type(error) is kind
    assert error.code == str(code)
    assert error.message == "Unauthorized"
    assert error.details == {"code": code, "message": "Unauthorized", "more": 1}


def test_the_text_tells_method_reason_and_remedy():
    error = rpc_error({"code": "403", "message": "Unauthorized"}, "video.set_layout")
    assert str(error) == (
        "video.set_layout: 403 Unauthorized; ask for a token with this permission"
    )


@pytest.mark.parametrize(
    ("details", "kind", "says"),
    [
        (
            {"code": "403", "message": "The room is locked; ask its host to unlock it"},
            NotAdmitted,
            "the room is locked; ask its host to unlock it",
        ),
        ({"code": "403", "message": "Closed"}, NotAdmitted, "closed; ask the room's host"),
        (
            {"code": "403", "message": "Unauthorized: the audience sends nothing"},
            PermissionDenied,
            "unauthorized: the audience sends nothing; ask for a token with this permission",
        ),
        ({"code": "404", "message": "There is no room x; make it"}, NotFound, None),
        ({"code": "403"}, NotAdmitted, "video.message: 403; ask the room's host"),
    ],
)
def test_a_refused_call_is_told_without_the_words_of_the_wire(
    details: dict[str, str], kind: type, says: str | None
):
    error = rpc_error(details, "video.message")
    assert type(error) is kind
    assert str(error) == (says or "there is no room x; make it")


def test_an_error_without_anything_still_says_so():
    assert str(rpc_error({})) == "no reason given"


def test_any_type_of_code_and_message_is_survived():
    deep: object = "x"
    for _ in range(100_000):
        deep = [deep]
    error = rpc_error({"code": deep, "message": deep})
    assert error.code == "(unreadable)"
    assert error.message == "(unreadable)"


def test_messages_are_one_line_and_not_endless():
    assert str(AuthError(-32002, "out of\nreach\x1b[31m")) == (
        "the server refused the token: out of reach [31m; get a new token"
    )
    assert len(one_line("x" * 10_000)) == MAX_MESSAGE
    assert one_line("a\r\n\t b\u2028c") == "a b c"


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("", "the server refused the token; get a new token"),
        ("expired", "the server refused the token: expired; get a new token"),
        ("401 Unauthorized", "the server refused the token; get a new token"),
        ("401 Unauthorized: late; wait", "the server refused the token: late; wait"),
        (
            "Authentication service failed with status ProtocolError, 401 Unauthorized: {}",
            "the server refused the token; get a new token",
        ),
        (
            "Authentication service failed with status ProtocolError, 401 Unauthorized: "
            "the token has expired; get a new one",
            "the server refused the token: the token has expired; get a new one",
        ),
    ],
)
def test_a_refused_token_is_told_in_the_servers_own_words(message: str, says: str):
    error = AuthError(-32002, message)
    assert str(error) == says
    assert (error.code, error.message) == (-32002, message)
