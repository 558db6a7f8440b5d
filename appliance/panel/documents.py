"""The panel's documents, each in one piece: its styles and its script stand in the page itself.

A panel that has many pages open refuses some connections, and a page whose parts are asked for one
by one may come without its script, which says NO CONTACT for ever.  So whoever gets a page gets all
of it; what it asks for later it can ask for again.

The script is written as modules, one for each part of the page, and joined here.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from string import Template
from typing import Final

from appliance.web import SHARED

_PAGE: Final = Path(__file__).parent / "page"

_STYLE: Final = re.compile(r'<link rel="stylesheet" href="/?([\w.-]+)">')
_SCRIPT: Final = re.compile(r'<script type="module" src="/?([\w.-]+)"></script>')
_IMPORT: Final = re.compile(r'^import (?:\{([^}]*)\} from )?"\./([\w.-]+)";$', re.MULTILINE)
_EXPORT: Final = re.compile(
    r"^export (?=(?:(?:async )?function|class|const) ([\w$]+))", re.MULTILINE
)
_OTHER: Final = re.compile(r"^\s*(?:import|export)\b.*|\bimport\s*[(.].*", re.MULTILINE)
_END: Final = re.compile(r"</(?:script|style)|<!--", re.IGNORECASE)
"""What would end a script or style before its time."""


class Document:
    """The HTML file `path`, a template, with the styles and the script of `folders` that it names.

    Raises ValueError where they cannot stand in it, or the script cannot be joined.
    """

    def __init__(self, path: Path, folders: Iterable[Path]) -> None:
        files = {file.name: file for folder in folders for file in folder.iterdir()}
        self.styles: Final[list[str]] = []
        """The styles as sources of a Content-Security-Policy."""
        self.scripts: Final[list[str]] = []
        """The scripts likewise."""

        def style(found: re.Match[str]) -> str:
            text = files[found[1]].read_text("utf-8")
            self.styles.append(_source(text))
            return f"<style>{_literal(text)}</style>"

        def script(found: re.Match[str]) -> str:
            text = joined(files[found[1]])
            self.scripts.append(_source(text))
            return f'<script type="module">{_literal(text)}</script>'

        text = _SCRIPT.sub(script, _STYLE.sub(style, path.read_text("utf-8")))
        self._template = Template(text)

    def text(self, **fields: str) -> str:
        """The document with its fields filled in, as they are."""
        return self._template.substitute(fields)


def joined(entry: Path) -> str:
    """The module `entry` and those that it imports as one, in the order in which a browser would
    run them, each in a scope of its own.

    Only what a single line can tell of them is known: `import "./a.js"`, `import { b } from
    "./a.js"`, and `export` before a function, class or const.  Of top-level `await`s only those of
    `entry` are.  Raises ValueError for anything else.
    """
    pieces: list[str] = []
    exports: dict[Path, tuple[str, list[str]]] = {}
    begun: set[Path] = set()

    def add(path: Path) -> tuple[str, list[str]]:
        if path in exports:
            return exports[path]
        if path in begun:
            raise ValueError(f"{path.name} imports itself, by way of others")
        begun.add(path)

        def bound(found: re.Match[str]) -> str:
            module, offered = add(path.parent / found[2])
            if found[1] is None:
                return ""
            names = [name.strip() for name in found[1].split(",") if name.strip()]
            for name in names:
                if name not in offered:
                    raise ValueError(f"{path.name}: {found[2]} has no {name}")
            return f"const {{ {', '.join(names)} }} = {module};"

        body = _IMPORT.sub(bound, path.read_text("utf-8"))
        names = _EXPORT.findall(body)
        body = _EXPORT.sub("", body)
        if other := _OTHER.search(body):
            raise ValueError(f"{path.name}: cannot be joined: {other[0].strip()}")
        module = f"module{len(exports)}"
        if path != entry:
            body = f"const {module} = (() => {{\n{body}\nreturn {{ {', '.join(names)} }};\n}})();\n"
        pieces.append(body)
        exports[path] = module, names
        return exports[path]

    add(entry)
    return "\n".join(pieces)


def _source(text: str) -> str:
    """By which a policy allows an inline script or style of this text, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _literal(text: str) -> str:
    """For a template, and between two tags."""
    if end := _END.search(text):
        raise ValueError(f"cannot stand in a page: {end[0]}")
    return text.replace("$", "$$")


PANEL: Final = Document(_PAGE / "index.html", (_PAGE, SHARED))
"""The page."""

LOGIN: Final = Document(_PAGE / "login.html", (_PAGE, SHARED))
"""The way in.  Its fields: `title`, `message` and `described`."""
