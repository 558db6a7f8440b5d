"""The lines that docs/troubleshooting.md quotes are lines that the program says."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "troubleshooting.md"

FOREIGN = {
    "connection refused",
    "did not receive a valid HTTP response",
    "self-signed certificate",
    "CERTIFICATE_VERIFY_FAILED",
    "[SSL: WRONG_VERSION_NUMBER]",
    "no such file or directory",
}
"""What comes from the system, from OpenSSL or websockets, and is passed on."""

GAP = re.compile(
    r"\.\.\.|\S*/\S*|'[^']*'|\b\d+(?:\.\d+)*\b|\bWxH\b|\b(?:[A-Z]\b|[A-Z]{2,}\w*)|[:;](?= |$)|[()=]"
)
"""What differs from one time to the other, and where parts are put together."""

JOINT = r"[ ,:;'\"()]*"
"""What may stand between a fixed text and what is put in."""


def spoken(path: Path) -> Iterator[str]:
    """The texts in a source file, but for what only its readers see."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield text
        return
    nodes = list(ast.walk(ast.parse(text)))
    documentation = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if id(node) in documentation:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            # An implicit join of several is one here.
            yield "".join(
                part.value if isinstance(part, ast.Constant) else "\0" for part in node.values
            )


@functools.cache
def source() -> str:
    """All that the program can say, with a NUL for what is put in."""
    files = [ROOT / "Makefile", *(ROOT / "scripts").iterdir()]
    for folder in ("appliance", "hal"):
        for suffix in ("py", "js", "html"):
            files += (ROOT / folder).rglob(f"*.{suffix}")
    texts = (text for path in files if path.is_file() for text in spoken(path))
    return "\0".join(re.sub(r"%s|\{\w*\}", "\0", " ".join(text.split())) for text in texts)


def quoted() -> Iterator[str]:
    """What stands in backticks in the first column."""
    for line in PAGE.read_text().splitlines():
        if line.startswith("|") and not line.startswith("|-"):
            yield from re.findall(r"`([^`]+)`", line.split(" | ")[0])


def parts(line: str) -> list[str]:
    """The fixed parts of a quoted line."""
    for foreign in FOREIGN:
        line = line.replace(foreign, "...")
    return [part for one in GAP.split(line) if " " in (part := one.strip(' ,.*-"'))]


def is_said(words: list[str], *, first: bool = True) -> bool:
    """Whether the program can say these words in a row.

    Each piece of them, of two words at least, is in one of its texts, up to where that ends or
    something is put in: that is two words at most.
    """
    for gap in range(3):
        for end in range(len(words), gap + 1, -1):
            piece, rest = " ".join(words[gap:end]).rstrip(","), words[end:]
            if piece not in source():
                continue
            before = "" if first and not gap else "\0" + JOINT
            after = JOINT + "\0" if rest else ""
            if re.search(before + re.escape(piece) + after, source()) and (
                len(rest) <= 2 or is_said(rest, first=False)
            ):
                return True
    return False


@pytest.mark.parametrize("line", list(quoted()))
def test_each_line_is_one_of_the_programs(line: str) -> None:
    for part in parts(line):
        assert is_said(part.split()), part


def test_what_is_foreign_is_quoted_and_is_none_of_the_programs_own() -> None:
    lines = "\n".join(quoted())
    for foreign in FOREIGN:
        assert foreign in lines
        assert foreign not in source()


@pytest.mark.parametrize(
    "line",
    [
        "needs one of token, token_file and guest = true",
        "no pins can be reached (...); install lgpio",
        "the microphone remains muted: held by room; ...",
        "another hub uses the data folder DIR; ...",
    ],
)
def test_a_line_that_nobody_says_is_found(line: str) -> None:
    assert not all(is_said(part.split()) for part in parts(line))
