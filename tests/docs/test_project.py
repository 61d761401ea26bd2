"""Statements about versions, the paper and the checks agree wherever they are made."""

from __future__ import annotations

import re
import stat
import sys
import tomllib
from pathlib import Path

import pytest

import jvcr

ROOT = Path(__file__).parents[2]
yaml = pytest.importorskip("yaml", reason="PyYAML comes with the extra docs")


def test_versions_agree() -> None:
    released = re.findall(r"^## (\d+\.\d+\.\d+) \(\d{4}-\d\d-\d\d\)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert released[0] == jvcr.__version__
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))["version"] == jvcr.__version__
    assert released == sorted(released, key=lambda version: [int(part) for part in version.split(".")], reverse=True)


def test_changelog_has_only_dated_or_unreleased_sections() -> None:
    headings = re.findall(r"^## .*$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    known = r"## \d+\.\d+\.\d+ \((unreleased|\d{4}-\d\d-\d\d)\)"
    assert headings and all(re.fullmatch(known, heading) for heading in headings)
    assert sum("unreleased" in heading for heading in headings) <= 1


def test_the_paper_is_cited() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))["preferred-citation"]
    assert [author["family-names"] for author in cited["authors"]] == ["Zhang", "Li", "Sun"]
    assert cited["year"] == 2018 and cited["identifiers"][0]["value"] == "arXiv:1801.09242"


def test_workflow_only_calls_scripts_of_the_repository() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert sorted(commands) == [".ci/core-tests", ".ci/run"]
    for command in commands:
        assert (ROOT / command).read_text("utf-8").startswith("#!/usr/bin/env bash\n")
        if sys.platform != "win32":
            assert (ROOT / command).stat().st_mode & stat.S_IXUSR


def test_workflow_covers_the_classifiers() -> None:
    matrix = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))["jobs"]["core"]["strategy"][
        "matrix"
    ]
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["classifiers"]
    versions = [text.rsplit(" ", 1)[1] for text in classifiers if re.search(r":: 3\.\d+$", text)]
    assert matrix["python"] == versions
    systems = {"ubuntu-latest": "POSIX :: Linux", "macos-latest": "MacOS", "windows-latest": "Microsoft :: Windows"}
    assert [f"Operating System :: {systems[name]}" in classifiers for name in matrix["os"]] == [True] * 3


@pytest.mark.parametrize(
    "form", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem
)
def test_issue_forms_are_whole(form: Path) -> None:
    values = yaml.safe_load(form.read_text("utf-8"))
    if form.stem == "config":
        assert values == {"blank_issues_enabled": True}
        return
    assert {"name", "description", "labels", "body"} <= values.keys()
    for part in values["body"]:
        assert part["type"] in ("markdown", "textarea", "input", "dropdown", "checkboxes")
        assert ("value" if part["type"] == "markdown" else "label") in part["attributes"]
