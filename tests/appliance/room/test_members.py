"""The list of members, and what the application hears of its changes."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from appliance.room.members import Emission, Members

ROOMS = {"room_id": "r", "room_session_id": "s"}


def full(member_id: str, **fields: Any) -> dict[str, Any]:
    return {"id": member_id, "name": member_id, "audio_muted": False, "meta": {}} | fields


def seeded(*ids: str) -> Members:
    members = Members()
    members.replace([full(member_id) for member_id in ids])
    return members


def names(emissions: list[Emission]) -> list[str]:
    return [name for name, _ in emissions]


def test_seed() -> None:
    members = seeded("a", "b")
    assert [m["id"] for m in members] == ["a", "b"]
    assert members.list_updated() == ("memberList.updated", {"members": [full("a"), full("b")]})
    members.replace([full("b"), {"no": "id"}, None, 7, {"id": 3}])
    assert [m["id"] for m in members] == ["b"]


def test_what_is_handed_out_is_a_copy() -> None:
    members = seeded("a")
    members.snapshot()[0]["name"] = "changed"
    got = members.get("a")
    assert got is not None
    got["name"] = "changed"
    assert members.get("a") == full("a")
    assert members.get("z") is None


def test_join_and_leave() -> None:
    members = seeded("a")
    payload = {**ROOMS, "member": full("b")}
    assert members.apply("member.joined", payload) == [
        ("member.joined", payload),
        ("memberList.updated", {"members": [full("a"), full("b")]}),
    ]
    left = members.apply("member.left", {**ROOMS, "member": {"id": "a"}})
    assert names(left) == ["member.left", "memberList.updated"]
    assert len(members) == 1


def test_update_is_merged() -> None:
    members = seeded("a", "b")
    change = {"id": "a", "updated": ["audio_muted", "meta"], "audio_muted": True, "meta": {"k": 1}}
    emissions = members.apply("member.updated", {**ROOMS, "member": change})
    assert names(emissions) == [
        "member.updated.audio_muted",
        "member.updated.meta",
        "member.updated",
        "memberList.updated",
    ]
    expected = full("a", audio_muted=True, meta={"k": 1})
    for _, payload in emissions[:3]:
        assert payload == {**ROOMS, "member": {**expected, "updated": ["audio_muted", "meta"]}}
    assert members.get("a") == expected
    assert members.get("b") == full("b")


def test_update_of_somebody_unknown_is_kept() -> None:
    members = seeded()
    members.apply("member.updated", {"member": {"id": "x", "updated": ["name"], "name": "X"}})
    assert members.get("x") == {"id": "x", "name": "X"}


def test_talking() -> None:
    members = seeded("a")
    payload = {**ROOMS, "member": {"id": "a", "talking": True}}
    assert members.apply("member.talking", payload) == [
        ("member.talking.started", payload),
        ("member.talking.start", payload),
        ("member.talking", payload),
    ]
    assert members.get("a") == full("a", talking=True)
    stop = {**ROOMS, "member": {"id": "a", "talking": False}}
    assert names(members.apply("member.talking", stop)) == [
        "member.talking.ended",
        "member.talking.stop",
        "member.talking",
    ]


def test_positions_come_with_the_layout() -> None:
    members = seeded("a", "b")
    layout = {
        "name": "2x1",
        "layers": [
            {"member_id": "a", "position": "standard-1"},
            {"member_id": None, "position": "playback"},
        ],
    }
    payload = {**ROOMS, "layout": layout}
    emissions = members.apply("layout.changed", payload)
    assert emissions[0] == ("layout.changed", payload)
    assert names(emissions[1:]) == [
        "member.updated.current_position",
        "member.updated",
        "member.updated.current_position",
        "member.updated",
        "memberList.updated",
    ]
    positions = [p["member"]["current_position"] for n, p in emissions if n == "member.updated"]
    assert positions == ["standard-1", "off-canvas"]
    assert all(p["member"]["updated"] == ["current_position"] for _, p in emissions[1:-1])
    # The same again is no news, also for who is off the canvas.
    assert names(members.apply("layout.changed", payload)) == ["layout.changed"]
    # A fresh list from the server does not carry positions; what is known stays.
    members.replace([full("a")])
    assert members.get("a") == full("a", current_position="standard-1")


def test_other_events_pass() -> None:
    members = seeded("a")
    assert members.apply("room.updated", {"room": {}}) == [("room.updated", {"room": {}})]
    promoted = {"member_id": "a", "authorization": {}}
    assert members.apply("member.promoted", promoted) == [("member.promoted", promoted)]


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "member", "updated", "layout", "layers", "member_id", "position", "talking"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
events = st.sampled_from(
    ["member.joined", "member.left", "member.updated", "member.talking", "layout.changed"]
)


@given(st.lists(st.tuples(events, st.dictionaries(st.sampled_from(["member", "layout"]), json))))
def test_nothing_from_the_wire_breaks_the_list(stream: list[tuple[str, dict[str, Any]]]) -> None:
    members = seeded("a")
    for event, payload in stream:
        emissions = members.apply(event, payload)
        assert event in names(emissions)
        assert all(isinstance(member["id"], str) for member in members)
