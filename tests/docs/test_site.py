"""The documentation site: it is complete, and loads nothing from other hosts.

``JVCR_SITE`` names a site that ``mkdocs build`` has made. Without it, one is built here; its notebooks are not run.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

import jvcr

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGE = Path(jvcr.__file__).parent
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if "JVCR_SITE" in os.environ:
        return Path(os.environ["JVCR_SITE"])
    pytest.importorskip("mkdocs", reason="MkDocs comes with the extra docs")
    pytest.importorskip("mkdocstrings", reason="mkdocstrings comes with the extra docs")
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)],
        cwd=ROOT,
        env=os.environ | {"JVCR_RUN_NOTEBOOKS": "0"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return out


class Fetched(HTMLParser):
    """What a browser loads automatically for a page: everything with an address except links."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.policy = ""
        self.ids: set[str] = set()
        self.classes: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.ids.add(values.get("id", ""))
        self.classes |= set(values.get("class", "").split())
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"]
        followed = tag in ("a", "area") or (tag == "link" and values.get("rel") in ("next", "prev", "canonical"))
        for name in ("src", "srcset", "href", "data", "poster", "action"):
            if name in values and not (followed and name == "href"):
                self.addresses.append(values[name])


def parsed(page: Path) -> Fetched:
    parser = Fetched()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser


def elsewhere(address: str) -> bool:
    return re.match(r"\s*(?:[a-z][a-z+.-]*:)?//", address, re.IGNORECASE) is not None


def test_what_counts_as_fetched() -> None:
    parser = Fetched()
    parser.feed(
        '<a href="https://a"></a><link rel="stylesheet" href="//b/c.css"><img src="d.png"><script src="http://e">'
    )
    assert parser.addresses == ["//b/c.css", "d.png", "http://e"]
    assert [elsewhere(address) for address in parser.addresses] == [True, False, True]
    assert not elsewhere("data:image/png;base64,//8=")


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        found = parsed(page)
        assert not [address for address in found.addresses if elsewhere(address)], page
        assert found.policy.startswith("default-src 'self'") and "http" not in found.policy, page
        # The theme would load the script for these diagrams from another host.
        assert "mermaid" not in found.classes, page
    for sheet in site.rglob("*.css"):
        text = re.sub(r"/\*.*?\*/", "", sheet.read_text(encoding="utf-8"), flags=re.DOTALL)
        fetched = re.findall(r"""(?:url\(|@import)\s*["']?([^"')\s]+)""", text)
        assert not [address for address in fetched if elsewhere(address)], sheet


def test_every_page_is_in_the_site_and_in_its_navigation(site: Path) -> None:
    navigation = (site / "index.html").read_text(encoding="utf-8")
    for page in [*DOCS.rglob("*.md"), *NOTEBOOKS]:
        name = page.relative_to(DOCS).with_suffix("").as_posix()
        folder = re.sub(r"(^|/)(README|index)$", "", name)
        assert (site / folder / "index.html").is_file(), page
        assert f'href="{folder}/"' in navigation or folder == "", f"{page} is not in the navigation of mkdocs.yml"


def public_names(body: list[ast.stmt], place: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield f"{place}.{node.name}"
            if isinstance(node, ast.ClassDef):
                yield from public_names(node.body, f"{place}.{node.name}")


def test_every_public_name_is_in_the_api_reference(site: Path) -> None:
    shown = {name for page in (site / "api").rglob("*.html") for name in parsed(page).ids}
    missing = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if "cli" in parts or "__pyinstaller" in parts or path == PACKAGE / "__init__.py":
            continue
        module = ".".join(parts).removesuffix(".__init__")
        names = [module, *public_names(ast.parse(path.read_text(encoding="utf-8")).body, module)]
        missing += [name for name in names if name not in shown]
    assert not missing, f"not in the API reference: {', '.join(missing)}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_stored_without_outputs_and_shown(path: Path, site: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    page = (site / "notebooks" / path.stem / "index.html").read_text(encoding="utf-8")
    assert page.count("<code>") >= len(code)
    if "JVCR_SITE" in os.environ:
        # The notebook was run: it has outputs and pictures.
        pictures = re.findall(rf'src="\.\./(pictures/{path.stem}_[^"]+)"', page)
        assert pictures and all((site / "notebooks" / picture).is_file() for picture in pictures)


def test_the_two_notebooks_are_there() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["first_steps", "train_your_own_markup"]


def test_docstrings_are_evened_out() -> None:
    pytest.importorskip("griffe", reason="griffe comes with the extra docs")
    import importlib.util

    spec = importlib.util.spec_from_file_location("docstrings", DOCS / "site" / "docstrings.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    source = """Does it.

Args:
    width, height: of the photo, in
        pixels.
    name: whose
Returns:
    with boxes: one each,
    in their order
Raises:
    TypeError, ValueError: no image.

Example::

    f(1)
"""
    assert (
        module.evened(source)
        == """Does it.

Args:
    width: of the photo, in
        pixels.
    height: as `width`.
    name: whose

**Returns:** with boxes: one each, in their order

Raises:
    TypeError: no image.
    ValueError: no image.

Example:

    f(1)
"""
    )
