"""One client's frames as they are compared with another's: names for ids, SDP in short."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from wire_tape import Frame, Message

OWN: Final = "<own member>"

UUID: Final = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
CODECS: Final = frozenset({"opus", "VP8", "H264"})
"""What a room of ours sends and takes."""
DIRECTIONS: Final = frozenset({"sendrecv", "sendonly", "recvonly", "inactive"})

_MASKED: Final = {"jwt_token": "<token>", "agent": "<agent>"}
_LEARNT: Final = {
    "protocol": "<protocol>",
    "authorization_state": "<authorization state>",
    "node_id": "<node>",
    "room_id": "<room>",
    "room_session_id": "<room session>",
}
"""What the hub tells, by its key."""
_LEGS: Final = ("screen", "device")
_WORKS: Final = ("recording", "playback", "stream")


class WireNames:
    """Names for ids, the same for two clients where the ids mean the same.

    An id of the hub is named after what the hub called it when the client learnt it, so that a
    member's id in the place of a recording's shows.  Ids that the client chose, those of its
    calls, are numbered in the order in which it used them first.
    """

    def __init__(self, own_name: str, known: Mapping[str, str] | None = None) -> None:
        """`own_name` is the client's in the room; `known` are ids that others told it, with
        their names."""
        self._own_name = own_name
        self._names: dict[str, str] = dict(known or {})
        self._counts: dict[str, int] = {}
        # What an id of a message belongs to, on either side.
        self._methods: dict[str, str] = {}

    def ids(self) -> dict[str, str]:
        """The id by its name; of several with the same name the last."""
        return {name: one for one, name in self._names.items()}

    def learn(self, frame: Frame) -> None:
        """Take in a frame of the hub."""
        if frame.is_request:
            self._methods[frame.message["id"]] = frame.message["method"]
            if frame.verto:
                self._methods[f"verto {frame.verto['id']}"] = frame.verto["method"]
        self._learn(frame.message, "")

    def plain(self, frame: Frame) -> Message:
        """A request of the client, ready to be compared."""
        message = {**frame.message, "id": self._message_id(frame.message, "")}
        if frame.verto:
            verto = {**frame.verto, "id": self._message_id(frame.verto, "verto ")}
            message["params"] = {**message["params"], "message": verto}
        plain: Message = self._plain(message, "")
        return plain

    def _learn(self, value: Any, key: str) -> None:
        if isinstance(value, list):
            for one in value:
                self._learn(one, key)
        elif isinstance(value, dict):
            self._name(key, value)
            for name, one in value.items():
                if name in _LEARNT and isinstance(one, str):
                    self._names.setdefault(one, _LEARNT[name])
                self._learn(one, name)

    def _name(self, key: str, value: Message) -> None:
        if "call_id" in value and "member_id" in value:
            self._names[value["member_id"]] = OWN
        identifier = value.get("id")
        if not isinstance(identifier, str) or identifier in self._names:
            return
        if key in ("member", "members") and "name" in value:
            if value.get("type") in _LEGS:
                self._names[identifier] = self._next(value["type"])
            else:
                name = value["name"]
                self._names[identifier] = OWN if name == self._own_name else f"<{name}>"
        elif key in _WORKS:
            self._names[identifier] = self._next(key)

    def _next(self, kind: str) -> str:
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        return f"<{kind} {count}>"

    def _message_id(self, message: Message, kind: str) -> str:
        identifier = f"{kind}{message['id']}"
        if "method" not in message:
            return f"<answers {self._methods.get(identifier, 'nothing')}>"
        if identifier in self._methods:
            return "<used before>"
        self._methods[identifier] = message["method"]
        return "<fresh>" if UUID.match(message["id"]) else f"<no UUID: {message['id']}>"

    def _plain(self, value: Any, key: str) -> Any:
        if key in _MASKED:
            return _MASKED[key]
        if key == "sdp":
            return described(value)
        if isinstance(value, dict):
            return {self._plain(k, ""): self._plain(one, k) for k, one in value.items()}
        if isinstance(value, list):
            plain = [self._plain(one, key) for one in value]
            # A set of names on the wire: nothing depends on its order.
            return sorted(plain) if key == "subscribe" else plain
        if isinstance(value, str):
            if value not in self._names and UUID.match(value):
                self._names[value] = self._next("id")
            return self._names.get(value, value)
        return value


def described(sdp: str) -> Message:
    """What is compared of an offer: the kinds of media, each with its direction, which of the
    room's codecs it offers, and whether it has candidates; and whether its last line ends.

    Everything else is the media engine's own: more codecs, extensions, the order of the kinds.
    """
    kinds: Message = {"ends": sdp.endswith("\r\n")}
    for section in re.split(r"^(?=m=)", sdp, flags=re.MULTILINE)[1:]:
        lines = section.splitlines()
        attributes = [line[2:] for line in lines if line.startswith("a=")]
        codecs = {one.split()[1].split("/")[0] for one in attributes if one.startswith("rtpmap:")}
        kind = lines[0][2:].split()[0]
        # Two of a kind would be two entries.
        kinds[kind if kind not in kinds else f"{kind} again"] = {
            "directions": [one for one in attributes if one in DIRECTIONS],
            "codecs": sorted(codecs & CODECS),
            "candidates": any(one.startswith("candidate:") for one in attributes),
        }
    return kinds
