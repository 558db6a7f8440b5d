from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageFont

from appliance.hub import lettering
from appliance.hub.lettering import clean, initials, text


def test_letters_leave_ink_of_their_size() -> None:
    small, large = text("Oak", 16), text("Oak", 48)
    assert small.max() > 200
    assert large.max() == 255
    assert large.shape[1] == pytest.approx(3 * small.shape[1], rel=0.2)
    rows = np.flatnonzero(large.max(axis=1) > 128)
    assert 30 <= rows[-1] - rows[0] <= 48


def test_lines_of_one_size_share_a_base_line_and_no_letter_is_cut() -> None:
    flat, deep = text("xxx", 32), text("jgÄ", 32)
    assert flat.shape[0] == deep.shape[0]
    base = np.flatnonzero(flat.max(axis=1) > 128)[-1]
    ink = np.flatnonzero(deep.max(axis=1) > 128)
    assert ink[-1] > base
    assert ink[0] > 0
    assert ink[-1] < deep.shape[0] - 1


@given(st.text(max_size=60), st.integers(1, 300))
def test_no_line_is_wider_than_allowed(line: str, width: int) -> None:
    assert text(clean(line), 16, width).shape[1] <= width + 2


def test_a_long_line_ends_in_an_ellipsis() -> None:
    line = "A name that is longer than anybody would think"
    cut = text(line, 16, 120)
    assert cut.shape[1] <= 120
    full = text(line, 16)
    start = min(60, cut.shape[1])
    assert np.array_equal(cut[:, :start], full[:, :start])
    assert not np.array_equal(cut, full[:, : cut.shape[1]])


@given(st.text(max_size=400))
def test_a_cleaned_name_is_one_short_line_without_hidden_characters(name: str) -> None:
    line = clean(name)
    assert len(line) <= 80
    assert line == line.strip()
    assert "  " not in line
    for char in line:
        assert char in "\u200c\u200d" or unicodedata.category(char)[0] != "C"
    assert clean(line) == line


def test_names_that_would_disturb_others() -> None:
    assert clean("Ann\u202e\u0000\nBob\t\tC") == "Ann Bob C"
    assert clean("می\u200cخواهم") == "می\u200cخواهم"
    assert clean("\ud800x") == "x"
    assert clean("\u202e \u0007") == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Ann", "A"),
        ("ann cole", "AC"),
        ("Conference room (North)", "CR"),
        ("  Élodie   de la  Tour ", "ÉT"),
        ("3rd floor", "3F"),
        ("", "?"),
        ("\u202e!!", "?"),
    ],
)
def test_initials(name: str, expected: str) -> None:
    assert initials(name) == expected


def test_without_the_font_of_the_system_names_are_still_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lettering, "_FONT", "no-such-font-anywhere.ttf")
    lettering._font.cache_clear()
    try:
        assert isinstance(lettering._font(24), ImageFont.FreeTypeFont)
        ink = text("Oak", 24)
    finally:
        lettering._font.cache_clear()
    assert ink.max() > 200
    assert np.count_nonzero(ink) > 50
