from __future__ import annotations

import gzip
import json
import multiprocessing
import pickle
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jvcr.data.table import Table
from jvcr.data.tars import OnDemand, tar_members
from jvcr.images import ImageError
from jvcr.markups.markup import INDICES_66_IN_68, MARKUP_66, MARKUP_68, subset

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
    with pytest.raises(FileNotFoundError, match=r"nobody is in no \*\.tar of .*; 1 of 3 images are missing"):
        Table(tmp_path, "train")


def test_landmark_that_is_not_finite_is_named(make_table: MakeTable, make_head: MakeHead, tmp_path: Path) -> None:
    points = np.stack([make_head(0), make_head(10)])
    points[1, 7, 2] = np.nan
    make_table(tmp_path, (0, 10), points=points)
    with pytest.raises(ValueError, match=r"row face1 has a landmark that is not finite"):
        Table(tmp_path, "train")


# --- Optional arrays


def test_stored_arrays_are_read(make_table: MakeTable, tmp_path: Path) -> None:
    box = np.array([[1, 2, 30, 40], [np.nan] * 4])
    more = {"group": np.array(["p", "q"]), "provenance": np.array(["by hand", ""]), "box": box}
    make_table(tmp_path, (10, -40), yaw_deg=np.array([12.5, np.nan]), origin=np.array([[5, 6, 2], [0, 0, 1]]), **more)
    table = Table(tmp_path, "train")
    first, second = table[0], table[1]
    assert (first.group, first.provenance, first.split, first.yaw_deg) == ("p", "by hand", "train", 12.5)
    assert first.given_box is not None
    assert (first.given_box.to_list(), second.given_box) == ([1, 2, 30, 40], None)
    # Where no yaw is stored, it is that of the landmarks.
    assert second.yaw_deg == pytest.approx(-40, abs=1e-3)
    np.testing.assert_array_equal(table.origin, [[5, 6, 2], [0, 0, 1]])


def test_without_them_a_table_reads_as_before(make_table: MakeTable, tmp_path: Path) -> None:
    table = Table(make_table(tmp_path, (10,)), "train")
    sample = table[0]
    assert (sample.group, sample.provenance, sample.given_box, table.markup) == ("", "", None, MARKUP_68)
    assert np.isnan(table.origin).all()


def test_all_splits(make_table: MakeTable, tmp_path: Path) -> None:
    make_table(tmp_path, (10, -40, 70), splits=("train", "val", "test"))
    table = Table(tmp_path, None)
    assert (table.names, table.splits) == (["face0", "face1", "face2"], ["train", "val", "test"])


def test_markups(make_table: MakeTable, make_head: MakeHead, tmp_path: Path) -> None:
    head = make_head(10)
    five = subset(MARKUP_68, (36, 45, 30, 48, 54), "five")
    for name, points, stored, expected in (
        ("66", head[list(INDICES_66_IN_68)], None, MARKUP_66),
        ("5", head[:5], five, five),
    ):
        (tmp_path / name).mkdir()
        text = None if stored is None else np.array(json.dumps(stored.to_dict()))
        table = Table(make_table(tmp_path / name, (10,), points=points[None], markup=text), "train")
        assert table.markup == expected
        assert table[0].markup == expected
    (tmp_path / "none").mkdir()
    make_table(tmp_path / "none", (10,), points=head[None, :5])
    table = Table(tmp_path / "none", "train")
    with pytest.raises(
        ValueError, match=r"labels\.npz: 5 points a face; .* Give a markup: .* or the array markup of a table"
    ):
        _ = table.markup
    assert Table(tmp_path / "none", "train", markup=five).markup == five


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "array markup is not the JSON"), (json.dumps(MARKUP_66.to_dict()), "68 points a face, but")],
)
def test_a_markup_that_does_not_fit(make_table: MakeTable, tmp_path: Path, text: str, message: str) -> None:
    make_table(tmp_path, (10,), markup=np.array(text))
    with pytest.raises(ValueError, match=rf"labels\.npz: {message}"):
        Table(tmp_path, "train")


# --- Tables larger than memory

# A face of the fixture takes 100 · 90 · 3 = 27,000 bytes.


def test_large_tables_are_decoded_on_demand(make_table: MakeTable, tmp_path: Path) -> None:
    make_table(tmp_path, (0, 10, 20))
    held = Table(tmp_path, "train", memory_gb=81_000e-9)
    assert isinstance(held.images, list)
    on_demand = Table(tmp_path, "train", memory_gb=80_999e-9)
    assert isinstance(on_demand.images, OnDemand)
    copied = pickle.loads(pickle.dumps(on_demand))
    assert len(pickle.dumps(on_demand)) < 27_000
    for row in range(3):
        for table in (on_demand, copied):
            np.testing.assert_array_equal(table[row].image, held[row].image)
            np.testing.assert_array_equal(table[row].points_img, held[row].points_img)
    assert len(on_demand.images[1:]) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="training forks its workers on Linux only")
def test_forked_workers_share_the_files(make_table: MakeTable, tmp_path: Path) -> None:
    make_table(tmp_path, tuple(range(40)))
    held, on_demand = Table(tmp_path, "train"), Table(tmp_path, "train", memory_gb=0)
    rows = [row % 40 for row in range(200)]
    with multiprocessing.get_context("fork").Pool(3) as pool:
        images = pool.map(on_demand.images.__getitem__, rows, chunksize=1)
    for row, image in zip(rows, images, strict=True):
        np.testing.assert_array_equal(image, held[row].image)


def test_a_damaged_image_is_named_when_it_is_met(make_table: MakeTable, tmp_path: Path) -> None:
    make_table(tmp_path, (0, 10, 20))
    member = next(member for member in tar_members(tmp_path / "faces.tar") if member.name == "face1.webp")
    with (tmp_path / "faces.tar").open("r+b") as file:
        file.seek(member.offset)
        file.write(b"\0" * member.size)
    with pytest.raises(ImageError, match=r"faces\.tar: face1\.webp: not an image"):
        Table(tmp_path, "train")
    table = Table(tmp_path, "train", memory_gb=0)
    assert table[0].image.shape == (90, 100, 3)
    with pytest.raises(ImageError, match=r"faces\.tar: face1\.webp: not an image"):
        table[1]
    with (tmp_path / "faces.tar").open("r+b") as file:
        file.truncate(member.offset + 5)
    with pytest.raises(ImageError, match=r"faces\.tar: face1\.webp: the tar file ends before"):
        table[1]
    (tmp_path / "faces.tar").unlink()
    with pytest.raises(ImageError, match=r"faces\.tar: face0\.webp: cannot be read"):
        table[0]


def test_compressed_tar_files_are_refused(make_table: MakeTable, tmp_path: Path) -> None:
    make_table(tmp_path, (0, 10))
    path = tmp_path / "faces.tar"
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(ValueError, match=r"faces\.tar: not an uncompressed tar file, or damaged"):
        Table(tmp_path, "train")


# --- Openings, hand marks, visibility


def test_openings_of_a_face_model_teach_neither_lids_nor_inner_lips(make_table: MakeTable, tmp_path: Path) -> None:
    make_table(tmp_path, (10, -40, 70), openings=np.array(["hand", "model", ""]))
    table = Table(tmp_path, "train")
    assert table.openings == ["hand", "model", ""]
    untaught = np.flatnonzero(~table.taught[1]).tolist()
    assert untaught == [*range(36, 48), *range(60, 68)]
    assert table.taught[[0, 2]].all()
    assert table[1].openings == "model" and not table[1].taught[36]


def test_hand_marks_and_visibility_are_read(make_table: MakeTable, tmp_path: Path) -> None:
    marks = np.full((2, 68, 2), np.nan, np.float32)
    marks[1, 30] = (50.5, 44)
    visibility = np.full((2, 68), -1, np.int8)
    visibility[1, :3] = (0, 1, 2)
    make_table(tmp_path, (10, -40), hand2d=marks, visibility=visibility)
    table = Table(tmp_path, "train")
    np.testing.assert_array_equal(table[1].hand2d, marks[1])
    np.testing.assert_array_equal(table[1].visibility, visibility[1])
    assert np.isnan(table[0].hand2d).all()


def test_without_them_nothing_is_known_and_everything_taught(make_table: MakeTable, tmp_path: Path) -> None:
    sample = Table(make_table(tmp_path, (10,)), "train")[0]
    assert sample.openings == "" and sample.taught.all()
    assert np.isnan(sample.hand2d).all() and (sample.visibility == -1).all()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"openings": np.array(["hand", "guess"])},
            "row face1 has openings 'guess'; expected hand, mesh, exact, model",
        ),
        ({"visibility": np.full((2, 68), 3, np.int8)}, "row face0 has a visibility of 3; expected -1, 0, 1, 2"),
        (
            {"hand2d": np.zeros((2, 67, 2), np.float32)},
            r"array hand2d is float32 of shape \(2, 67, 2\); expected numbers of shape \(2, 68, 2\)",
        ),
    ],
)
def test_wrong_ones_are_named(
    make_table: MakeTable, tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    make_table(tmp_path, (10, -40), **arrays)
    with pytest.raises(ValueError, match=message):
        Table(tmp_path, "train")
