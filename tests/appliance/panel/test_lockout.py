from __future__ import annotations

import pytest

from appliance.panel import lockout
from appliance.panel.lockout import Lockout


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def guesses(lock: Lockout, clock: Clock, address: str, count: int) -> list[float]:
    """Guess as fast as allowed; the wait after each."""
    waits = []
    for _ in range(count):
        clock.now += lock.wait(address)
        lock.guess(address)
        waits.append(lock.wait(address))
    return waits


def test_the_wait_grows_up_to_a_limit(clock: Clock) -> None:
    waits = guesses(Lockout(clock), clock, "192.0.2.1", 16)
    assert waits[:4] == [0, 0, 0, 0]
    assert waits[4:8] == [5, 10, 20, 40]
    assert waits == sorted(waits)
    assert waits[-1] == lockout.LONGEST


def guesses_in(lock: Lockout, clock: Clock, addresses: list[str], seconds: float) -> int:
    """How many come from these addresses, each used as soon as it may be."""
    end = clock.now + seconds
    count = 0
    while True:
        wait, address = min((lock.wait(address), address) for address in addresses)
        if clock.now + wait >= end:
            return count
        clock.now += wait
        lock.guess(address)
        count += 1


def test_how_long_pins_last_against_one_address_and_against_a_lan(clock: Clock) -> None:
    hours = 4
    seconds = hours * 3600.0
    assert guesses_in(Lockout(clock), clock, ["10.0.0.1"], seconds) < hours * 15
    lan = [f"10.0.0.{number}" for number in range(250)]
    clock.now += seconds
    # Those that the lock for all leaves, the few before it, and one an hour of each address.
    count = guesses_in(Lockout(clock), clock, lan, seconds)
    assert hours * 300 < count <= hours * (250 + 60) + lockout.FREE_ALL


def test_guesses_from_everywhere_leave_a_stranger_one_an_hour(clock: Clock) -> None:
    lock = Lockout(clock)
    many = [f"10.0.1.{number}" for number in range(40)]
    for _ in range(3):
        guesses_in(lock, clock, many, lockout.FORGET + 200)
        assert all(lock.wait(address) > 0 for address in many)
        assert lock.wait("10.0.0.9") == 0
        lock.guess("10.0.0.9")
        assert lock.wait("10.0.0.9") > 0
    lock.right("10.0.0.9")
    assert lock.wait("10.0.0.9") == 0


def test_more_addresses_than_are_remembered_get_no_more_guesses(clock: Clock) -> None:
    lock = Lockout(clock)
    many = [f"10.{number >> 8}.{number & 255}.1" for number in range(2 * lockout.MOST)]

    def admitted() -> int:
        count = 0
        for _ in range(3):
            for address in many:
                if lock.wait(address) == 0:
                    lock.guess(address)
                    count += 1
        return count

    assert admitted() == lockout.MOST
    clock.now += lockout.LONGEST_ALL
    assert admitted() == 1
    clock.now += lockout.FORGET
    assert lockout.MOST - 1 <= admitted() <= lockout.MOST


def test_others_guesses_do_not_keep_out_who_came_in_before(clock: Clock) -> None:
    lock = Lockout(clock)
    lock.guess("10.0.0.1")
    lock.right("10.0.0.1")
    for number in range(50):
        lock.guess(f"10.0.1.{number}")
    assert lock.wait("10.0.1.2") > 0
    assert lock.wait("10.0.0.1") == 0


def test_nobody_is_locked_out_for_good(clock: Clock) -> None:
    lock = Lockout(clock)
    guesses(lock, clock, "192.0.2.1", 12)
    clock.now += lockout.FORGET + 1
    assert lock.wait("192.0.2.1") == 0
    assert guesses(lock, clock, "192.0.2.1", 5) == [0, 0, 0, 0, 5]


def test_a_right_guess_forgets_that_address_alone(clock: Clock) -> None:
    lock = Lockout(clock)
    for address in ("192.0.2.1", "192.0.2.2"):
        guesses(lock, clock, address, 4)
    lock.guess("192.0.2.1")
    lock.right("192.0.2.1")
    assert guesses(lock, clock, "192.0.2.1", 1) == [0]
    assert guesses(lock, clock, "192.0.2.2", 1) == [5]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),  # one household has them all
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "", True),
    ],
)
def test_whose_guesses_are_one(clock: Clock, one: str, other: str, same: bool) -> None:
    lock = Lockout(clock)
    guesses(lock, clock, one, 5)
    assert (lock.wait(other) > 0) is same


def test_memory_is_bounded(clock: Clock) -> None:
    lock = Lockout(clock)
    for number in range(3 * lockout.MOST):
        lock.guess(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        lock.right(f"11.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(lock._by_place) == len(lock._known) == lockout.MOST
