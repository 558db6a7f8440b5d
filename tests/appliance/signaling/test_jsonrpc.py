from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.signaling import jsonrpc
from appliance.signaling.errors import NotFound, ProtocolError, RpcError
from appliance.signaling.jsonrpc import Request, Response

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_a_request_is_read():
    text = '{"jsonrpc":"2.0","id":"a","method":"signalwire.ping","params":{"timestamp":1.5}}'
    assert jsonrpc.parse(text) == Request("a", "signalwire.ping", {"timestamp": 1.5})


@pytest.mark.parametrize("params", ["", ',"params":null'])
def test_params_may_be_missing(params: str):
    text = f'{{"id":1,"method":"signalwire.disconnect"{params}}}'
    assert jsonrpc.parse(text) == Request(1, "signalwire.disconnect", {})


def test_a_response_is_read():
    assert jsonrpc.parse('{"id":"a","result":{"code":"200"}}') == Response("a", {"code": "200"})
    assert jsonrpc.parse('{"id":"a","error":{"code":-1}}') == Response("a", None, {"code": -1})
    assert jsonrpc.parse('{"id":"a","error":null,"result":[]}') == Response("a", [])
    assert jsonrpc.parse('{"id":"a","error":"no"}') == Response("a", None, {"message": "no"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "a list"),
        ("null", "null"),
        ("3", "a number"),
        ('"x"', "a string"),
        ('{"method":5}', "method must be a string"),
        ('{"method":null}', "method must be a string"),
        ('{"method":"m","params":[1]}', "params of m"),
        ('{"method":"m","id":1.5}', "id must be"),
        ('{"method":"m","id":true}', "id must be"),
        ('{"id":{},"result":{}}', "id must be"),
        ('{"method":"m","params":{"x":NaN}}', "NaN"),
        ('{"method":"m","params":{"x":1e999}}', "out of range"),
        ('{"id":"a","result":-Infinity}', "-Infinity"),
        ('{"id":' + "9" * 5000 + "}", "not JSON"),
        ("[" * 200_000, "nested too deep"),
    ],
)
def test_what_is_no_frame_is_refused_on_one_line(text: str, says: str):
    with pytest.raises(ProtocolError, match=says) as caught:
        jsonrpc.parse(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@given(json_values)
def test_every_object_is_read_or_refused(value: object):
    try:
        frame = jsonrpc.parse(json.dumps(value))
    except ProtocolError:
        return
    assert isinstance(value, dict)
    assert isinstance(frame, Request) == ("method" in value)


@given(st.text(), st.dictionaries(st.text(), json_values, max_size=4))
def test_what_is_built_is_read_back(method: str, params: dict[str, object]):
    frame = jsonrpc.request(method, params)
    assert jsonrpc.parse(jsonrpc.dumps(frame)) == Request(frame["id"], method, params)


def test_texts_survive_any_encoding():
    text = jsonrpc.dumps(jsonrpc.result("a", {"name": "Käthe \ud800 ☎"}))
    assert text.isascii()
    assert jsonrpc.parse(text) == Response("a", {"name": "Käthe \ud800 ☎"})


def test_numbers_that_json_has_not_are_not_sent():
    with pytest.raises(ValueError):
        jsonrpc.dumps({"x": float("nan")})


def test_ids_are_fresh_unless_given():
    assert jsonrpc.request("m", {})["id"] != jsonrpc.request("m", {})["id"]
    assert jsonrpc.request("m", {}, 0)["id"] == 0


def test_an_error_frame():
    assert jsonrpc.error("a", -32002, "no") == {
        "jsonrpc": "2.0",
        "id": "a",
        "error": {"code": -32002, "message": "no"},
    }


# The reading rules.


@pytest.mark.parametrize(
    ("result", "answer"),
    [
        ({}, {}),
        ({"code": "200", "message": "OK"}, {"code": "200", "message": "OK"}),
        ({"code": 200, "members": []}, {"code": 200, "members": []}),
        ({"code": "299"}, {"code": "299"}),
        ({"code": "200", "result": {"members": [1]}}, {"members": [1]}),
        ({"code": "200", "result": "done"}, {"code": "200", "result": "done"}),
        ({"code": "200", "node_id": "n", "result": {}}, {}),
        (
            {
                "code": "200",
                "node_id": "n@1",
                "result": {
                    "jsonrpc": "2.0",
                    "id": "i",
                    "result": {"message": "CALL CREATED", "callID": "c"},
                },
            },
            {"message": "CALL CREATED", "callID": "c", "node_id": "n@1"},
        ),
        ({"result": {"jsonrpc": "2.0", "result": {"callID": "c"}}}, {"callID": "c"}),
        ({"node_id": "n", "result": {"jsonrpc": "2.0"}}, {"node_id": "n"}),
        (
            {
                "node_id": "outer",
                "result": {
                    "jsonrpc": "2.0",
                    "result": {
                        "node_id": "inner",
                        "result": {"jsonrpc": "2.0", "result": {"a": 1}},
                    },
                },
            },
            {"a": 1, "node_id": "outer"},
        ),
    ],
)
def test_what_a_result_says(result: dict[str, object], answer: dict[str, object]):
    assert jsonrpc.unwrap(result) == answer


@pytest.mark.parametrize("code", ["403", "100", "20", "2000", "-32002", 500, "OK", [1]])
def test_a_code_that_is_not_2xx_is_a_failure(code: object):
    with pytest.raises(RpcError, match="because"):
        jsonrpc.unwrap({"code": code, "message": "because", "result": {"fine": True}})


def test_failures_inside_are_found():
    with pytest.raises(NotFound):
        jsonrpc.unwrap({"code": "200", "result": {"jsonrpc": "2.0", "result": {"code": "404"}}})
    with pytest.raises(RpcError) as caught:
        jsonrpc.unwrap(
            {
                "code": "200",
                "result": {"jsonrpc": "2.0", "error": {"code": -32002, "message": "CALL ERROR"}},
            }
        )
    assert caught.value.code == "-32002"
    assert caught.value.message == "CALL ERROR"


def test_any_depth_is_unwrapped():
    result: dict[str, object] = {"a": 1}
    for _ in range(50_000):
        result = {"result": {"jsonrpc": "2.0", "result": result}}
    assert jsonrpc.unwrap(result) == {"a": 1}
    while "result" in result:  # taken apart by hand: freeing it in one go would recurse
        result = result["result"]["result"]  # type: ignore[index]


@given(
    st.dictionaries(st.sampled_from(["code", "result", "node_id", "jsonrpc", "error"]), json_values)
)
def test_unwrapping_answers_or_fails_cleanly(result: dict[str, object]):
    try:
        answer = jsonrpc.unwrap(result)
    except RpcError:
        return
    assert isinstance(answer, dict)
