"""A fleet of two rooms: table, template, and the file below both."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.provisioning.rendering import Rendered, render

TEMPLATE = """
[room]
user_name = "${room}"
[speaker]
volume = ${volume}
"""
FLEET = '[room]\nhost = "ws://hub"\nname = "demo"\nguest = true\n'
TABLE = """\
serial,mac,room,volume
ABC1,,Oak,40
,DC:A6:32:01:02:03,"Ash, ""big"" \\ ${x}",50
"""


@pytest.fixture
def rooms(tmp_path: Path) -> Path:
    """A folder with a table of two rooms, a template, and a fleet's file."""
    (tmp_path / "rooms.csv").write_text(TABLE)
    (tmp_path / "template.toml").write_text(TEMPLATE)
    folder = tmp_path / "fleet"
    folder.mkdir()
    (folder / "fleet.toml").write_text(FLEET)
    return tmp_path


def rendered(rooms: Path) -> Rendered:
    """What the table and the template of `rooms` give, over their fleet's file."""
    folder = rooms / "fleet"
    return render(rooms / "rooms.csv", rooms / "template.toml", folder, folder / "fleet.toml")
