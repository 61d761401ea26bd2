from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jvcr.data.table import Table

MakeHead = Callable[..., np.ndarray]
MakeTable = Callable[..., Path]


def test_rows_of_one_split(make_table: MakeTable, make_head: MakeHead, tmp_path: Path) -> None:
    make_table(tmp_path, (10, -40, 70), splits=("train", "val", "train"))
    table = Table(tmp_path, "train")
    assert (len(table), table.names, table.sources) == (2, ["face0", "face2"], ["even", "even"])
    second = table[1]
    assert (second.name, second.weight) == ("face2", 1.0)
    assert second.image.shape == (90, 100, 3)
    # Red, green, blue of the background that was drawn for row 2.
    np.testing.assert_array_equal(second.image[0, 0], [80, 60, 110])
    np.testing.assert_allclose(table.yaw_deg, [10, 70], atol=1e-3)
    assert Table(tmp_path, "val").names == ["face1"]
    np.testing.assert_allclose(second.points_img, make_head(70), atol=1e-4)


def test_depth_is_turned_away_from_the_camera_and_centred(make_table: MakeTable, tmp_path: Path) -> None:
    points = np.arange(2 * 5 * 3, dtype=np.float32).reshape(2, 5, 3)
    # z of the second row: 17, 20, 23, 26, 29, whose mean is 23; the largest was nearest to the camera.
    table = Table(make_table(tmp_path, (0, 10), points=points), "train")
    np.testing.assert_array_equal(table[1].points_img[:, 2], [6, 3, 0, -3, -6])
    np.testing.assert_array_equal(table[1].points_img[:, :2], points[1, :, :2])


def test_images_may_be_spread_over_several_files(make_table: MakeTable, tmp_path: Path) -> None:
    make_table(tmp_path, (0, 10, 20))
    (tmp_path / "faces.tar").rename(tmp_path / "all.tar")
    with tarfile.open(tmp_path / "all.tar") as whole:
        for member in whole:
            with tarfile.open(tmp_path / f"only-{member.name}.tar", "w") as part:
                part.addfile(member, whole.extractfile(member))
    (tmp_path / "all.tar").unlink()
    assert len(Table(tmp_path, "train").images) == 3


def test_a_name_in_two_files_is_refused(make_table: MakeTable, tmp_path: Path) -> None:
    make_table(tmp_path, (0, 10))
    shutil.copy(tmp_path / "faces.tar", tmp_path / "more.tar")
    with pytest.raises(ValueError, match=r"more\.tar: face0 is also in .*faces\.tar"):
        Table(tmp_path, "train")


@pytest.mark.parametrize("weight", [0.0, 1.5, np.nan])
def test_weights_are_checked(make_table: MakeTable, tmp_path: Path, weight: float) -> None:
    make_table(tmp_path, (0, 10), weight=np.array([1.0, weight]))
    with pytest.raises(ValueError, match="row face1 has weight"):
        Table(tmp_path, "train")


def test_yaw_is_unknown_for_another_markup(make_table: MakeTable, make_head: MakeHead, tmp_path: Path) -> None:
    make_table(tmp_path, (0, 10), points=np.stack([make_head(0)[:5], make_head(10)[:5]]))
    table = Table(tmp_path, "train")
    assert table[0].points_img.shape == (5, 3)
    assert np.isnan(table.yaw_deg).all()


def test_missing_labels_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"labels\.npz: no such file"):
        Table(tmp_path, "train")


def test_missing_array_is_named(make_table: MakeTable, tmp_path: Path) -> None:
    make_table(tmp_path, (0, 10), weight=None)
    with pytest.raises(ValueError, match=r"labels\.npz: arrays \['weight'\] are missing"):
        Table(tmp_path, "train")


def test_unknown_split_is_named(make_table: MakeTable, tmp_path: Path) -> None:
    make_table(tmp_path, (0, 10))
    with pytest.raises(ValueError, match=r"labels\.npz: no row has split 'test'"):
        Table(tmp_path, "test")


def test_missing_image_is_named(make_table: MakeTable, tmp_path: Path) -> None:
    make_table(tmp_path, (0, 10, 20), id=np.array(["face0", "nobody", "face2"]))
    with pytest.raises(FileNotFoundError, match=r"1 of 3 images .* nobody"):
        Table(tmp_path, "train")


def test_landmark_that_is_not_finite_is_named(make_table: MakeTable, make_head: MakeHead, tmp_path: Path) -> None:
    points = np.stack([make_head(0), make_head(10)])
    points[1, 7, 2] = np.nan
    make_table(tmp_path, (0, 10), points=points)
    with pytest.raises(ValueError, match=r"row face1 has a landmark that is not finite"):
        Table(tmp_path, "train")
