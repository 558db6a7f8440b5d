"""Documents in one piece: nothing of a page is asked for by itself, and nothing else may run."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from appliance.panel import Access, Panel, documents
from appliance.panel.documents import Document, joined
from tests.appliance.panel.fake_device import FakeDevice

PAGE = Path(documents.__file__).parent / "page"
PIN = "correct horse"


class Parts(HTMLParser):
    """What a document asks a server for, and what of it stands in itself, as a browser reads it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.inline: dict[str, list[str]] = {"script": [], "style": []}
        self._in = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        asked = names.get("src") or (names.get("href") if tag == "link" else None)
        if asked:
            self.asked.append(asked)
        elif tag in self.inline:
            self._in = tag
            self.inline[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._in:
            self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in:
            self.inline[self._in][-1] += data


def sources(policy: str, directive: str) -> set[str]:
    found = re.search(rf"(?:^|; ){directive} ([^;]*)", policy)
    assert found is not None
    return set(found[1].split())


@pytest.fixture
async def visitor(device: FakeDevice) -> AsyncIterator[httpx.AsyncClient]:
    panel = Panel(device, "127.0.0.1:0", access=Access(lambda: PIN))
    async with panel, httpx.AsyncClient(base_url=panel.url, follow_redirects=True) as visitor:
        visitor.headers["Origin"] = panel.url.rstrip("/")
        yield visitor


async def test_a_page_comes_in_one_piece(visitor: httpx.AsyncClient) -> None:
    """A connection that is refused can cost it no part, for its parts come by its own."""
    login = await visitor.get("/")
    wrong = await visitor.post("/login", data={"pin": "wrong"})
    panel = await visitor.post("/login", data={"pin": PIN})
    allowed: dict[str, set[str]] = {"script": set(), "style": set()}
    for answer, script in ((login, "login.js"), (wrong, "login.js"), (panel, "panel.js")):
        parts = Parts(answer.text)
        assert {one.lstrip("/") for one in parts.asked} == {"favicon.svg"}
        (code,) = parts.inline["script"]
        assert (PAGE / script).read_text().splitlines()[-1] in code
        assert (PAGE / "panel.css").read_text() in parts.inline["style"]
        # What stands in it is allowed by its own words, and by no other way.
        for tag, texts in parts.inline.items():
            policy = sources(answer.headers["content-security-policy"], f"{tag}-src")
            hashes = {hashlib.sha256(text.encode()).digest() for text in texts}
            assert {f"'sha256-{base64.b64encode(one).decode()}'" for one in hashes} <= policy
            assert all(one.startswith("'sha256-") for one in policy)
            allowed[tag] |= policy
    assert (len(allowed["script"]), len(allowed["style"])) == (2, 2)


async def test_every_module_of_the_page_is_in_it() -> None:
    (code,) = Parts(documents.PANEL.text()).inline["script"]
    for module in PAGE.glob("*.js"):
        if module.name != "login.js":
            assert module.read_text().splitlines()[0] in code, module.name
    assert not re.search(r"^(import|export)\b", code, re.MULTILINE)


def written(folder: Path, **modules: str) -> Path:
    for name, text in modules.items():
        (folder / f"{name}.js").write_text(text)
    return folder / "main.js"


def test_modules_run_once_in_the_order_of_their_imports(tmp_path: Path) -> None:
    entry = written(
        tmp_path,
        main='import "./late.js";\nimport { early, Other } from "./early.js";\nearly(Other);\n',
        late='import { early } from "./early.js";\nconst mine = 1;\nearly(mine);\n',
        early="export function early() {}\nconst mine = 2;\nexport class Other {}\n",
    )
    lines = [line for line in joined(entry).splitlines() if line]
    assert lines == [
        "const module0 = (() => {",
        "function early() {}",
        "const mine = 2;",
        "class Other {}",
        "return { early, Other };",
        "})();",
        "const module1 = (() => {",
        "const { early } = module0;",
        "const mine = 1;",
        "early(mine);",
        "return {  };",
        "})();",
        "const { early, Other } = module0;",
        "early(Other);",
    ]


@pytest.mark.parametrize(
    ("main", "other", "why"),
    [
        ('import "./other.js";\n', 'import "./main.js";\n', "main.js imports itself"),
        ('import { a } from "./other.js";\n', "export const b = 1;\n", "other.js has no a"),
        ('import { b as a } from "./other.js";\n', "export const b = 1;\n", "has no b as a"),
        ('import * as a from "./other.js";\n', "", r"import \* as a"),
        ("import a from './other.js';\n", "", "import a from"),
        ('import "./other.js";\n', "export default 1;\n", "other.js.*export default 1"),
        ('import "./other.js";\n', "export let a = 1;\n", "other.js.*export let a"),
        ('await import("./other.js");\n', "", r'import\("./other.js"\)'),
    ],
)
def test_what_cannot_be_joined_is_no_page(tmp_path: Path, main: str, other: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        joined(written(tmp_path, main=main, other=other))


@pytest.mark.parametrize("text", ['const a = "</script>";\n', "// <!-- \n", '"</STYLE "\n'])
def test_a_part_that_would_end_its_tag_is_no_page(tmp_path: Path, text: str) -> None:
    written(tmp_path, main=text)
    page = tmp_path / "page.html"
    page.write_text('<script type="module" src="main.js"></script>\n')
    with pytest.raises(ValueError, match="cannot stand in a page"):
        Document(page, [tmp_path])


def test_fields_of_a_document_are_its_own_and_no_others(tmp_path: Path) -> None:
    """A dollar of a script is the script's."""
    written(tmp_path, main='$("title");\n`${title}`;\n')
    page = tmp_path / "page.html"
    page.write_text('<title>$title</title><script type="module" src="/main.js"></script>')
    assert Document(page, [tmp_path]).text(title="$5") == (
        '<title>$5</title><script type="module">$("title");\n`${title}`;\n</script>'
    )
