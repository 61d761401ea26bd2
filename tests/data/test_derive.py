from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jvcr.data.derive import boxed_samples, converted_points, derived, derived_points
from jvcr.data.sample import Sample
from jvcr.data.table import Table
from jvcr.frames import Box
from jvcr.markups.file import markup_from
from jvcr.markups.markup import INDICES_66_IN_68, MARKUP_66, MARKUP_68, Derivation, Markup, subset

MakeHead = Callable[..., np.ndarray]
MakeTable = Callable[..., Path]


def test_a_table_of_68_points_becomes_one_of_21(make_table: MakeTable, tmp_path: Path) -> None:
    table = Table(make_table(tmp_path, (10, -40, 70)), "train")
    before = table.points.copy()
    few = derived(table, markup_from("21"))
    assert few.points.shape == (3, 21, 3)
    assert (few.names, few.images) == (table.names, table.images)
    np.testing.assert_array_equal(few.yaw_deg, table.yaw_deg)
    # The right eye's centre is the mean of its four lids; x and y stay where they are.
    np.testing.assert_allclose(few.points[2, 7, :2], table.points[2, [37, 38, 40, 41], :2].mean(axis=0), atol=1e-4)
    # z is measured from the mean of the 21 points, not of the 68.
    np.testing.assert_allclose(few.points[..., 2].mean(axis=1), 0, atol=1e-5)
    chin_to_nose = table.points[:, 8, 2] - table.points[:, 30, 2]
    np.testing.assert_allclose(few.points[:, 20, 2] - few.points[:, 14, 2], chin_to_nose, atol=1e-4)
    sample = few[1]
    assert (sample.name, sample.markup.name, sample.points_img.shape) == ("face1", "aflw-like-21", (21, 3))
    np.testing.assert_array_equal(table.points, before)
    assert table.markup == MARKUP_68


@pytest.mark.parametrize("name", ["66", "21", "200"])
def test_mirroring_and_deriving_may_change_places(name: str) -> None:
    markup = markup_from(name)
    points = np.random.default_rng(3).normal(size=(68, 2)).astype(np.float32)
    first = derived_points(points, MARKUP_68, markup)[list(markup.mirror)]
    np.testing.assert_allclose(derived_points(points[list(MARKUP_68.mirror)], MARKUP_68, markup), first, atol=1e-6)


def test_a_table_of_a_markup_of_its_own(make_table: MakeTable, make_head: MakeHead, tmp_path: Path) -> None:
    table = Table(make_table(tmp_path, (0, 10), points=np.stack([make_head(0)[:5], make_head(10)[:5]])), "train")
    five = Markup("five", 5, (1, 0, 2, 3, 4), {}, frozenset(), (0, 1))
    assert derived(table, five)[1].markup == five
    with pytest.raises(
        ValueError, match=r"the table has 5 points and does not name its markup; markup '3dfaw-66' has 66"
    ):
        derived(table, MARKUP_66)


def test_what_cannot_be_derived_is_named(make_table: MakeTable, tmp_path: Path) -> None:
    table = Table(make_table(tmp_path, (0, 10)), "train")
    five = Markup("five", 5, (1, 0, 2, 3, 4), {}, frozenset(), (0, 1))
    with pytest.raises(ValueError, match=r"'five' \(5 points\) cannot be made from 'ibug-68' .* no other markup"):
        derived(table, five)
    with pytest.raises(ValueError, match=r"expected the 66 points of markup '3dfaw-66', got shape \(68, 3\)"):
        derived_points(table.points[0], MARKUP_66, MARKUP_66)


def test_what_is_not_marked_stays_so(make_head: MakeHead) -> None:
    flat, hidden = make_head(0), make_head(20)
    flat[:, 2] = np.nan
    hidden[8] = np.nan
    first, second = (derived_points(points, MARKUP_68, markup_from("21")) for points in (flat, hidden))
    assert np.isnan(first[:, 2]).all() and np.isfinite(first[:, :2]).all()
    assert np.flatnonzero(np.isnan(second).any(axis=1)).tolist() == [20]
    assert np.nanmean(second[:, 2]) == pytest.approx(0, abs=1e-5)


def test_points_of_a_part_and_of_what_is_made_from_others() -> None:
    points = np.arange(2 * 71 * 3, dtype=np.float32).reshape(2, 71, 3)
    from_71 = converted_points(points, markup_from("71"), MARKUP_68)
    assert from_71 is not None
    np.testing.assert_array_equal(from_71, points[:, :68])
    from_68 = converted_points(points[:, :68], MARKUP_68, MARKUP_66)
    assert from_68 is not None
    np.testing.assert_array_equal(from_68[..., :2], points[:, list(INDICES_66_IN_68), :2])
    assert converted_points(points[:, :66], MARKUP_66, MARKUP_68) is None


def test_points_that_are_made_from_the_same_third_markup() -> None:
    points = np.random.default_rng(4).normal(size=(2, 68, 2)).astype(np.float32)
    few = markup_from("21")
    got = converted_points(derived_points(points, MARKUP_68, MARKUP_66), MARKUP_66, few)
    assert got is not None
    np.testing.assert_allclose(got, derived_points(points, MARKUP_68, few), atol=1e-6)
    # The 66 lack a landmark that this one is made from.
    inner = Markup("inner", 2, (1, 0), {}, frozenset(), (0, 1), derivations={"ibug-68": Derivation.picking((60, 64))})
    assert converted_points(points[:, :66], MARKUP_66, inner) is None


def test_the_box_of_the_weights_landmarks(make_head: MakeHead) -> None:
    image, points = np.zeros((90, 100, 3), np.uint8), make_head(20)
    no_jaw = subset(MARKUP_68, tuple(range(17, 68)), "no jaw")
    whole = Sample("whole", image, points)
    (sample,) = boxed_samples([whole], no_jaw)
    assert sample.box == Box.around(points[17:])
    assert sample.box.height < 0.9 * whole.box.height
    # 66 points say nothing about 68: the labels' own box stays.
    less = Sample("less", image, points[:66], markup=MARKUP_66)
    assert list(boxed_samples([less], MARKUP_68)) == [less]


def test_what_is_taught_and_marked_follows_the_landmarks(make_table: MakeTable, tmp_path: Path) -> None:
    marks = np.random.default_rng(0).normal(size=(1, 68, 2)).astype(np.float32)
    marks[0, 37] = np.nan
    visibility = np.zeros((1, 68), np.int8)
    visibility[0, [38, 54, 8]] = (1, 2, -1)
    make_table(tmp_path, (10,), openings=np.array(["model"]), hand2d=marks, visibility=visibility)
    few = derived(Table(tmp_path, "train"), markup_from("21"))
    eye, inner_corner, mouth, right_corner, chin = 7, 8, 18, 19, 20
    # The eye's centre is the mean of four lids, which is right though the gap between them is not; a corner is not.
    assert few.taught[0, [eye, inner_corner, mouth, right_corner]].tolist() == [True, False, True, True]
    assert np.isnan(few.hand2d[0, eye]).all()
    np.testing.assert_array_equal(few.hand2d[0, right_corner], marks[0, 54])
    assert few.visibility[0, [eye, inner_corner, right_corner, chin]].tolist() == [1, 0, 2, -1]
    assert few[0].hand2d.shape == (21, 2) and few[0].taught.shape == (21,)
