from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.provisioning import Config, ConfigError
from appliance.provisioning.config import CREDENTIALS
from appliance.provisioning.values import FilePath
from appliance.service.named_files import look_at_secrets, troubles
from tests.appliance.provisioning.static_server import Authority

KEYS = [
    f"{section}.{name}"
    for section, field in Config.model_fields.items()
    for name, inner in getattr(field.annotation, "model_fields", {}).items()
    if FilePath in getattr(inner.annotation, "__args__", ())
]
"""All that name a file."""


def config(folder: Path) -> Config:
    """A device with a file behind each key, but the files."""
    files = {key: folder / key for key in KEYS}

    def section(name: str, **more: Any) -> dict[str, Any]:
        return more | {
            key.partition(".")[2]: path
            for key, path in files.items()
            if key.startswith(f"{name}.") and key != "room.token_file"
        }

    return Config.model_validate(
        {
            "room": section("room", host="h", token_url="https://rooms.example/token"),
            "panel": section("panel"),
            "calendar": section("calendar", url="https://c.example/", user="oak"),
            "network": section("network", turn_url="turn:t.example", turn_user="oak"),
            "provisioning": section("provisioning"),
        }
    )


@pytest.fixture
def files(tmp_path: Path) -> Config:
    """A device whose files are fine."""
    authority = Authority(tmp_path / "ca")
    pair = authority.issue("panel").read_text()
    for key in KEYS:
        path, parts = tmp_path / key, key.partition(".")[2].split("_")
        path.touch(0o600)
        if "tls" in parts:
            path.write_text(pair)
        elif "ca" in parts:
            path.write_bytes(authority.file.read_bytes())
        else:
            path.write_text("s3cr3t-of-mine")
    return config(tmp_path)


def told(config: Config) -> dict[str, bool]:
    found = [(trouble.error.key or "", trouble.remark is not None) for trouble in troubles(config)]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_files_that_are_fine(files: Config, caplog: pytest.LogCaptureFixture) -> None:
    assert told(files) == {}
    assert not caplog.records


def test_each_file_that_is_named_and_not_there_is_told(tmp_path: Path) -> None:
    # Another way into the room, so that its file is not named.
    expected = {key: True for key in KEYS if key != "room.token_file"}
    assert told(config(tmp_path)) == expected
    room = {"host": "h", "token_file": tmp_path / "gone/room.token"}
    assert told(Config.model_validate({"room": room})) == {"room.token_file": True}


@pytest.mark.parametrize("key", [key for key in KEYS if key != "room.token_file"])
def test_each_file_that_is_there_and_wrong_is_told_as_that(
    files: Config, tmp_path: Path, key: str
) -> None:
    (tmp_path / key).write_text("")
    # A certificate and its key are looked at together.
    assert told(files) == {key.replace("tls_key", "tls_cert"): False}
    (tmp_path / key).unlink()
    (tmp_path / key).mkdir()
    assert told(files) == {key: False}


def test_it_is_told_as_a_run_tells_it(files: Config, tmp_path: Path) -> None:
    for key, says in (
        ("panel.pin_file", "PIN of less than 6 characters"),
        ("network.turn_password_file", "holds no password"),
    ):
        before = (tmp_path / key).read_bytes()
        (tmp_path / key).write_text("1" if "pin" in key else "\n")
        with pytest.raises(ConfigError, match=says) as caught:
            look_at_secrets(files)
        assert [str(trouble.error) for trouble in troubles(files)] == [str(caught.value)]
        (tmp_path / key).write_bytes(before)


def test_a_secret_that_others_can_read_is_warned_of(
    files: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "panel.pin_file").chmod(0o644)
    assert told(files) == {}
    assert f"chmod 600 {tmp_path}/panel.pin_file" in caplog.text


def test_credentials_are_looked_at_where_systemd_gives_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Config.model_validate(
        {
            "room": {"host": "h", "token_credential": "room.token"},
            "panel": {"pin_credential": "panel.pin"},
        }
    )
    monkeypatch.delenv(CREDENTIALS, raising=False)
    assert told(device) == {}
    monkeypatch.setenv(CREDENTIALS, str(tmp_path))
    (tmp_path / "room.token").write_text("abc")
    assert told(device) == {"panel.pin_credential": False}


def test_a_panel_that_there_is_not_needs_no_certificate(tmp_path: Path) -> None:
    panel = {"enabled": False, "tls_cert": tmp_path / "c", "tls_key": tmp_path / "k"}
    room = {"host": "h", "token": "t"}
    assert told(Config.model_validate({"room": room, "panel": panel})) == {}


def test_certificates_of_another_pair_are_told(files: Config, tmp_path: Path) -> None:
    other = Authority(tmp_path / "ca").issue("another")
    (tmp_path / "panel.tls_key").write_bytes(other.read_bytes())
    assert told(files) == {"panel.tls_cert": False}
