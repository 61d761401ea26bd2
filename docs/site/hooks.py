"""Hooks that build the documentation site: notebooks, repository pages that docs/ links to, and the API reference.

MkDocs calls the functions named ``on_…``. ``JVCR_RUN_NOTEBOOKS=0`` includes the notebooks without running them: a build
then takes seconds and does not need PyTorch.
"""

from __future__ import annotations

import ast
import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "jvcr"

PROJECT = "project"
"""Folder of the site for repository files outside docs/."""

# Group → its modules and packages, one page each. Those in no group get a page under "More".
API = {
    "Predict": (
        "landmarker",
        "results",
        "images",
        "frames",
        "geometry",
        "camera",
        "markups",
        "video",
        "batch",
        "io",
        "draw",
        "compat",
    ),
    "Extend": ("detect", "runtime", "volume", "find", "locate", "weights", "extras", "report"),
    "Score": ("metrics", "expression", "arkit", "evaluate", "paper", "bench"),
    "Train": ("data", "train", "model", "export"),
}

_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s#]*)(#[^()\s]*)?\)")
_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the navigation sections that are generated: the API and the decisions."""
    api: list[Any] = ["api/index.md"]
    api += [{group: [{f"jvcr.{name}": page_of(name)} for name in names]} for group, names in api_pages().items()]
    decisions = sorted(Path(config.docs_dir, "decisions").glob("[0-9]*.md"))
    listed = {"API": api, "Decisions": ["decisions/README.md", *(f"decisions/{path.name}" for path in decisions)]}

    def fill(items: list[Any]) -> None:
        for item in items:
            for key, inside in item.items() if isinstance(item, dict) else ():
                if key in listed and not inside:
                    item[key] = listed[key]
                elif isinstance(inside, list):
                    fill(inside)

    fill(config.nav or [])
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add generated pages and files from outside docs/."""
    docs = Path(config.docs_dir)
    for notebook in sorted((docs / "notebooks").glob("*.ipynb")):
        for uri, content in rendered(notebook):
            files.append(File.generated(config, uri, content=content))
    for uri, text in api_texts():
        files.append(File.generated(config, uri, content=text))
    pages = [docs / file.src_uri for file in files.documentation_pages() if file.generated_by is None]
    listed = [source_of(uri, docs) for uri in named_in(config.nav) if uri.startswith(f"{PROJECT}/")]
    for path in sorted(linked_from([*pages, *listed], docs) | set(listed)):
        files.append(File.generated(config, uri_of(path, docs), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Redirect links that leave docs/ to the site's copies of their targets."""
    docs = Path(config.docs_dir)
    here = page.file.src_uri
    if here == "index.md":
        page.meta["hide"] = ["navigation"]
    if here == "api/index.md":
        markdown += api_overview()
    source = source_of(here, docs)

    def moved(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        if not target or "://" in target or target.startswith("mailto:"):
            return match[0]
        path = (source.parent / target).resolve()
        uri = uri_of(path, docs)
        found = files.get_file_from_path(uri)
        if found is None or found.inclusion.is_excluded():
            # A folder, or a file that the site does not include: keep the text without a link.
            return text if path.exists() else match[0]
        return f"[{text}]({posixpath.relpath(uri, posixpath.dirname(here))}{anchor})"

    parts = _FENCE.split(markdown)
    return "".join(part if number % 2 else _LINK.sub(moved, part) for number, part in enumerate(parts))


# Files of the repository outside docs/


def source_of(uri: str, docs: Path) -> Path:
    """The source file of a page of the site."""
    if not uri.startswith(f"{PROJECT}/"):
        return docs / uri
    return ROOT / posixpath.relpath(uri, PROJECT).replace("/readme.md", "/README.md")


def uri_of(path: Path, docs: Path) -> str:
    """The address in the site of a repository file."""
    if path.is_relative_to(docs):
        page = path.with_suffix(".md") if path.suffix == ".ipynb" else path
        return page.relative_to(docs).as_posix()
    # MkDocs would make a README the first page of its section.
    return f"{PROJECT}/{posixpath.relpath(path, ROOT)}".replace("/README.md", "/readme.md")


def linked_from(pages: list[Path], docs: Path) -> set[Path]:
    """Files outside docs/ that these pages link to, directly or through other Markdown pages."""
    found: set[Path] = set()
    waiting = [page for page in pages if page.suffix == ".md"]
    while waiting:
        page = waiting.pop()
        for match in _LINK.finditer(page.read_text(encoding="utf-8")):
            path = (page.parent / match[2]).resolve()
            if "://" in match[2] or not path.is_file() or path.is_relative_to(docs) or not path.is_relative_to(ROOT):
                continue
            if path not in found:
                found.add(path)
                waiting += [path] if path.suffix == ".md" else []
    return found


def named_in(nav: Any) -> Iterator[str]:
    """Every file that the navigation names."""
    if isinstance(nav, str):
        yield nav
    elif nav:
        for item in nav.values() if isinstance(nav, dict) else nav:
            yield from named_in(item)


# Notebooks


def rendered(path: Path) -> Iterator[tuple[str, str | bytes]]:
    """Render a notebook as a Markdown page and its pictures: (address in the site, content).

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    if os.environ.get("JVCR_RUN_NOTEBOOKS", "1") != "0":
        NotebookClient(notebook, timeout=600, kernel_name="python3", coalesce_streams=True).execute()
    exporter = MarkdownExporter()
    text, resources = exporter.from_notebook_node(
        notebook, resources={"output_files_dir": "pictures", "unique_key": path.stem}
    )
    about = f"*This page is a notebook: `docs/notebooks/{path.name}`. Every build of this site runs it.*"
    heading, _, rest = text.strip().partition("\n")
    yield f"notebooks/{path.stem}.md", f"{heading}\n\n{about}\n{rest}\n"
    for name, data in resources["outputs"].items():
        yield f"notebooks/{name}", data


# API reference


def modules() -> list[str]:
    """Names of all public modules and packages except the command line, without ``jvcr.``, packages first."""
    names = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if parts and parts[0] != "cli" and not any(part.startswith("_") for part in parts):
            names.append(".".join(parts))
    return sorted(names)


def api_pages() -> dict[str, list[str]]:
    """Group → its top-level modules and packages. Each is in exactly one group."""
    known = sorted({name.split(".")[0] for name in modules()})
    grouped = {group: [name for name in names if name in known] for group, names in API.items()}
    rest = [name for name in known if not any(name in names for names in API.values())]
    return grouped | ({"More": rest} if rest else {})


def page_of(name: str) -> str:
    return f"api/{name}.md"


def api_texts() -> Iterator[tuple[str, str]]:
    """The pages of the API reference: (address in the site, Markdown for mkdocstrings)."""
    all_modules = modules()
    for name in (name for names in api_pages().values() for name in names):
        inside = [module for module in all_modules if module.startswith(f"{name}.")]
        body = f"::: jvcr.{name}\n    options: {{heading_level: 1}}\n"
        yield page_of(name), body + "".join(f"\n::: jvcr.{module}\n" for module in inside)


def api_overview() -> str:
    """Tables of the modules, appended to api/index.md."""
    lines: list[str] = []
    for group, names in api_pages().items():
        lines += ["", f"## {group}", "", "| module | purpose |", "|---|---|"]
        lines += [f"| [jvcr.{name}]({name}.md) | {first_line(name)} |" for name in names]
    return "\n".join(lines) + "\n"


def first_line(name: str) -> str:
    """The first paragraph of the docstring of a module or a package."""
    path = PACKAGE / Path(*name.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n\n")[0].replace("\n", " ").replace("``", "`").replace("|", "\\|")
