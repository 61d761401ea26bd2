"""Keep figures that several pages state in one file, docs/figures.toml.

    python docs/figures.py            # list every figure, its value and where it is stated
    python docs/figures.py --check    # exit code 1 if a page disagrees with the file
    python docs/figures.py --write    # write the file's values to all pages

A page states a figure between two HTML comments:

    <!-- figure: small.gmac -->0.32<!-- /figure --> GMAC

A comment must not start a line: Markdown would end the paragraph there. Bold is kept: the script reads ``**3.54**``
between the comments as 3.54. Comments do not work inside code.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
FILE = Path("docs/figures.toml")
PAGES = ("*.md", "docs/**/*.md", "recipes/**/*.md", "weights/*.md", "src/jvcr/weights/*.md")

_FIELDS = {"value", "what", "command", "machine", "date"}
_PLACE = re.compile(r"<!-- figure: (?P<name>[\w.]+) -->(?P<stars>\**)(?P<text>[^<*]*)(?P=stars)<!-- /figure -->")
_MARK = re.compile(r"<!-- */?figure\b.*?-->")


class Place(NamedTuple):
    """A place where a page states a figure."""

    page: Path
    line: int
    name: str
    text: str


def read_figures(path: Path) -> dict[str, dict[str, str]]:
    """Read the figures: name → entry.

    Fields: ``value`` as printed on pages, ``what`` it is, ``command`` that measures it, ``date``, and for times
    ``machine``.

    Raises:
        ValueError: an entry lacks a field, has an unknown one, or one that is not text; the entry is named.
    """
    found: dict[str, dict[str, str]] = {}

    def inside(table: dict[str, Any], prefix: str) -> None:
        for key, entry in table.items():
            name = f"{prefix}{key}"
            if not isinstance(entry, dict):
                raise ValueError(f"{path}: {name} is outside an entry; expected [group.name] with value = …")
            if "value" not in entry:
                inside(entry, f"{name}.")
                continue
            wrong = entry.keys() ^ _FIELDS - {"machine"} if "machine" not in entry else entry.keys() ^ _FIELDS
            if wrong:
                raise ValueError(f"{path}: {name} has missing or unknown fields: {', '.join(sorted(wrong))}")
            if not all(isinstance(text, str) for text in entry.values()):
                raise ValueError(f'{path}: {name}: every field must be text, as printed: value = "3.54"')
            found[name] = entry

    inside(tomllib.loads(path.read_text(encoding="utf-8")), "")
    return found


def pages(root: Path) -> list[Path]:
    """The Markdown pages that may state figures."""
    return sorted({page for pattern in PAGES for page in root.glob(pattern)})


def places(page: Path) -> Iterator[Place]:
    """Find the figures that a page states.

    Raises:
        ValueError: a comment is not part of a complete pair, or starts a line.
    """
    text = page.read_text(encoding="utf-8")
    for match in _PLACE.finditer(text):
        if not text[text.rfind("\n", 0, match.start()) + 1 : match.start()].strip():
            raise ValueError(
                f"{page}:{line_of(text, match.start())}: a figure's comment starts the line; put a word before it"
            )
        yield Place(page, line_of(text, match.start()), match["name"], match["text"])
    # Any comment left is half of a pair, or misspelt. Comments inside code are examples.
    left = _MARK.search(_PLACE.sub("", re.sub(r"`[^`\n]*`", "", text)))
    if left:
        raise ValueError(
            f"{page}: {left[0]} is not a complete pair; expected <!-- figure: NAME -->VALUE<!-- /figure -->"
        )


def line_of(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def disagreements(root: Path) -> list[str]:
    """List what is wrong, one line each; empty if all pages agree with the file."""
    figures = read_figures(root / FILE)
    wrong = []
    for page in pages(root):
        try:
            for place in places(page):
                at = f"{page.relative_to(root).as_posix()}:{place.line}"
                if place.name not in figures:
                    wrong.append(f"{at}: figure {place.name!r} is not in {FILE.as_posix()}")
                elif place.text != figures[place.name]["value"]:
                    wrong.append(
                        f"{at}: {place.name} is {place.text!r}; {FILE.name} has {figures[place.name]['value']!r}"
                    )
        except ValueError as error:
            wrong.append(str(error))
    return wrong


def write(root: Path) -> list[Path]:
    """Write the file's values to the pages. Returns the pages that changed; unknown names are left as they are."""
    figures = read_figures(root / FILE)

    def current(match: re.Match[str]) -> str:
        name, stars = match["name"], match["stars"]
        value = figures[name]["value"] if name in figures else match["text"]
        return f"<!-- figure: {name} -->{stars}{value}{stars}<!-- /figure -->"

    changed = []
    for page in pages(root):
        before = page.read_text(encoding="utf-8")
        after = _PLACE.sub(current, before)
        if after != before:
            page.write_text(after, encoding="utf-8", newline="\n")
            changed.append(page)
    return changed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only report disagreements; exit code 1 if there are any")
    parser.add_argument("--write", action="store_true", help="write the file's values to all pages")
    options = parser.parse_args()
    if options.write:
        for page in write(ROOT):
            print(f"{page.relative_to(ROOT)}: updated")
    wrong = disagreements(ROOT)
    for line in wrong:
        print(line, file=sys.stderr)
    if not (options.write or options.check):
        stated = [place for page in pages(ROOT) for place in places(page)]
        for name, entry in read_figures(ROOT / FILE).items():
            where = [
                f"{place.page.relative_to(ROOT).as_posix()}:{place.line}" for place in stated if place.name == name
            ]
            print(f"{name:<28} {entry['value']:<12} {', '.join(where) or 'not stated'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
