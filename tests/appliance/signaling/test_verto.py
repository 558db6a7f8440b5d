from __future__ import annotations

from typing import Any

import pytest

from appliance.signaling import verto
from appliance.signaling.errors import ProtocolError
from appliance.signaling.verto import VertoMessage

ANSWER = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "verto.answer",
    "params": {"callID": "c", "sdp": "v=0\r\n"},
}


@pytest.mark.parametrize(
    "event",
    [
        {"event_type": "webrtc.message", "node_id": "n@1", "project_id": "p", "params": ANSWER},
        {**ANSWER, "node_id": "n@1"},
    ],
    ids=["whole", "inner"],
)
def test_a_message_of_the_server_is_read(event: dict[str, Any]):
    message = verto.parse(event)
    assert message == VertoMessage("verto.answer", 1, ANSWER["params"], "n@1")
    assert message.call_id == "c"
    assert message.sdp == "v=0\r\n"


def test_parts_may_be_missing():
    message = verto.parse({"method": "verto.ping"})
    assert message == VertoMessage("verto.ping", None, {}, None)
    assert message.call_id is None
    assert message.sdp is None


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"method": 3},
        {"event_type": "webrtc.message"},
        {"event_type": "webrtc.message", "params": []},
        {"method": "verto.bye", "params": "x"},
        {"method": "verto.bye", "id": [], "params": {}},
        {"method": "verto.bye", "id": True},
    ],
)
def test_what_is_no_message_is_refused(event: dict[str, Any]):
    with pytest.raises(ProtocolError):
        verto.parse(event)


def test_odd_values_are_not_taken_for_ids():
    message = verto.parse(
        {"method": "verto.answer", "node_id": 7, "params": {"callID": 5, "sdp": ""}}
    )
    assert (message.node_id, message.call_id, message.sdp) == (None, None, None)


def test_an_invite_of_a_screen_share_names_parent_and_layout():
    invite = verto.invite(
        "c",
        "v=0\r\n",
        screen_share=True,
        user_variables={"memberCallId": "p", "memberId": "m"},
        layout="1x1",
        positions={"self": "reserved-1"},
    )
    assert invite["method"] == "verto.invite"
    assert invite["params"]["layout"] == "1x1"
    assert invite["params"]["positions"] == {"self": "reserved-1"}
    dialog = invite["params"]["dialogParams"]
    assert dialog["userVariables"] == {"memberCallId": "p", "memberId": "m"}
    assert dialog["screenShare"] is True
    assert dialog["additionalDevice"] is False


def test_a_bye_may_tell_why():
    params = verto.bye("c", cause="USER_BUSY", cause_code="17")["params"]
    assert (params["cause"], params["causeCode"]) == ("USER_BUSY", "17")


def test_a_modify_brings_its_offer():
    params = verto.modify("c", sdp="v=0\r\n")["params"]
    assert (params["action"], params["sdp"]) == ("updateMedia", "v=0\r\n")
    assert "sdp" not in verto.modify("c", "hold")["params"]


def test_an_envelope_holds_only_what_is_known():
    message = verto.reply(4, "verto.bye")
    assert verto.envelope(message) == {"message": message}
    assert verto.envelope(message, call_id="c", node_id="n", subscribe=("video.x",)) == {
        "message": message,
        "callID": "c",
        "node_id": "n",
        "subscribe": ["video.x"],
    }
