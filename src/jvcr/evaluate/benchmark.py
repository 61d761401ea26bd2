"""Shared by all benchmarks: the report, progress callbacks, and labels used in several tables."""

from __future__ import annotations

import datetime
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from jvcr.metrics import Interval
from jvcr.report import NONE, Table

BINS = ("[0,30]°", "(30,60]°", "over 60°")
"""Yaw bins, as table headers."""

PUBLISHED_POINTS = 68
"""Number of landmarks in published AFLW2000-3D results."""

NO_DEPTH = "not measurable: no depth"
OTHER_MARKUP = "not measurable: not the 68 points"
NO_FACE = "not measurable: every face was missed"

Progress = Callable[[str, int, int], object]
"""Called as ``progress(stage, done, total)``: with ``done`` = 0 when a stage begins, then after each step."""

_Item = TypeVar("_Item")


class BenchmarkReport(ABC):
    """The result of one benchmark, as tables, text, Markdown and JSON."""

    @abstractmethod
    def tables(self) -> list[Table]:
        """All results, as text tables."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """JSON-able. Errors are ratios; NaN (an empty bin or a missed face) becomes None."""

    def to_text(self) -> str:
        """All tables, formatted for a terminal."""
        return "\n\n".join(table.to_text() for table in self.tables())

    def to_markdown(self) -> str:
        """All tables as Markdown, with a newline at the end."""
        return "\n\n".join(table.to_markdown() for table in self.tables()) + "\n"


def no_progress(stage: str, done: int, total: int) -> None:
    """A ``Progress`` callback that does nothing."""


def counted(items: Iterable[_Item], stage: str, total: int, progress: Progress) -> Iterator[_Item]:
    """Yield the items, and report each as done when the next one is requested."""
    progress(stage, 0, total)
    for done, item in enumerate(items, 1):
        yield item
        progress(stage, done, total)


def today() -> str:
    """Today's date, ISO 8601."""
    return datetime.date.today().isoformat()


def without_nan(value: Any) -> Any:
    """A copy with None for every float that JSON cannot represent."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def span(bounds: Interval) -> str:
    """Format an interval of ratios in percent."""
    return NONE if bounds.low != bounds.low else f"{100 * bounds.low:.2f} to {100 * bounds.high:.2f}"


def read_names(path: Path) -> frozenset[str]:
    """Names of images from a text file, one per line.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is empty.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected names of images, one per line")
    names = frozenset(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    if not names:
        raise ValueError(f"{path}: is empty; expected names of images, one per line")
    return names
