"""A run that dies while it writes its reports leaves the old file or the new one under each name, never a part."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jvcr.cli.evaluate.report_output import show_and_write, text
from jvcr.evaluate.predictions import PredictionSet, write_predictions
from jvcr.images import write_image


class Killed(BaseException):
    """In place of a signal."""


class Report:
    """As little of a report as is written."""

    def to_text(self) -> str:
        return "text"

    def to_markdown(self) -> str:
        return "markdown " * 1000

    def to_dict(self) -> dict[str, Any]:
        return {"numbers": list(range(1000))}


def figure_of(path: Path) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    from jvcr.cli.evaluate.detect import _write_figure

    _write_figure(Figure(figsize=(1, 1)), path)


def reports(folder: Path) -> None:
    pages = {"report.html": text(lambda: "<p>page</p>" * 1000)}
    pictures = {"worst.png": partial(write_image, image=np.zeros((9, 7, 3), np.uint8)), "plot.png": figure_of}
    show_and_write(Report(), folder, folder / "numbers.json", {**pages, **pictures})  # type: ignore[arg-type]


def predictions(folder: Path) -> None:
    found = PredictionSet(["a", "b"], np.zeros((2, 68, 3)))
    write_predictions(folder / "p.npz", found)
    write_predictions(folder / "p.jsonl", found)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("write", [reports, predictions])
def test_a_kill_leaves_the_old_file_or_the_new_one(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "complete").mkdir()
    write(tmp_path / "complete")
    new = contents(tmp_path / "complete")
    old = dict.fromkeys(new, b"old")
    renames = 0
    replace = os.replace

    for deadly in range(len(new)):
        folder = tmp_path / f"killed {deadly}"
        folder.mkdir()
        for name, data in old.items():
            (folder / name).write_bytes(data)

        def killed(source: Any, target: Any, last: int = deadly, folder: Path = folder) -> None:
            nonlocal renames
            # All bytes are beside the file, and none in it.
            assert (folder / Path(target).name).read_bytes() == b"old"
            if renames == last:
                raise Killed
            renames += 1
            replace(source, target)

        renames = 0
        with monkeypatch.context() as patched:
            patched.setattr(os, "replace", killed)
            patched.setattr(Path, "replace", lambda self, target, killed=killed: killed(self, target))
            with pytest.raises(Killed):
                write(folder)
        left = contents(folder)
        assert left.keys() == new.keys()
        assert sum(left[name] != b"old" for name in left) == deadly
        # Files of zip members carry times; their content is compared by size.
        assert all(len(left[name]) == len(new[name]) for name in left if left[name] != b"old")
