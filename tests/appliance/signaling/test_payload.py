from __future__ import annotations

import copy
import pickle

import pytest

from appliance.signaling.payload import Payload

MEMBER = {"id": "m", "audio_muted": True, "meta": {"seat": 3}, "updated": ["audio_muted"]}
EVENT = {"room_id": "r", "member": MEMBER, "layers": [{"x": 0}, [{"y": 1}], None]}


def test_fields_are_attributes_all_the_way_down():
    event = Payload(EVENT)
    assert event.room_id == "r"
    assert event.member.audio_muted is True
    assert event.member.meta.seat == 3
    assert event.member.updated == ["audio_muted"]
    assert event.layers[0].x == 0
    assert event.layers[1][0].y == 1
    assert event.layers[2] is None


def test_fields_are_items_too():
    event = Payload(EVENT)
    assert event["member"]["id"] == "m"
    assert event.get("nothing") is None
    assert dict(event.member.items())["id"] == "m"
    assert "member" in event
    assert len(event) == 3
    assert list(event) == ["room_id", "member", "layers"]


def test_a_missing_attribute_is_named():
    with pytest.raises(AttributeError, match="no field 'audio_mutd'") as caught:
        _ = Payload(EVENT).member.audio_mutd
    assert caught.value.name == "audio_mutd"
    assert not hasattr(Payload({}), "member")


def test_it_is_read_only():
    event = Payload(EVENT)
    with pytest.raises(AttributeError, match="read-only"):
        event.room_id = "other"
    with pytest.raises(AttributeError, match="read-only"):
        del event.room_id
    with pytest.raises(TypeError):
        event["room_id"] = "other"  # type: ignore[index]
    assert event.room_id == "r"


def test_equality_is_by_content():
    assert Payload(EVENT) == EVENT
    assert Payload(EVENT) == Payload(copy.deepcopy(EVENT))
    assert Payload(EVENT).member != {**MEMBER, "audio_muted": False}


def test_a_plain_copy_is_free_to_change():
    event = Payload(EVENT)
    plain = event.to_dict()
    assert plain == EVENT
    plain["member"]["id"] = "other"
    assert event.member.id == "m"


def test_copies_and_pickles():
    event = Payload(EVENT)
    for twin in (copy.copy(event), copy.deepcopy(event), pickle.loads(pickle.dumps(event))):
        assert isinstance(twin, Payload)
        assert twin == event
    assert Payload(event) == event


def test_methods_win_over_fields_of_their_names():
    event = Payload({"items": 1, "values": 2, "_data": 3})
    assert event["items"] == 1
    assert list(event.items()) == [("items", 1), ("values", 2), ("_data", 3)]


def test_it_shows_itself():
    assert repr(Payload({"a": {"b": 1}})) == "Payload({'a': {'b': 1}})"
    assert {"room_id", "to_dict"} <= set(dir(Payload(EVENT)))
