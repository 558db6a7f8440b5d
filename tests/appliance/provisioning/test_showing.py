from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from appliance.provisioning import Config
from appliance.provisioning.layers import Layers, Part
from appliance.provisioning.showing import MASK, Secrets, show
from appliance.provisioning.source import Source

FLEET = """
[room]
host = "ws://hub"
token = "c4n4ry"
[camera]
backend = "file"
options = { label = "a # b", pin = "c4n4ry", "odd key" = [1, { x = "y" }] }
[provisioning]
proxy = "http://me:c4n4ry@proxy:3128"
"""


def layers(**texts: str) -> Layers:
    parts = []
    for layer, text in texts.items():
        source = Source(Path(f"/etc/{layer}.toml"), text)
        parts.append(Part(layer, source, source.parse()))
    return Layers(parts)


@pytest.mark.parametrize("secrets", ["masked", "shown"])
@pytest.mark.parametrize("changed", [False, True])
def test_the_whole_configuration_with_the_source_of_each_value(
    secrets: Secrets, changed: bool
) -> None:
    merged = layers(fleet=FLEET, device="[speaker]\nvolume = 40\n[camera]\nrate = 15\n")
    config = Config.from_layers(merged)
    text = show(config, merged, changed=changed, secrets=secrets)
    assert "volume = 40  # device: /etc/device.toml, line 2\n" in text
    assert "rate = 15.0  # device: /etc/device.toml, line 4\n" in text
    assert 'host = "ws://hub"  # fleet: /etc/fleet.toml, line 3\n' in text
    assert ("width = 1280  # built-in" in text) is not changed
    assert ("c4n4ry" in text) is (secrets == "shown")
    assert (MASK in text) is (secrets == "masked")
    # It is TOML: read again it is the same device.
    again = Config.model_validate(tomllib.loads(text))
    assert again.speaker == config.speaker
    if secrets == "shown":
        assert again.room == config.room
        assert again.camera == config.camera
        assert again.provisioning == config.provisioning


def test_nothing_has_changed_where_nothing_has() -> None:
    merged = layers(device='[room]\nhost = "h"\ntoken = "x"\n[speaker]\nvolume = 100\n')
    text = show(Config.from_layers(merged), merged, changed=True)
    assert "speaker" not in text


def test_a_host_without_a_scheme_hides_its_password_too() -> None:
    merged = layers(
        device='[room]\nhost = "u:c4n4ry@hub"\ntoken = "x"\nuser_name = "Oak: ask oak@rooms"\n'
    )
    text = show(Config.from_layers(merged), merged)
    assert f'host = "u:{MASK}@hub"' in text
    assert 'user_name = "Oak: ask oak@rooms"' in text


def test_headers_to_a_token_endpoint_are_secret_and_the_places_of_secrets_are_not() -> None:
    merged = layers(
        device='[room]\nhost = "h"\ntoken_url = "https://u:c4n4ry@x/"\n'
        'token_headers = { X-Key2 = "c4n4ry" }\ntoken_secret_credential = "room.secret"\n'
    )
    text = show(Config.from_layers(merged), merged)
    assert "c4n4ry" not in text
    assert f'token_headers = {{ X-Key2 = "{MASK}" }}' in text
    assert 'token_secret_credential = "room.secret"' in text
    assert f'token_url = "https://u:{MASK}@x/"' in text
    assert "c4n4ry" not in repr(Config.from_layers(merged).room.token_headers)
