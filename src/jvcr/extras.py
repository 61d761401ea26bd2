"""Optional packages."""

from __future__ import annotations

from typing import Any


class MissingExtra(ImportError):
    """A package of an optional extra is not installed; the message says how to install it."""


def missing(extra: str, error: ModuleNotFoundError) -> MissingExtra:
    """The error to raise in place of ``error``: ``raise missing("demo", error) from error``."""
    return MissingExtra(f'this needs the package {error.name}: in a clone of jvcr, pip install ".[{extra}]"')


def import_figure() -> Any:
    """matplotlib's ``Figure`` class; raises MissingExtra without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise missing("train", error) from error
    return Figure
