"""What docs/hub.md tells to type works as it is printed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from appliance.hub.tokens import verify
from tests.appliance.hub.conftest import MakeHub, TestHub

DOCUMENT = Path(__file__).parents[3] / "docs" / "hub.md"

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the examples need curl")


async def typed(text: str, hub: TestHub, home: Path) -> Any:
    """Give lines to a shell, one that knows nothing but where the hub is, and read the answer."""
    assert "http://127.0.0.1:8080" in text
    shell = await asyncio.create_subprocess_exec(
        *("sh", "-eu", "-c", text.replace("http://127.0.0.1:8080", hub.url)),
        env={"PATH": os.environ["PATH"], "HOME": str(home), "no_proxy": "*"},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await shell.communicate()
    assert shell.returncode == 0
    return json.loads(out)


async def test_the_calls_work_as_they_are_printed(make_hub: MakeHub, tmp_path: Path) -> None:
    hub = await make_hub(data=tmp_path / ".local/share/roomlet/hub")
    first, second = re.findall(
        r"^```sh\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL
    )
    answer = await typed(first, hub, tmp_path)
    assert verify(answer["token"], hub.keys.signing_key).room_name == "demo"
    # The one further down goes on with the variables of the first.
    room = await typed(first.partition("curl")[0] + second, hub, tmp_path)
    assert (room["name"], room["max_members"]) == ("board", 12)
