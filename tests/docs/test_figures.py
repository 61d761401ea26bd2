"""Figures that several pages state agree with docs/figures.toml."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs" / "figures.py"
_spec = importlib.util.spec_from_file_location("figures", SCRIPT)
assert _spec is not None and _spec.loader is not None
figures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(figures)

ENTRY = """\
[small.nme]
value = "3.54"
what = "NME, percent"
command = "jvcr evaluate"
date = "2026-11-21"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "figures.toml").write_text(ENTRY)
    return tmp_path


def test_every_page_agrees_with_the_file() -> None:
    assert figures.disagreements(ROOT) == [], "run `python docs/figures.py --write`"


def test_figures_of_the_file_are_stated_in_pages() -> None:
    stated = {place.name for page in figures.pages(ROOT) for place in figures.places(page)}
    assert {"small.aflw.one_look.nme", "small.ms.default", "small.parameters"} <= stated
    assert stated <= figures.read_figures(ROOT / figures.FILE).keys()


def test_write_changes_values_and_nothing_else(root: Path) -> None:
    before = "a <!-- figure: small.nme -->**3.60**<!-- /figure --> b <!-- figure: small.nme -->1<!-- /figure -->\n"
    (root / "docs" / "page.md").write_text(before)
    (root / "README.md").write_text("no figures, 3.60\n")
    wrong = figures.disagreements(root)
    assert wrong == [f"docs/page.md:1: small.nme is {old!r}; figures.toml has '3.54'" for old in ("3.60", "1")]
    assert figures.write(root) == [root / "docs" / "page.md"]
    after = (root / "docs" / "page.md").read_text()
    assert after == before.replace("3.60", "3.54").replace("-->1<", "-->3.54<")
    assert figures.disagreements(root) == [] and figures.write(root) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x <!-- figure: small.gte -->7.12<!-- /figure -->", "figure 'small.gte' is not in docs/figures.toml"),
        ("x <!-- figure: small.nme -->3.54", "<!-- figure: small.nme --> is not a complete pair"),
        ("x <!-- figure: small nme -->3.54<!-- /figure -->", "is not a complete pair"),
        ("word\n<!-- figure: small.nme -->3.54<!-- /figure --> %", "page.md:2: a figure's comment starts the line"),
    ],
)
def test_slips_of_the_pen_are_named(root: Path, text: str, message: str) -> None:
    (root / "docs" / "page.md").write_text(text)
    (wrong,) = figures.disagreements(root)
    assert message in wrong


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (ENTRY.replace("date =", "day ="), "small.nme has missing or unknown fields: date, day"),
        (ENTRY.replace('"3.54"', "3.54"), "small.nme: every field must be text"),
        ('value = "1"\n', "value is outside an entry"),
    ],
)
def test_the_file_is_checked(root: Path, entry: str, message: str) -> None:
    (root / "docs" / "figures.toml").write_text(entry)
    with pytest.raises(ValueError, match=message):
        figures.read_figures(root / "docs" / "figures.toml")


def test_command_says_what_disagrees(root: Path) -> None:
    script = root / "docs" / "figures.py"
    script.write_bytes(SCRIPT.read_bytes())
    (root / "README.md").write_text("NME <!-- figure: small.nme -->9.99<!-- /figure --> %\n")

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, str(script), *options], capture_output=True, text=True)

    checked = run("--check")
    assert checked.returncode == 1 and "README.md:1: small.nme is '9.99'" in checked.stderr
    assert run("--write").returncode == 0
    assert run("--check").returncode == 0
    assert "README.md:1" in run().stdout
