"""What the documentation says of the backends is what the registry has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hal.device import Kind
from hal.registry import AUTO, BUILTIN, KINDS, options_of

DOCS = Path(__file__).parents[2] / "docs"
EVERYWHERE = {"device", "label"}
"""Options that every backend has; told once."""


def section(title: str) -> str:
    """The text below a heading of docs/device.md, up to the next one."""
    (text,) = re.findall(
        rf"^##+ {title}\n(.*?)(?=^##+ |\Z)",
        (DOCS / "device.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    return str(text)


def rows(text: str) -> list[list[str]]:
    """The cells of the rows of all tables."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def names(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


@pytest.mark.parametrize("kind", KINDS)
def test_the_drivers_are_those_that_there_are(kind: Kind) -> None:
    ((_, drivers, automatic),) = [row for row in rows(section("Drivers")) if row[0] == kind]
    assert sorted(names(drivers)) == sorted(BUILTIN[kind])
    assert names(automatic) == [name for name, _ in AUTO[kind]]


@pytest.mark.parametrize("kind", KINDS)
def test_the_comment_at_a_backend_names_all_of_them(kind: Kind) -> None:
    text = (DOCS / "configuration.md").read_text()
    (told,) = re.findall(rf'^\[{kind}\]\nbackend = "auto" +# auto, (.+)$', text, re.MULTILINE)
    assert sorted(told.split(", ")) == sorted(BUILTIN[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_of_a_driver_is_told(kind: Kind) -> None:
    title = "microphone and speaker" if kind in ("microphone", "speaker") else kind
    text = section(title)
    for name in BUILTIN[kind]:
        own = [row for row in rows(text) if row[0] in (f"`{name}`", f"`{name}` {kind}")]
        assert own, name
        told = names(" ".join(own[0]))
        if "see below" in own[0][-1]:
            told += names(section("Pins") if name == "gpio" else text)
        assert set(options_of(kind, name)) - EVERYWHERE <= set(told), name
