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


def test_a_million_pins_take_years_from_one_address_and_from_all(clock: Clock) -> None:
    lock = Lockout(clock)
    begin = clock.now
    for number in range(400):
        address = f"10.0.{number % 4}.{number // 4}"
        clock.now += lock.wait(address)
        lock.guess(address)
    # After the first ones, which are free, one a minute.
    assert clock.now - begin > 370 * lockout.LONGEST_ALL


def test_others_guesses_do_not_keep_out_who_came_in_before(clock: Clock) -> None:
    lock = Lockout(clock)
    lock.guess("10.0.0.1")
    lock.right("10.0.0.1")
    for number in range(50):
        lock.guess(f"10.0.1.{number}")
    assert lock.wait("10.0.2.2") > 0
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
