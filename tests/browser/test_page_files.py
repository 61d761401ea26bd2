"""The page's files, without a browser: nothing from elsewhere, nothing inline, all of it in the package."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import pytest

FOLDER = Path(str(resources.files("jvcr"))) / "serve" / "page"
OWN = sorted(path for path in FOLDER.iterdir() if path.suffix in (".js", ".css", ".html") and "three." not in path.name)
MODULES = [path for path in OWN if path.suffix == ".js"]


class Tags(HTMLParser):
    """All tags of a page with their attributes, and the text inside scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style"):
            self.inline += data.strip()


@pytest.fixture(scope="module")
def index() -> Tags:
    tags = Tags()
    tags.feed((FOLDER / "index.html").read_text(encoding="utf-8"))
    return tags


def test_the_page_is_smaller_than_900_kb() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 900_000


def test_nothing_is_inline(index: Tags) -> None:
    attributes = {name for _, attributes in index.tags for name in attributes}
    assert index.inline == ""
    assert "style" not in {tag for tag, _ in index.tags} | attributes
    assert [name for name in attributes if name.startswith("on")] == []


def test_every_address_is_a_file_of_the_folder(index: Tags) -> None:
    addresses = [attributes[key] or "" for _, attributes in index.tags for key in ("src", "href") if key in attributes]
    files = [address.removeprefix("page/") for address in addresses if not address.startswith("#")]
    assert len(files) > 4
    assert [name for name in files if not (FOLDER / name).is_file()] == []


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_no_other_host_is_named(path: Path) -> None:
    assert re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z]", path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_imports_and_elements_exist(path: Path, index: Tags) -> None:
    text = path.read_text(encoding="utf-8")
    imported = re.findall(r"""(?m)(?:^(?:import|\}) .*from |import\()["']([^"']+)["']""", text)
    assert imported or not re.search(r"(?m)^import ", text)
    assert [name for name in imported if not (name.startswith("./") and (FOLDER / name).is_file())] == []
    ids = {attributes["id"] for _, attributes in index.tags if "id" in attributes}
    assert set(re.findall(r'byId\("([^"]+)"\)', text)) <= ids


def test_half_pixels_are_in_one_module() -> None:
    found = {path.name for path in MODULES if re.search(r"[-+] ?0?\.5\b", path.read_text(encoding="utf-8"))}
    assert found == {"frames.js"}


def test_the_licence_of_three_js_is_beside_it() -> None:
    assert "MIT License" in (FOLDER / "three.LICENSE.txt").read_text(encoding="utf-8")
    assert (FOLDER / "three.module.min.js").is_file()
