from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jvcr.images import read_image
from jvcr.train.records import Records


def read(path: Path) -> list[str]:
    return path.read_text().split()


def test_rows_beyond_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    records = Records(tmp_path, 0, 0)
    for samples in (10, 20, 30):
        records.losses({"samples": samples, "loss": samples / 100})
    records.validation({"samples": 20, "nme": 0.5})
    records.close()
    # It goes on from 20; the validation there was not finished.
    Records(tmp_path, 20, 10).close()
    assert read(tmp_path / "losses.csv") == ["samples,loss", "10,0.1", "20,0.2"]
    assert read(tmp_path / "log.csv") == ["samples,nme"]


@pytest.mark.parametrize("left", ["", "samples,loss\n10,0.1\n20,", "samples,loss\n10,0.1\nnonsense,3\n"])
def test_what_a_killed_run_leaves_is_no_obstacle(tmp_path: Path, left: str) -> None:
    (tmp_path / "losses.csv").write_text(left)
    records = Records(tmp_path, 10, 0)
    records.losses({"samples": 20, "loss": 0.25})
    records.close()
    expected = ["samples,loss", *(["10,0.1"] if "10," in left else []), "20,0.25"]
    assert read(tmp_path / "losses.csv") == expected


def test_an_unchanged_file_is_not_written_again(tmp_path: Path) -> None:
    (tmp_path / "losses.csv").write_text("samples,loss\n10,0.1\n")
    (tmp_path / "losses.csv").chmod(0o444)
    before = (tmp_path / "losses.csv").stat().st_ino
    Records(tmp_path, 10, 0).close()
    assert (tmp_path / "losses.csv").stat().st_ino == before


def test_picture(tmp_path: Path) -> None:
    sheet = np.full((30, 50, 3), 128, np.uint8)
    records = Records(tmp_path, 0, 0)
    records.picture(1234, sheet)
    records.close()
    assert read_image(tmp_path / "pictures" / "000001234.jpg").shape == (30, 50, 3)
