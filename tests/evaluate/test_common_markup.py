from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jvcr.data.derive import derived_points
from jvcr.evaluate.aflw2000 import report_of
from jvcr.evaluate.aflw2000_scores import Cell, Options
from jvcr.evaluate.aflw2000_truth import Truth, read_truth
from jvcr.evaluate.common_markup import in_one_markup
from jvcr.evaluate.systems import System
from jvcr.markups.file import markup_from
from jvcr.markups.markup import INDICES_66_IN_68, MARKUP_66, MARKUP_68, Markup

FIVE = Markup("five", 5, (1, 0, 2, 3, 4), {}, frozenset(), (0, 1))


@pytest.fixture(scope="module")
def truth(benchmark_folder: Path) -> Truth:
    return read_truth(benchmark_folder)


def system_of(truth: Truth, name: str, by: float) -> System:
    """The true landmarks of a markup, ``by`` pixels to the right."""
    markup = markup_from(name)
    if name == "71":
        points = np.concatenate([truth.original_img, truth.original_img[:, :3] + 50], axis=1)
    else:
        points = derived_points(truth.original_img, MARKUP_68, markup)
    return System(name, "true boxes", points + np.array([by, 0, 0], np.float32), markup=markup)


@pytest.mark.parametrize(
    ("names", "common"),
    [
        (("68",), "ibug-68"),
        (("71", "68"), "ibug-68"),
        (("68", "66"), "3dfaw-66"),
        (("66", "71"), "3dfaw-66"),
        (("21", "68"), "aflw-like-21"),
        (("68", "66", "21"), "aflw-like-21"),
    ],
)
def test_the_largest_markup_that_all_have(truth: Truth, names: tuple[str, ...], common: str) -> None:
    systems, labels = in_one_markup([system_of(truth, n, 2.0 + i) for i, n in enumerate(names)], truth)
    n_points = markup_from(common).n_points
    assert labels.markup.name == common
    assert labels.original_img.shape == (5, n_points, 3)
    assert not isinstance(labels.reannotated_img, str) and labels.reannotated_img.shape == (5, n_points, 2)
    for by, system in enumerate(systems, 2):
        assert system.markup.name == common
        # The same landmarks in the same order: all that remains is the shift.
        expected = labels.original_img[..., :2] + np.array([by, 0], np.float32)
        np.testing.assert_allclose(system.points_img[..., :2], expected, atol=1e-3)


def test_systems_of_66_and_68_points_are_scored_side_by_side(truth: Truth) -> None:
    systems, labels = in_one_markup([system_of(truth, "68", 3), system_of(truth, "66", 3)], truth)
    report = report_of(systems, labels, Options(draws=100))
    first, second = (score.cell("NME") for score in report.scores)
    assert isinstance(first, Cell) and isinstance(second, Cell)
    assert first.table.bins == pytest.approx(second.table.bins, rel=1e-4)
    kept = truth.original_img[:, list(INDICES_66_IN_68), :2]
    np.testing.assert_array_equal(labels.original_img[..., :2], kept)
    assert labels.markup == MARKUP_66


def test_no_common_markup_is_an_error_that_names_them(truth: Truth) -> None:
    five = System("five", "true boxes", truth.original_img[:, :5], markup=FIVE)
    with pytest.raises(ValueError, match="landmarks of ibug-68, five and labels of ibug-68 have no markup in common"):
        in_one_markup([system_of(truth, "68", 1), five], truth)
