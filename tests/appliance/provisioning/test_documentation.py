"""What the documentation shows is what the device takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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
