from __future__ import annotations

import os
import threading

import pytest

from hal.audio.priority import Priority


class Kernel:
    """Stands in for the scheduler's calls, which a test may not be allowed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[int, int, int]] = []
        self.refusal: OSError | None = None
        monkeypatch.setattr(os, "sched_setscheduler", self.set)
        self.policy = os.SCHED_OTHER
        monkeypatch.setattr(os, "sched_getscheduler", lambda pid: self.policy)
        monkeypatch.setattr(os, "sched_getparam", lambda pid: os.sched_param(0))

    def set(self, pid: int, policy: int, parameter: os.sched_param) -> None:
        self.calls.append((pid, policy, parameter.sched_priority))
        if self.refusal is not None:
            raise self.refusal


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(monkeypatch)


def test_the_calling_thread_is_raised_once_and_put_back(kernel: Kernel) -> None:
    priority = Priority(20)
    priority.take()
    priority.take()
    assert priority.granted
    assert kernel.calls == [(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, 20)]
    priority.release()
    priority.release()
    assert not priority.granted
    thread = threading.get_native_id()
    assert kernel.calls[1:] == [(thread, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, 0)]


def test_another_thread_takes_it_over(kernel: Kernel) -> None:
    priority = Priority(20)
    names = []

    def take() -> None:
        names.append(threading.get_native_id())
        priority.take()

    first = threading.Thread(target=take)
    first.start()
    first.join(10)
    priority.take()
    assert [call[0] for call in kernel.calls] == [0, names[0], 0]


def test_a_refusal_is_asked_for_once(kernel: Kernel) -> None:
    kernel.refusal = PermissionError(1, "Operation not permitted")
    priority = Priority(20)
    priority.take()
    priority.take()
    assert not priority.granted
    assert len(kernel.calls) == 1
    priority.release()
    assert len(kernel.calls) == 1


def test_a_priority_of_somebody_elses_making_is_kept(kernel: Kernel) -> None:
    kernel.policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
    priority = Priority(20)
    priority.take()
    assert priority.granted
    priority.release()
    assert not kernel.calls


def test_two_devices_on_one_thread_leave_it_as_it_was() -> None:
    before = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK
    seen: list[int] = []

    def drive() -> None:
        first, second = Priority(20), Priority(20)
        first.take()
        second.take()
        first.release()
        second.release()
        seen.append(os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK)

    thread = threading.Thread(target=drive)
    thread.start()
    thread.join(10)
    assert seen == [before]


def test_zero_leaves_all_as_it_is(kernel: Kernel) -> None:
    priority = Priority(0)
    priority.take()
    priority.release()
    assert not kernel.calls
