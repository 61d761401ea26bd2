"""Every public name outside the command line has a docstring; the API reference is made from them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import jvcr

PACKAGE = Path(jvcr.__file__).parent


def undocumented(module: str, tree: ast.Module) -> Iterator[str]:
    """Public modules, classes, functions and methods without a docstring; functions inside functions do not count."""
    if not ast.get_docstring(tree):
        yield module

    def inside(node: ast.Module | ast.ClassDef, place: str) -> Iterator[str]:
        for child in node.body:
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and child.name[0] != "_":
                if not ast.get_docstring(child):
                    yield f"{place}.{child.name}"
                if isinstance(child, ast.ClassDef):
                    yield from inside(child, f"{place}.{child.name}")

    yield from inside(tree, module)


def test_what_counts_as_undocumented() -> None:
    source = '''"""A module."""
def documented():
    """Yes."""
    def inner(): ...
def bare(): ...
def _private(): ...
class Bare:
    def method(self): ...
    def __len__(self): ...
'''
    assert list(undocumented("m", ast.parse(source))) == ["m.bare", "m.Bare", "m.Bare.method"]
    assert list(undocumented("m", ast.parse("x = 1"))) == ["m"]


def test_every_public_name_has_a_docstring() -> None:
    missing: list[str] = []
    checked = 0
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        # The command line is documented by --help; PyInstaller's hook is not public API.
        if "cli" not in parts and "__pyinstaller" not in parts:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            missing += undocumented(".".join(parts).removesuffix(".__init__"), tree)
            checked += 1
    assert checked > 50
    assert not missing, f"without a docstring: {', '.join(missing)}"
