"""The command as a user has it: a process, its two streams and its exit code."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import NamedTuple

from appliance.cli.exit_code import ExitCode

TIMEOUT = 60.0


class Result(NamedTuple):
    code: int
    out: str
    err: str


async def roomlet(*arguments: str | Path, **environment: str) -> Result:
    return await run_command(sys.executable, "-m", "appliance", *arguments, **environment)


async def run_command(*command: str | Path, **environment: str) -> Result:
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Result(process.returncode, out.decode(), err.decode())


def complaint(result: Result, code: ExitCode) -> str:
    """The one line of a failure."""
    assert result.code == code, result
    lines = result.err.splitlines()
    assert len(lines) == 1, result.err
    assert lines[0].startswith("roomlet: ")
    assert "Traceback" not in result.err
    return lines[0]
