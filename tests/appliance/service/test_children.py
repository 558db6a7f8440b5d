from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from appliance.service import children
from appliance.service.children import Child
from appliance.service.errors import DemoFailed


def hub(folder: Path, name: str = "hub") -> Child:
    arguments = ["hub", "--listen=127.0.0.1:0", f"--data={folder / name}"]
    return Child(name, arguments, folder / f"{name}.log")


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_a_child_says_its_line_and_ends_politely(tmp_path: Path) -> None:
    child = hub(tmp_path)
    line = await child.start(60)
    assert line.startswith("roomlet hub ready at http://127.0.0.1:")
    pid = child.pid
    assert os.getpgid(pid) == pid
    # What it remembers is no business of the person's who looks at a demo.
    assert psutil.Process(pid).environ()["STATE_DIRECTORY"] == str(tmp_path / "hub.state")
    await child.stop()
    assert gone(pid)
    await child.stop()


async def test_a_child_that_cannot_start_is_quoted(tmp_path: Path) -> None:
    child = Child("hub", ["hub", "--listen=nowhere", "--data=x"], tmp_path / "hub.log")
    with pytest.raises(DemoFailed, match=r"hub did not start: roomlet: .*'nowhere' is no address"):
        await child.start(60)
    await child.stop()


async def test_a_child_that_ends_by_itself_is_noticed(tmp_path: Path) -> None:
    child = hub(tmp_path)
    await child.start(60)
    waiting = asyncio.create_task(child.wait())
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(DemoFailed, match="hub has ended by itself"):
        async with asyncio.timeout(20):
            await waiting
    await child.stop()


async def test_a_child_that_hangs_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "PATIENCE", 0.2)
    child = hub(tmp_path)
    await child.start(60)
    pid = child.pid
    os.kill(pid, signal.SIGSTOP)  # it hears no SIGTERM
    await child.stop()
    assert gone(pid)


async def test_silence_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "PATIENCE", 20.0)
    child = hub(tmp_path)
    with pytest.raises(DemoFailed, match="not ready within"):
        await child.start(0.001)
    await child.stop()
    assert gone(child.pid)


def test_children_do_not_outlive_a_parent_that_was_killed(tmp_path: Path) -> None:
    program = f"""
        import asyncio
        from pathlib import Path
        from appliance.service.children import Child

        async def main():
            child = Child(
                "hub",
                ["hub", "--listen=127.0.0.1:0", "--data={tmp_path}/hub"],
                Path("{tmp_path}/hub.log"),
            )
            await child.start(60)
            print(child.pid, flush=True)
            await asyncio.sleep(600)

        asyncio.run(main())
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    _, alive = psutil.wait_procs([child], timeout=20)
    assert not alive


def test_a_child_whose_parent_is_gone_ends_at_once(tmp_path: Path) -> None:
    environment = {**os.environ, children.PARENT: "1"}
    done = subprocess.run(
        [sys.executable, "-m", "appliance", "hub", f"--data={tmp_path}"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
