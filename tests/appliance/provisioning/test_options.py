from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from appliance.provisioning import Config, ConfigError
from appliance.provisioning.options import check_options
from hal import registry

ROOM = {"host": "ws://hub", "name": "demo", "guest": True}


def check(section: str, backend: str, **options: Any) -> None:
    config = Config.model_validate(
        {"room": ROOM, section: {"backend": backend, "options": options}}
    )
    check_options(config)


@pytest.mark.parametrize(
    ("section", "backend", "options"),
    [
        ("camera", "v4l2", {"pixel_format": "auto", "decode_preview": False}),
        ("microphone", "synthetic", {"frequency": 700, "pattern": "silence"}),
        ("microphone", "synthetic", {"frequency": 700.5}),
        ("controls", "virtual", {"latching": ["camera"]}),
        # Of what is found there nobody knows the options.
        ("camera", "auto", {"anything": "1"}),
    ],
)
def test_options_that_a_backend_knows(section: str, backend: str, options: dict[str, Any]) -> None:
    check(section, backend, **options)


@pytest.mark.parametrize(
    ("section", "backend", "options", "says"),
    [
        ("camera", "v4l2", {"pixel_fromat": "auto"}, "did you mean pixel_format?"),
        ("camera", "v4l2", {"decode_preview": "no"}, "must be true or false, without quotes"),
        ("camera", "synthetic", {"seed": "7"}, "must be a whole number, without quotes, not '7'"),
        ("camera", "synthetic", {"seed": True}, "must be a whole number, not True"),
        ("microphone", "synthetic", {"frequency": "700"}, "must be a number, without quotes"),
        ("microphone", "synthetic", {"pattern": "noise"}, "not 'noise'"),
    ],
)
def test_options_that_cannot_be(
    section: str, backend: str, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=f"{section}.options.{next(iter(options))}: ") as caught:
        check(section, backend, **options)
    assert says in str(caught.value)


class Side(StrEnum):
    LEFT = "left"
    RIGHT = "right"


class Elsewhere:
    """A backend of somebody else, whose options are of other types than TOML has."""

    def __init__(self, *, device: str | None = None, path: Path, side: Side, at: tuple[int, int]):
        pass


def test_a_text_may_be_a_path_and_a_list_a_tuple(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "load", lambda kind, name: Elsewhere)
    check("camera", "elsewhere", path="a/b", side="left", at=[1, 2])
    for wrong in ({"side": "up"}, {"at": [1, "2"]}, {"path": 3}):
        with pytest.raises(ConfigError, match=f"camera.options.{next(iter(wrong))}"):
            check("camera", "elsewhere", **wrong)
