from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jvcr.evaluate.systems import System
from jvcr.evaluate.views import Views, read_views, score_views, views_table
from jvcr.markups.markup import INDICES_66_IN_68
from jvcr.metrics import YawTable

MakeTable = Callable[..., Path]
YAWS_DEG = (0.0, 35.0, 70.0, 10.0, -80.0, 20.0, 30.0)
NAMES = ["ann_1_0", "ann_1_1", "ann_1_2", "ann_2_0", "ann_2_1", "single_0", "ann_1_3"]
# Two faces of one photo share its group.
GROUPS = np.array(["ann"] * 5 + ["single", "ann"])
SOURCES = np.array(["300wlp-ibug"] * 6 + ["aflw"])


@pytest.fixture(scope="module")
def views(make_table: MakeTable, tmp_path_factory: pytest.TempPathFactory) -> Views:
    folder = tmp_path_factory.mktemp("views")
    return read_views(make_table(folder, YAWS_DEG, ["val"] * 7, names=NAMES, group=GROUPS, source=SOURCES))


def means(table: YawTable | str) -> float:
    assert isinstance(table, YawTable)
    return table.image_mean


def test_only_faces_with_several_views_are_read(views: Views) -> None:
    assert views.names == NAMES[:5]
    assert views.faces == ["ann_1"] * 3 + ["ann_2"] * 2
    np.testing.assert_allclose(views.yaw_deg, YAWS_DEG[:5], atol=1e-3)


def test_a_perfect_prediction_has_no_error(views: Views) -> None:
    whole, less = score_views(System("truth", "true boxes", views.target_img), views, draws=100)
    assert (whole.n_points, less.n_points) == (68, 66)
    # Three views see two others each, two see one: 8 pairs.
    assert (whole.faces, whole.views, whole.pairs, whole.missed) == (2, 5, 8, 0)
    for score in (whole, less):
        assert means(score.cvgtce) == pytest.approx(0, abs=1e-5)
        assert means(score.gte) == 0


def test_a_wrong_head_pose_costs_gte_but_no_cvgtce(views: Views) -> None:
    # Every view gets the first one's landmarks: right shape, wrong pose.
    system = System("always frontal", "true boxes", np.repeat(views.target_img[:1], 5, axis=0))
    whole, _ = score_views(system, views, draws=100)
    assert means(whole.cvgtce) == pytest.approx(0, abs=1e-5)
    assert means(whole.gte) > 0.2


def test_a_flat_face_by_hand(views: Views) -> None:
    points = views.target_img.copy()
    points[..., 0] += 3
    whole, less = score_views(System("shifted", "true boxes", points), views, draws=100)
    # 3 px over the 30 px between the eye corners.
    assert means(whole.gte) == pytest.approx(0.1, rel=1e-4)
    assert means(less.gte) == pytest.approx(0.1, rel=1e-4)
    assert whole.gte_interval is not None and whole.gte_interval.low == pytest.approx(0.1, rel=1e-4)
    points[..., 2] *= 0.2
    whole, _ = score_views(System("flat", "true boxes", points), views, draws=100)
    assert means(whole.cvgtce) > 0.05


def test_66_points_missed_views_and_no_depth(views: Views) -> None:
    points = views.target_img[:, list(INDICES_66_IN_68)].copy()
    points[1] = np.nan
    (only,) = score_views(System("66", "true boxes", points), views, draws=100)
    assert (only.n_points, only.missed, only.pairs) == (66, 1, 6)
    (flat,) = score_views(System("flat", "true boxes", points[..., :2]), views, draws=100)
    assert flat.cvgtce == flat.gte == "not measurable: no depth"
    with pytest.raises(ValueError, match="five: 5 landmarks"):
        score_views(System("five", "true boxes", points[:, :5]), views)
    table = views_table([only, flat], 0.00123)
    assert all(len(row) == len(table.header) for row in table.rows)
    assert "not measurable: no depth" in table.to_text()
    assert "one rigid shape within 0.123" in table.to_text()


def test_tables_without_views_are_refused(make_table: MakeTable, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="several views of one face"):
        read_views(make_table(tmp_path, YAWS_DEG, ["val"] * 7, names=NAMES))
    for names in ([f"face{i}" for i in range(7)], [f"face_{i}_0" for i in range(7)]):
        with pytest.raises(ValueError, match="several views of one face"):
            read_views(make_table(tmp_path, YAWS_DEG, ["val"] * 7, names=names, source=SOURCES))


def test_labels_of_different_faces_are_refused(
    make_table: MakeTable, make_head: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    points = np.stack([make_head(yaw) for yaw in YAWS_DEG]) * np.array([1, 1, -1], np.float32)
    points[4, :17, 1] += 6  # a longer jaw
    folder = make_table(tmp_path, YAWS_DEG, ["val"] * 7, names=NAMES, source=SOURCES, points=points)
    with pytest.raises(
        ValueError, match=r"labels\.npz: the labels of face 'ann_2' \(2 views\) are not one rigid shape"
    ):
        read_views(folder)


def test_the_truth_says_how_rigid_it_is(
    make_table: MakeTable, make_head: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    points = np.stack([make_head(yaw) for yaw in YAWS_DEG]) * np.array([1, 1, -1], np.float32)
    points[1, 8, 1] += 3
    views = read_views(make_table(tmp_path, YAWS_DEG, ["val"] * 7, names=NAMES, source=SOURCES, points=points))
    # One landmark of 68 is off by a tenth of the eye distance, and the alignment spreads it over the others.
    assert 0.5 * 0.1 / 68 < views.truth_cvgtce < 3 * 0.1 / 68
