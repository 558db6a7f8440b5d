"""`roomlet token`: whose keys sign it, and where it goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.cli.exit_code import ExitCode
from appliance.hub.server import HubServer
from appliance.hub.tokens import verify
from tests.appliance.cli.command import complaint, roomlet


async def test_a_minted_token_is_the_hubs_own(hub: HubServer) -> None:
    permissions = ["--permission", "room.self.audio_mute", "--permission", "room.set_layout"]
    result = await roomlet(
        *("token", "--room", "demo", "--name", "Oak", "--data", hub.config.data, *permissions)
    )
    assert result.code == 0
    options = verify(result.out.strip(), hub.keys.signing_key)
    assert (options.room_name, options.user_name) == ("demo", "Oak")
    assert options.permissions == ["room.self.audio_mute", "room.set_layout"]
    assert options.join_as == "member"


async def test_a_minted_token_in_a_file_is_its_owners_alone(hub: HubServer, tmp_path: Path) -> None:
    new, old = tmp_path / "new.token", tmp_path / "old.token"
    old.write_text("what was there before, and was longer than any token will ever be" * 20)
    old.chmod(0o644)
    for path in (new, old):
        result = await roomlet("token", "--room", "demo", "--data", hub.config.data, "--out", path)
        assert result == (0, "", "")
        assert path.stat().st_mode & 0o777 == 0o600
        text = path.read_text()
        assert text.endswith("\n")
        assert verify(text.strip(), hub.keys.signing_key).room_name == "demo"


async def test_a_token_without_a_hub(tmp_path: Path) -> None:
    data = tmp_path / "none"
    result = await roomlet("token", "--room", "demo", "--data", data)
    line = complaint(result, ExitCode.CONFIGURATION)
    assert f"no hub's keys in {data}; start the hub there first, or give --data" in line
    assert not data.exists()


@pytest.mark.parametrize(
    ("minutes", "says"),
    [
        ("0", "--minutes takes at least one second, 0.02, not 0; without it a token has no end"),
        ("-5", "--minutes takes at least one second, 0.02, not -5"),
        ("0.001", "--minutes takes at least one second, 0.02, not 0.001"),
        ("nan", "--minutes takes at least one second, 0.02, not nan"),
        ("inf", "--minutes is too long; leave it out for a token without end"),
        ("1e12", "--minutes is too long"),
    ],
)
async def test_no_token_that_has_already_expired(minutes: str, says: str) -> None:
    keys = {"ROOMLET_PROJECT": "p", "ROOMLET_API_TOKEN": "a secret that is long enough"}
    result = await roomlet("token", "--room", "demo", "--minutes", minutes, **keys)
    assert says in complaint(result, ExitCode.USAGE)
    assert result.out == ""


async def test_keys_of_the_environment_go_first() -> None:
    keys = {"ROOMLET_PROJECT": "p", "ROOMLET_API_TOKEN": "a secret that is long enough"}
    result = await roomlet("token", "--room", "demo", "--audience", "--minutes", "5", **keys)
    assert result.code == 0
    assert "secret" not in result.out
    from appliance.hub.keys import load

    options = verify(result.out.strip(), load(Path("/nowhere"), keys).signing_key)
    assert options.join_as == "audience"
    assert options.join_until is not None
