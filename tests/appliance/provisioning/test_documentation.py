"""What the documentation shows is what the device takes."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from annotated_types import Ge, Le
from pydantic.fields import FieldInfo

from appliance.provisioning import Config, load
from appliance.provisioning.config import ProvisioningConfig
from appliance.provisioning.rendering import render

ROOT = Path(__file__).parents[3]


def examples(document: str) -> list[str]:
    return re.findall(
        r"^```toml\n(.*?)^```$", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL
    )


@pytest.mark.parametrize("document", ["docs/configuration.md", "docs/device.md"])
def test_every_example_is_taken(tmp_path: Path, document: str) -> None:
    texts = examples(document)
    assert texts
    for text in texts:
        path = tmp_path / "device.toml"
        path.write_text(text)
        load(path)


def test_the_files_of_a_fleet_that_are_shown_are_taken(tmp_path: Path) -> None:
    servers, template = examples("docs/provisioning.md")
    below = '[room]\nhost = "ws://hub"\nname = "demo"\nguest = true\n'
    (tmp_path / "device.toml").write_text(below + servers)
    config = load(tmp_path / "device.toml").provisioning
    least = ProvisioningConfig()
    commented = set(re.findall(r"^# (\w+) = ", servers, re.MULTILINE))
    assert commented == {"ca_file", "proxy", "interval"}
    assert f"interval = {least.interval} " in servers
    assert len(config.urls) == 2
    (fleet,) = re.findall(
        r"^```\n(serial,.*?)^```$",
        (ROOT / "docs/provisioning.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    (tmp_path / "rooms.csv").write_text(fleet)
    (tmp_path / "room.toml").write_text(template)
    (tmp_path / "fleet.toml").write_text(below)
    made = render(
        tmp_path / "rooms.csv", tmp_path / "room.toml", tmp_path / "www", tmp_path / "fleet.toml"
    )
    assert list(made.files) == ["10000000abcdef01.toml"]


def test_the_whole_device_shows_every_key_and_its_default(tmp_path: Path) -> None:
    (text,) = examples("docs/configuration.md")
    path = tmp_path / "device.toml"
    path.write_text(text)
    config = load(path)
    least = Config.model_validate({"room": {"token_file": "room.token"}})
    assert config.model_dump(exclude={"room"}) == least.model_dump(exclude={"room"})
    for section, field in Config.model_fields.items():
        assert f"[{section}]" in text
        keys = getattr(field.annotation, "model_fields", {})
        body = text.partition(f"[{section}]")[2].partition("\n[")[0]
        shown = set(re.findall(r"^(?:# )?(\w+) = ", body, re.MULTILINE))
        # Told once, in words or at the camera.
        common = {"room": {"token"}, "camera": set()}.get(section, {"device", "options"})
        assert set(keys) - shown <= common, section


DEVICES = ("camera", "microphone", "speaker", "controls", "display")
COMMON = ("backend", "device", "options")


def tables(heading: str) -> Iterator[dict[str, str]]:
    """The rows of the tables below a heading of docs/device.md, by the head of each column."""
    text = (ROOT / "docs/device.md").read_text()
    below = text.partition(f"### {heading}\n")[2].partition("\n#")[0].splitlines()
    for is_table, lines in itertools.groupby(below, lambda line: line.startswith("|")):
        if is_table:
            head, _, *rows = ([c.strip() for c in one.strip("|").split(" | ")] for one in lines)
            yield from (dict(zip(head, row, strict=True)) for row in rows)


def told() -> Iterator[tuple[str, str, dict[str, str]]]:
    """Section, key and row of every key that docs/device.md has in a table."""
    heading = ", ".join(f"[{name}]" for name in DEVICES)
    for row in tables(heading):
        for key in re.findall(r"`(.+?)`", row["key"]):
            own, _, name = key.rpartition(".")
            yield from ((section, name, row) for section in ([own] if own else DEVICES))
    for section in Config.model_fields:
        for row in tables(f"[{section}]"):
            for key in re.findall(r"`(.+?)`", row["key"]):
                yield section, key, row


def field_of(section: str, key: str) -> FieldInfo:
    model = Config.model_fields[section].annotation
    fields: dict[str, FieldInfo] = getattr(model, "model_fields", {})
    return fields[key]


def test_every_section_has_its_place() -> None:
    elsewhere = {
        name: page
        for row in tables("The other sections")
        for name in re.findall(r"\[(\w+)\]", row["section"])
        for page in re.findall(r"\]\((\w+\.md)", row["told in"])
    }
    here = {section for section, _, _ in told()}
    assert sorted([*here, *elsewhere]) == sorted(Config.model_fields)
    for section, page in elsewhere.items():
        assert f"[{section}]" in (ROOT / "docs" / page).read_text(), section


def test_every_key_is_in_its_table_and_no_other_one() -> None:
    named = [(section, key) for section, key, _ in told()]
    assert len(named) == len(set(named))
    sections = {section for section, _ in named}
    assert set(named) == {
        (section, key)
        for section in sections
        for key in getattr(Config.model_fields[section].annotation, "model_fields", {})
    }


def test_the_defaults_and_limits_of_the_tables_are_those_of_the_model() -> None:
    for section, key, row in told():
        field = field_of(section, key)
        default = field.get_default(call_default_factory=True)
        text = row["default"].strip("`")
        if default is None:
            assert text in ("none", "the first one"), (section, key)
        elif default in ([], {}):
            assert text == "empty", (section, key)
        else:
            assert tomllib.loads(f"it = {text}")["it"] == default, (section, key)
        # The limits of an optional number stand inside the union.
        inner = [
            limit
            for part in getattr(field.annotation, "__args__", ())
            for info in getattr(part, "__metadata__", ())
            for limit in getattr(info, "metadata", ())
        ]
        limits = {type(one): one for one in (*field.metadata, *inner)}
        if Ge in limits or Le in limits:
            assert f"{limits[Ge].ge:.12g} to {limits[Le].le:.12g}" in row["values"], (section, key)


def test_the_ways_into_a_room_are_named_as_the_program_names_them() -> None:
    with pytest.raises(ValueError, match=r"needs one of .* and guest = true") as refused:
        Config.model_validate({"room": {}})
    found = re.search(r"needs one of (.*) and guest = true", str(refused.value))
    assert found is not None
    ways = ", ".join(f"`{way}`" for way in found[1].split(", "))
    text = " ".join((ROOT / "docs/device.md").read_text().split())
    assert f"Exactly one of {ways} and `guest = true` must be given" in text
