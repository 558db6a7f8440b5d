"""The stand-in for Picamera2 is what Picamera2 is."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hal.camera import fake_picamera2 as fake
from tests.hal.camera import picamera2_api as api

FAKES: dict[str, Any] = {
    "picamera2.py: Picamera2": fake.Picamera2,
    "request.py: CompletedRequest": fake.CompletedRequest,
    "request.py: MappedArray": fake.MappedArray,
    "encoders/encoder.py: Encoder": fake.Encoder,
    "encoders/h264_encoder.py: H264Encoder": fake.H264Encoder,
    "outputs/output.py: Output": fake.Output,
}


def test_the_fake_has_the_parameters_of_the_real_one() -> None:
    compared = 0
    for name, expected in api.recorded()["api"].items():
        owner, _, member = name.rpartition(".")
        if not isinstance(expected, list) or owner not in FAKES:
            assert expected in (True, []), f"{name} has gone from Picamera2"
            continue
        found = inspect.getattr_static(FAKES[owner], member)
        function = getattr(found, "fget", None) or getattr(found, "__func__", found)
        parameters = [
            one.name if one.default is one.empty else f"{one.name}=..."
            for one in inspect.signature(function).parameters.values()
            if one.name != "self"
        ]
        assert parameters == expected, name
        compared += 1
    assert compared >= 20


def test_the_fake_has_nothing_that_was_not_looked_up() -> None:
    # What the driver could use of the fake but Picamera2 might not have.
    looked_up = {name.rpartition(".")[2] for name in api.recorded()["api"]}
    own = {
        name
        for name, value in vars(fake.Picamera2).items()
        if callable(value) or isinstance(value, property | staticmethod)
    }
    assert own - looked_up - {"_run", "silence"} == set()


@pytest.mark.lab
@pytest.mark.parametrize("version", ["0.3.31", "recorded"])
def test_picamera2_is_as_it_was_recorded(tmp_path: Path, version: str) -> None:
    record = api.recorded()
    wanted = record["version"] if version == "recorded" else version
    importlib.import_module("pip")  # the tool that fetches the sources; nothing is run of them
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"),
            *("--target", str(tmp_path), f"picamera2=={wanted}"),
        ],
        check=True,
        timeout=300,
    )
    assert api.read(tmp_path / "picamera2") == record["api"]
