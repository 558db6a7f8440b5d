from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.provisioning import ConfigError
from appliance.provisioning.mistakes import MISSING, UNKNOWN
from appliance.provisioning.source import Source
from appliance.provisioning.template import Template

TEXT = """\
[room]
user_name = "${room}, ${floor}"
host = "ws://${site}.local" # 5 $$
[controls]
options = { mute_pin = ${mute}, tally_red = ${red}, pull = "up" }
[policy]
quiet_from = "${from}"
quiet_until = "07:00"
[panel]
hosts = [
  "a",
  "${site}",
]
[${section}]
${key}.${key2} = ${value}
level = "info" # ${value}
"""


def template(text: str = TEXT) -> Template:
    return Template(Source(Path("room.toml"), text))


def test_cells_take_their_places() -> None:
    made = template('a = "${x}$${y}${ z z }" # $$ $ {x} ${y}\nb = ${n}\n')
    assert list(made.columns) == ["x", "z z", "y", "n"]
    assert list(made.strays) == [1]
    assert made.filled({"x": 'a"b', "y": "\\", "z z": "\n", "n": "-1.5e3"}) == (
        'a = "a\\"b${y}\\U0000000A" # $ $ {x} \\\\\nb = -1.5e3\n'
    )


@pytest.mark.parametrize(
    "text", ["a = '${x}'", "a = 'b\"' # '\nc = '''\n${x}'''", "a = \"'\"\nb = { '${x}' = 1 }"]
)
def test_no_cell_goes_where_nothing_can_be_escaped(text: str) -> None:
    made = template(text)
    assert made.strays == {
        text.count("\n") + 1: "has ${x} in '...', in which nothing can be escaped; write \"...\"",
    }


@pytest.mark.parametrize(
    ("cell", "fits"),
    [
        *[(cell, True) for cell in ("17", "-1.5e3", "1_000", "0x1F", "true", "inf", "log", "a-b")],
        *[(cell, False) for cell in ("17, b = 5", "a.b", '"a"', "1 # 2", "[1]", "07:00", "é", "=")],
    ],
)
def test_outside_of_quotes_a_cell_is_a_number_or_a_word(cell: str, fits: bool) -> None:
    made = template('a = ${x}\nb = "${x} = ${y}" # ${y}\n')
    assert list(made.unfit({"x": cell, "y": "a, b"})) == ([] if fits else [("x", 1)])


@given(st.dictionaries(st.sampled_from(["room", "site", "mute", "floor"]), st.text()))
def test_no_cell_moves_a_line(cells: dict[str, str]) -> None:
    assert len(template().filled(cells).splitlines()) == len(TEXT.splitlines())


@pytest.mark.parametrize(
    ("line", "key", "kind", "columns"),
    [
        (2, "room.user_name", "string_too_long", ["room", "floor"]),
        (3, "room.host", "value_error", ["site"]),
        # Whatever the cell, that is nothing that can be said.
        (3, "room.host", UNKNOWN, []),
        (5, "controls.options.pull", None, ["mute", "red"]),
        (5, "controls.options.device", MISSING, []),
        (8, "policy.quiet_until", "value_error", []),
        # An array of several lines is one statement.
        (10, "panel.hosts[1]", "string_type", ["site"]),
        (12, None, None, ["site"]),
        # Of a key whose name is a cell all of its line may be meant.
        (14, "logg", UNKNOWN, ["section"]),
        # As of what is no TOML.
        (14, None, None, ["section"]),
        (14, "log.level", UNKNOWN, ["section"]),
        (15, "log.x", UNKNOWN, ["key", "key2"]),
        (1, "room", "way_in", []),
        (None, "camera", MISSING, []),
        # A comment makes no mistake.
        (16, "log.level", "enum", []),
    ],
)
def test_the_columns_that_make_a_mistake(
    line: int | None, key: str | None, kind: str | None, columns: list[str]
) -> None:
    error = ConfigError("x", path=Path("oak.toml"), line=line, key=key, kind=kind)
    assert list(template().causes(error)) == columns


def test_of_a_template_that_is_no_toml_the_line_counts() -> None:
    broken = template('[room\nname = "${room}"\n')
    at = [ConfigError("x", path=Path("a"), line=line) for line in (1, 2)]
    assert [broken.causes(error) for error in at] == [(), ("room",)]
