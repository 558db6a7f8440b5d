from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.provisioning import ConfigError
from appliance.provisioning.source import Source
from appliance.provisioning.template import Template

TEXT = """\
[room]
user_name = "${room}, $floor"
host = "ws://${site}.local" # 5 $$
[controls]
options = { mute_pin = ${mute}, tally_red = ${red}, pull = "up" }
[policy]
quiet_from = "${from}"
quiet_until = "07:00"
[panel]
hosts = ["a", "${site}"]
[${section}]
level = "info"
"""


def template(text: str = TEXT) -> Template:
    return Template(Source(Path("room.toml"), text))


def test_cells_take_their_places() -> None:
    made = template('a = "${x}$y${ z z }" # $$ $ {x}\n')
    assert list(made.columns) == ["x", "y", "z z"]
    assert made.strays == [1]
    assert made.filled({"x": 'a"b', "y": "\\", "z z": "\n"}) == (
        'a = "a\\"b\\\\\\U0000000A" # $ $ {x}\n'
    )


@given(st.dictionaries(st.sampled_from(["room", "site", "mute", "floor"]), st.text()))
def test_no_cell_moves_a_line(cells: dict[str, str]) -> None:
    assert len(template().filled(cells).splitlines()) == len(TEXT.splitlines())


@pytest.mark.parametrize(
    ("key", "reason", "columns"),
    [
        ("room.user_name", "is too long", ["room", "floor"]),
        ("room.host", "is no address", ["site"]),
        # Whatever the cell, that is nothing that can be said.
        ("room.host", "unknown key, did you mean hosts?", []),
        ("panel.hosts[1]", "is no name", ["site"]),
        ("panel.hosts[0]", "is no name", []),
        ("controls.options.mute_pin", "mute_pin 99 is out of range", ["mute"]),
        (
            "controls.options.mute_pin",
            "pin 17 is given to mute_pin and tally_red",
            ["mute", "red"],
        ),
        ("controls.options.pull", "pull 'up' is unknown", []),
        ("policy", "needs quiet_from and quiet_until, or neither", ["from"]),
        ("room", "needs one of token, token_file and guest = true", []),
        ("camera", "is missing; add it", []),
        # Of a key whose name is a cell all of its line may be meant.
        ("logg", "unknown key", ["section"]),
        # As of what is no TOML.
        (None, "invalid value", ["section"]),
    ],
)
def test_the_columns_that_make_a_mistake(key: str | None, reason: str, columns: list[str]) -> None:
    error = ConfigError(reason, path=Path("oak.toml"), line=11, key=key)
    expected = [] if key == "camera" else columns
    if key == "camera":
        error.line = None
    assert list(template().causes(error)) == expected


def test_of_a_template_that_is_no_toml_the_line_counts() -> None:
    broken = template('[room\nname = "${room}"\n')
    at = [ConfigError("x", path=Path("a"), line=line, key="room.name") for line in (1, 2)]
    assert [broken.causes(error) for error in at] == [(), ("room",)]
