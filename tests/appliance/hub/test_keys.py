"""The hub's secrets on disk."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from appliance.hub.errors import DataError, SettingError
from appliance.hub.keys import FILE, Keys, find, load, prepare


def test_keys_are_made_once_and_kept(tmp_path: Path) -> None:
    data = tmp_path / "new" / "hub"
    first = load(data, {})
    assert load(data, {}) == first
    assert (data / FILE).stat().st_mode & 0o777 == 0o600
    assert data.stat().st_mode & 0o777 == 0o700
    assert load(tmp_path / "other", {}) != first
    assert [path.name for path in data.iterdir()] == [FILE]


def test_rights_that_were_widened_are_narrowed(tmp_path: Path) -> None:
    load(tmp_path, {})
    (tmp_path / FILE).chmod(0o644)
    load(tmp_path, {})
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_the_environment_goes_first(tmp_path: Path) -> None:
    both = {"ROOMLET_PROJECT": "p", "ROOMLET_API_TOKEN": "t"}
    assert load(tmp_path / "none", both) == Keys("p", "t")
    assert not (tmp_path / "none").exists()
    stored = load(tmp_path, {})
    assert load(tmp_path, {"ROOMLET_PROJECT": "p"}) == Keys("p", stored.api_token)
    assert load(tmp_path, {"ROOMLET_API_TOKEN": "t"}) == Keys(stored.project, "t")
    assert load(tmp_path, {"ROOMLET_PROJECT": ""}) == stored


def test_the_signing_key_follows_the_api_token() -> None:
    keys = Keys("p", "token")
    assert len(keys.signing_key) == 32
    assert keys.signing_key == Keys("q", "token").signing_key
    assert keys.signing_key != Keys("p", "other").signing_key
    assert b"token" not in keys.signing_key
    assert "token" not in repr(keys).replace("api_token", "")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"project": "p"}', '{"project":1,"api_token":2}'])
def test_a_damaged_file_is_not_overwritten(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(DataError, match="damaged"):
        load(tmp_path, {})
    assert (tmp_path / FILE).read_text() == text


def test_a_damaged_encoding(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="damaged"):
        load(tmp_path, {})


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "is full"),
        (errno.EDQUOT, "is full"),
        (errno.EACCES, "not readable and writable; mend its rights"),
        (errno.EROFS, "not readable and writable; mend its rights"),
        (errno.EIO, "input/output error"),
    ],
)
@pytest.mark.parametrize("work", [prepare, lambda path: load(path, {})])
def test_disks_that_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str, work: object
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DataError) as caught:
        work(tmp_path / "hub")
    text = str(caught.value)
    assert words in text
    assert str(tmp_path) in text
    assert "\n" not in text
    # Nothing half is left behind.
    assert list((tmp_path / "hub").iterdir()) == []


def test_two_processes_that_start_at_once_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one writes its keys just before ours are in place."""
    link = os.link
    others: list[Keys] = []

    def late(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        others.append(load(tmp_path, {}))
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    assert load(tmp_path, {}) == others[0]


def test_keys_are_found_but_not_made(tmp_path: Path) -> None:
    data = tmp_path / "hub"
    only_one = {"ROOMLET_PROJECT": "p"}
    for environment in ({}, only_one):
        with pytest.raises(SettingError, match=re.escape(f"no hub's keys in {data}; start")):
            find(data, environment)
    assert not data.exists()
    both = find(data, {**only_one, "ROOMLET_API_TOKEN": "t"})
    assert (both.project, both.api_token) == ("p", "t")
    made = load(data, {})
    assert find(data, {}) == made
    assert find(data, only_one) == Keys("p", made.api_token)
