"""Which of the known names a misspelt one was meant to be."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Sequence
from typing import Final

CUTOFF: Final = 0.55
"""How alike a name has to be to be suggested, from 0 to 1."""

CLOSE: Final = 0.02
"""By how much others may be less alike than the best to be suggested beside it."""

MOST: Final = 3
"""Names that are suggested."""

_BEGUN: Final = 0.8
"""How alike a word is to one that it begins, of at least `_LETTERS`: `vol`, `mic`."""

_LETTERS: Final = 3

_LEFT_OUT: Final = 0.1
"""What each word that was left out of a name of several costs."""


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """The known names that are most like this one, best first: one, or several that are about
    equally so; none where none is.

    Names are told apart by their words too: who writes `camera_lite` has `camera` right, and means
    `camera_light_pin` rather than `camera_pin`, which has more letters in common.
    """
    scored = sorted(((_likeness(name, one), one) for one in known), key=_best_first)
    if not scored or scored[0][0] < CUTOFF:
        return []
    return [one for score, one in scored[:MOST] if score >= scored[0][0] - CLOSE]


def suggestion(name: str, known: Iterable[str]) -> str:
    """What to do about a name that is none of those known."""
    names = list(known)
    if near := nearest(name, names):
        return f"did you mean {' or '.join(near)}?"
    return f"choose one of {', '.join(names)}"


def _best_first(scored: tuple[float, str]) -> tuple[float, int]:
    return -scored[0], len(scored[1])


@functools.lru_cache(maxsize=1024)
def _likeness(name: str, known: str) -> float:
    """The mean of that of the letters and that of the words, from 0 to 1."""
    name, known = (text.lower().replace("-", "_") for text in (name, known))
    if name == known:
        return 1.0
    return (_ratio(name, known) + _by_words(name.split("_"), known.split("_"))) / 2


def _by_words(words: Sequence[str], known: Sequence[str]) -> float:
    """Each word finds the one that is most like it."""
    left, total = list(known), 0.0
    for word in words:
        ratio, best = max(((_ratio(word, one), one) for one in left), default=(0.0, ""))
        total += ratio
        if best:
            left.remove(best)
    return max(0.0, total / len(words) - _LEFT_OUT * max(0, len(known) - len(words)))


def _ratio(one: str, other: str) -> float:
    """As `difflib` has it, which is not the same in both directions."""
    ratio = max(
        difflib.SequenceMatcher(None, a, b).ratio() for a, b in ((one, other), (other, one))
    )
    begins = len(one) >= _LETTERS and other.startswith(one)
    return max(ratio, _BEGUN) if begins else ratio
