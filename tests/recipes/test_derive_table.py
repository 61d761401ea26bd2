from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jvcr.data.table import Table

SCRIPT = Path(__file__).parents[2] / "recipes" / "derive_table.py"


@pytest.fixture
def folders(make_table: Callable[..., Path], tmp_path: Path) -> tuple[Path, Path]:
    """Rows a to d, of which d is held out; and rows e and f."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    kinds = {"kind": np.array(["exact"] * 4), "group": np.array(["p", "q", "r", "s"])}
    make_table(first, (5.0, 40.0, -70.0, 0.0), ["train"] * 3 + ["val"], ["a", "b", "c", "d"], **kinds)
    make_table(second, (30.0, 60.0), ["train", "val"], ["e", "f"], group=np.array(["t", "u"]))
    return first, second


def derive(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_rows_leave_and_come(folders: tuple[Path, Path], tmp_path: Path) -> None:
    first, second = folders
    (tmp_path / "names.txt").write_text("b\n")
    done = derive(first, tmp_path / "out", "--without", tmp_path / "names.txt", "--add", second)
    assert done.returncode == 0, done.stderr
    table = Table(tmp_path / "out", "train")
    assert table.names == ["a", "c", "e"]
    np.testing.assert_array_equal(table[2].image, Table(second, "train")[0].image)
    np.testing.assert_allclose(table[1].points_img, Table(first, "train")[2].points_img)
    assert Table(tmp_path / "out", "val").names == ["d"]


def test_labels_are_mixed(folders: tuple[Path, Path], tmp_path: Path) -> None:
    first, _ = folders
    done = derive(first, tmp_path / "out", "--weights", "small", "--share", "0.5")
    assert done.returncode == 0, done.stderr
    mixed, before = Table(tmp_path / "out", "train"), Table(first, "train")
    assert np.abs(mixed.points - before.points).max() > 0.01
    np.testing.assert_allclose(Table(tmp_path / "out", "val").points, Table(first, "val").points)
    # A share of 1 takes only the predictions: twice as far from the labels.
    assert derive(first, tmp_path / "all", "--weights", "small", "--share", "1").returncode == 0
    all_own = Table(tmp_path / "all", "train").points
    np.testing.assert_allclose(mixed.points, (all_own + before.points) / 2, atol=1e-3)


def test_mistakes_are_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    first, second = folders
    (tmp_path / "names.txt").write_text("b\nz\n")
    done = derive(first, tmp_path / "out", "--without", tmp_path / "names.txt")
    assert done.returncode != 0 and "1 of its 2 names are not rows of split train" in done.stderr
    with np.load(second / "labels.npz") as file:
        np.savez(second / "labels.npz", **{**file, "group": np.array(["s", "u"])})
    done = derive(first, tmp_path / "out", "--add", second)
    assert done.returncode != 0 and "group s is in split val" in done.stderr
