"""The part of Picamera2's interface that Roomlet relies on, read from its sources.

`read` parses the package without importing it, for it cannot be imported where libcamera is
missing.  What it found is kept in picamera2_api.json, so that the fake in `fake_picamera2` is
held to the real thing in every run; a test in the lab reads the sources anew.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

RECORD = Path(__file__).with_name("picamera2_api.json")

USED: dict[str, dict[str, list[str]]] = {
    "picamera2.py": {
        "Picamera2": [
            "__init__",
            "camera_controls",
            "camera_properties",
            "close",
            "configure",
            "create_video_configuration",
            "global_camera_info",
            "process_requests",
            "sensor_modes",
            "start",
            "start_encoder",
            "stop_encoder",
            "stream_configuration",
        ]
    },
    "request.py": {
        "CompletedRequest": ["get_metadata"],
        "MappedArray": ["__init__", "array"],
    },
    "encoders/encoder.py": {"Encoder": ["encode", "outputframe", "start", "stop", "_timestamp"]},
    "encoders/h264_encoder.py": {"H264Encoder": ["__init__"]},
    "outputs/output.py": {"Output": ["__init__", "outputframe"]},
    "platform.py": {"": ["get_platform"]},
}
"""File -> class ("" for the module) -> functions whose parameters matter."""

ATTRIBUTES: dict[str, dict[str, list[str]]] = {
    "picamera2.py": {"Picamera2": ["post_callback", "_encoders"]},
    "request.py": {"CompletedRequest": ["config"]},
    "encoders/encoder.py": {"Encoder": ["firsttimestamp", "_running"]},
    "encoders/v4l2_encoder.py": {"V4L2Encoder": ["vd"]},
}
"""Attributes that must be assigned by the class itself."""

CALLS = {
    "picamera2.py": ["encoder.encode(encoder.name, req)", "self.post_callback(req)"],
    "encoders/encoder.py": ["out.outputframe(frame, keyframe, timestamp, packet, audio)"],
}
"""Calls through an object, where an attribute of the object may take the method's place."""

EXPORTS = {
    "__init__.py": ["MappedArray", "Picamera2", "Platform", "get_platform"],
    "encoders/__init__.py": ["H264Encoder"],
    "outputs/__init__.py": ["Output"],
}
"""Names that a package hands on."""


def read(package: Path) -> dict[str, Any]:
    """What of the above the sources of a package really have."""
    found: dict[str, Any] = {}
    for file, classes in USED.items():
        tree = _parse(package / file)
        for name, functions in classes.items():
            body = _class(tree, name).body if name else tree.body
            for function in functions:
                found[_key(file, name, function)] = _parameters(body, function)
    for file, wanted in ATTRIBUTES.items():
        for name, attributes in wanted.items():
            assigned = _assigned(_class(_parse(package / file), name))
            for attribute in attributes:
                found[_key(file, name, attribute)] = attribute in assigned
    for file, calls in CALLS.items():
        made = {ast.unparse(node) for node in ast.walk(_parse(package / file)) if _is_call(node)}
        for call in calls:
            found[f"{file}: {call}"] = call in made
    for file, names in EXPORTS.items():
        handed = _imported(_parse(package / file))
        for name in names:
            found[f"{file}: {name}"] = name in handed
    return found


def recorded() -> dict[str, Any]:
    """What was read from the version named under "version"."""
    record: dict[str, Any] = json.loads(RECORD.read_text())
    return record


def _key(file: str, name: str, member: str) -> str:
    return f"{file}: {name}.{member}" if name else f"{file}: {member}"


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def _is_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call)


def _class(tree: ast.Module, name: str) -> ast.ClassDef:
    return next(
        node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name
    )


def _parameters(body: list[ast.stmt], name: str) -> list[str] | None:
    """The parameters of a function, those that may be left out marked; None without it.  Of
    overloads the last one, which is the function itself."""
    for node in reversed(body):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            plain = [argument.arg for argument in node.args.args]
            required = len(plain) - len(node.args.defaults)
            return [
                argument if number < required else f"{argument}=..."
                for number, argument in enumerate(plain)
                if argument != "self"
            ]
    return None


def _assigned(node: ast.ClassDef) -> set[str]:
    return {
        one.attr
        for one in ast.walk(node)
        if isinstance(one, ast.Attribute)
        and isinstance(one.ctx, ast.Store)
        and isinstance(one.value, ast.Name)
        and one.value.id == "self"
    }


def _imported(tree: ast.Module) -> set[str]:
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
