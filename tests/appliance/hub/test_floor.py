"""The floor goes to who really speaks, and does not flap."""

from __future__ import annotations

import random

from appliance.hub.floor import LEAD, MARGIN_DB, Floor
from appliance.hub.talking import HANG_OVER, Talking

STEP = 0.02


class Conversation:
    """Feeds a floor with what members say, by the same talking detection as a room."""

    def __init__(self, *members: str) -> None:
        self.floor = Floor()
        self.now = 100.0
        self.moves: list[tuple[float, str | None]] = []
        self._voices = {member: Talking() for member in members}

    def say(self, seconds: float, **levels: float) -> None:
        """So long these members talk at these levels, and the others are silent."""
        for _ in range(round(seconds / STEP)):
            self.now += STEP
            for member, voice in self._voices.items():
                dbfs = levels.get(member, -127.0)
                voice.level(dbfs, self.now)
                if self.floor.level(member, dbfs, voice.active, self.now):
                    self.moves.append((self.now, self.floor.holder))

    def leave(self, member: str) -> None:
        del self._voices[member]
        self.floor.leave(member)

    @property
    def holders(self) -> list[str | None]:
        return [holder for _, holder in self.moves]


def test_the_first_who_talks_has_the_floor_at_once() -> None:
    talk = Conversation("ann", "bob")
    talk.say(1.0)
    assert talk.floor.holder is None
    talk.say(0.2, bob=-30)
    assert talk.floor.holder == "bob"


def test_silence_keeps_the_floor_where_it_is() -> None:
    talk = Conversation("ann", "bob")
    talk.say(2.0, ann=-30)
    talk.say(600.0)
    assert talk.floor.holder == "ann"
    assert talk.holders == ["ann"]


def test_the_next_speaker_gets_it_after_leading_long_enough() -> None:
    talk = Conversation("ann", "bob")
    talk.say(2.0, ann=-30)
    began = talk.now
    talk.say(LEAD + HANG_OVER + 0.5, bob=-30)
    assert talk.holders == ["ann", "bob"]
    assert LEAD <= talk.moves[1][0] - began <= LEAD + HANG_OVER + 0.3


def test_a_short_yes_moves_nothing() -> None:
    talk = Conversation("ann", "bob")
    talk.say(2.0, ann=-30)
    for _ in range(20):
        talk.say(0.4, bob=-20)
        talk.say(1.5)
        talk.say(0.4, bob=-20, ann=-30)
        talk.say(1.5, ann=-30)
    assert talk.holders == ["ann"]


def test_who_talks_over_the_holder_as_loud_does_not_get_it() -> None:
    talk = Conversation("ann", "bob")
    talk.say(1.0, ann=-30)
    talk.say(30.0, ann=-30, bob=-30 + MARGIN_DB - 1)
    assert talk.holders == ["ann"]
    # But one who is clearly louder, as the speaker is against an echo of it, does.
    talk.say(LEAD + 2.0, ann=-30, bob=-20)
    assert talk.holders == ["ann", "bob"]


def test_two_at_once_do_not_pass_it_to_and_fro() -> None:
    talk = Conversation("ann", "bob")
    levels = random.Random(7)
    talk.say(1.0, ann=-30)
    for _ in range(600):
        # Syllables: each is louder than the other half of the time.
        talk.say(0.1, ann=levels.uniform(-36, -24), bob=levels.uniform(-36, -24))
    assert talk.holders == ["ann"]


def test_of_several_challengers_the_loudest_gets_it() -> None:
    talk = Conversation("ann", "bob", "eve")
    talk.say(1.0, ann=-30)
    talk.say(LEAD + HANG_OVER + 0.5, bob=-35, eve=-25)
    assert talk.floor.holder == "eve"
    assert talk.holders == ["ann", "eve"]


def test_challengers_who_take_turns_in_being_louder_do_not_block_each_other() -> None:
    talk = Conversation("ann", "bob", "eve")
    talk.say(1.0, ann=-30)
    for _ in range(6):
        talk.say(0.5, bob=-25, eve=-30)
        talk.say(0.5, bob=-30, eve=-25)
    assert talk.floor.holder in ("bob", "eve")
    assert len(talk.moves) == 2


def test_it_is_free_when_its_holder_has_left() -> None:
    talk = Conversation("ann", "bob")
    talk.say(1.0, ann=-30)
    talk.leave("ann")
    assert talk.floor.holder is None
    talk.floor.leave("nobody")
    talk.say(0.2, bob=-30)
    assert talk.floor.holder == "bob"


def test_a_lead_of_before_does_not_count_against_a_new_holder() -> None:
    talk = Conversation("ann", "bob", "eve")
    talk.say(1.0, ann=-30)
    # Both lead over a silent holder; the one who does not get it begins anew.
    talk.say(LEAD + HANG_OVER + 0.4, bob=-30, eve=-22)
    assert talk.floor.holder == "eve"
    talk.say(LEAD, bob=-30)
    assert talk.floor.holder == "eve"
    talk.say(HANG_OVER + 0.5, bob=-30)
    assert talk.floor.holder == "bob"
