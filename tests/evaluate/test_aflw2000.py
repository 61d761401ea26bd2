from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jvcr.data.derive import derived_points
from jvcr.evaluate import aflw2000_page
from jvcr.evaluate.aflw2000 import report_of
from jvcr.evaluate.aflw2000_scores import Cell, Curve, Options, common, score
from jvcr.evaluate.aflw2000_truth import NO_AFLW_YAW, NO_REANNOTATED, Truth, read_truth
from jvcr.evaluate.common_markup import in_one_markup
from jvcr.evaluate.pages import draw_pair
from jvcr.evaluate.systems import System, named_apart
from jvcr.markups.markup import INDICES_66_IN_68, MARKUP_66, MARKUP_68
from jvcr.metrics import YawTable

OPTIONS = Options(draws=200, balanced_draws=50)


@pytest.fixture(scope="module")
def truth(benchmark_folder: Path) -> Truth:
    return read_truth(benchmark_folder)


def sizes(truth: Truth) -> np.ndarray:
    """sqrt(w·h) of each true box."""
    extent = np.ptp(truth.original_img[..., :2].astype(np.float64), axis=1)
    return np.sqrt(extent[:, 0] * extent[:, 1])


def shifted(truth: Truth, *by: float, name: str = "shifted") -> System:
    return System(name, "true boxes", truth.original_img + np.array(by, np.float32))


def cell_of(system: System, truth: Truth, options: Options = OPTIONS, **which: str) -> Cell:
    cell = score(system, truth, options).cell(**which)  # type: ignore[arg-type]
    assert isinstance(cell, Cell)
    return cell


def test_truth_is_read_in_our_frame(truth: Truth) -> None:
    assert truth.names == ["image00000", "image00007", "image00014", "image00021", "image00028"]
    np.testing.assert_allclose(truth.fitted_yaw_deg, [5, -20, 45, -50, 75], atol=1e-5)
    np.testing.assert_allclose(truth.pose.landmarks, truth.pose.pose_para, atol=1e-5)
    assert truth.aflw_yaw_deg == NO_AFLW_YAW


def test_means_by_hand(truth: Truth) -> None:
    # Every point is off by (3, 4) px: 5 px over each box's size.
    ratio = 5 / sizes(truth)
    table = cell_of(shifted(truth, 3, 4, 0), truth, error="NME").table
    bins = [ratio[:2].mean(), ratio[2:4].mean(), ratio[4]]
    np.testing.assert_allclose(table.bins, bins, rtol=1e-5)
    assert table.counts == (2, 2, 1)
    assert (table.mean, table.image_mean) == (pytest.approx(np.mean(bins)), pytest.approx(ratio.mean()))
    # The Reannotated points lie 3 px lower: (3, 1) px remain.
    other = cell_of(shifted(truth, 3, 4, 0), truth, error="NME", labels="Reannotated").table
    np.testing.assert_allclose(np.array(other.bins) / bins, math.sqrt(10) / 5, rtol=1e-4)
    # The outer eye corners are 60 px apart in 3D, however the head is turned; a shift in depth costs nothing.
    np.testing.assert_allclose(cell_of(shifted(truth, 0, 6, 50), truth, error="GTE").table.bins, 0.1, rtol=1e-4)
    volume = cell_of(shifted(truth, 3, 4, 50), truth, error="3D NME").table
    np.testing.assert_allclose(volume.bins, bins, rtol=1e-4)


def test_pixel_base_as_published_adds_one_to_the_original_labels_alone(truth: Truth) -> None:
    published = replace(OPTIONS, pixel_base="as-published")
    perfect, one_off = shifted(truth, 0, 0, 0), shifted(truth, 1, 1, 0)
    assert cell_of(perfect, truth, error="NME").table.mean == 0
    got = cell_of(perfect, truth, published, error="NME").table.image_mean
    assert got == pytest.approx((math.sqrt(2) / sizes(truth)).mean(), rel=1e-5)
    assert cell_of(one_off, truth, published, error="NME").table.mean == pytest.approx(0, abs=1e-6)
    for labels in (OPTIONS, published):
        reannotated = cell_of(perfect, truth, labels, error="NME", labels="Reannotated").table.image_mean
        assert reannotated == pytest.approx((3 / sizes(truth)).mean(), rel=1e-5)


def test_a_missed_face_is_in_no_mean_but_in_failures_and_curve(truth: Truth) -> None:
    system = shifted(truth, 3, 4, 0)
    system.points_img[1] = np.nan
    ratio = 5 / sizes(truth)
    got = score(system, truth, replace(OPTIONS, limit=float(ratio[4]) * 0.999))
    cell, curve = got.cell("NME"), got.curves["original"]
    assert isinstance(cell, Cell) and isinstance(curve, Curve)
    assert (got.faces, got.missed, got.missed_by_bin) == (5, 1, (1, 0, 0))
    assert cell.table.counts == (1, 2, 1)
    assert cell.table.bins[0] == pytest.approx(ratio[0], rel=1e-5)
    # The profile's box is the narrowest: its error alone is over the limit; with the missed face, 2 of 5 fail.
    assert ratio[4] == ratio.max()
    assert curve.failure_rate == pytest.approx(0.4)
    assert curve.fractions[-1] == pytest.approx(0.6)
    assert np.isnan(got.per_face["NME", "original"][1])
    everything = System("none", "none", np.full_like(system.points_img, np.nan))
    assert score(everything, truth, OPTIONS).cell("NME") == "not measurable: every face was missed"


def test_without_depth_there_is_no_gte(truth: Truth) -> None:
    got = score(System("flat", "true boxes", truth.original_img[..., :2] + 1), truth, OPTIONS)
    assert isinstance(got.cell("NME"), Cell)
    for error in ("GTE", "3D NME"):
        assert got.cell(error) == "not measurable: no depth"
    assert got.pose == "not measurable: no depth"


def test_what_is_not_given_is_said(make_benchmark: object, tmp_path: Path) -> None:
    folder = make_benchmark(tmp_path / "data", reannotated=False)  # type: ignore[operator]
    rows = "".join(f"image{7 * i:05d},{yaw}\n" for i, yaw in enumerate([70, 80, 10, 1, 2]))
    (tmp_path / "yaw.csv").write_text(f"id,yaw\n{rows}")
    truth = read_truth(folder, tmp_path / "yaw.csv")
    got = score(shifted(truth, 3, 4, 0), truth, OPTIONS)
    assert got.cell("NME", "Reannotated") == NO_REANNOTATED == got.curves["Reannotated"]
    by_aflw = got.cell("NME", "original", "AFLW")
    assert isinstance(by_aflw, Cell) and by_aflw.table.counts == (3, 0, 2)


def test_regions_part_the_nme(truth: Truth) -> None:
    system = System("jaw off", "true boxes", truth.original_img.copy())
    system.points_img[:, :17, 0] += 8
    regions = score(system, truth, OPTIONS).regions["original"]
    assert isinstance(regions, dict)
    jaw = regions.pop("jaw")
    assert jaw.image_mean == pytest.approx((8 / sizes(truth)).mean(), rel=1e-5)
    assert len(regions) == 8
    assert all(isinstance(t, YawTable) and t.image_mean == 0 for t in regions.values())


def test_another_number_of_landmarks_is_refused(truth: Truth) -> None:
    with pytest.raises(ValueError, match="small one: 66 landmarks; this benchmark's labels have 68"):
        score(System("small one", "true boxes", np.zeros((5, 66, 3))), truth, OPTIONS)


def test_the_faces_that_all_found(truth: Truth) -> None:
    first, second = shifted(truth, 3, 4, 0, name="first"), shifted(truth, 6, 8, 0, name="second")
    first.points_img[0] = np.nan
    second.points_img[3] = np.nan
    rows = common([score(s, truth, OPTIONS) for s in (first, second)], truth, OPTIONS)
    ratio = 5 / sizes(truth)
    assert [row.nme.table.counts for row in rows] == [(1, 1, 1), (1, 1, 1)]
    assert rows[0].nme.table.mean == pytest.approx(ratio[[1, 2, 4]].mean(), rel=1e-5)
    assert rows[0].to_first is None
    gap = rows[1].to_first
    assert gap is not None and gap.mean == pytest.approx(ratio[[1, 2, 4]].mean(), rel=1e-5)
    assert gap.interval.low <= gap.mean <= gap.interval.high
    second.points_img[:] = np.nan
    assert common([score(s, truth, OPTIONS) for s in (first, second)], truth, OPTIONS) == []


def test_tables_hold_the_figures_and_say_what_is_missing(truth: Truth) -> None:
    system = shifted(truth, 3, 4, 0)
    report = report_of([system], truth, OPTIONS)
    mean = f"{100 * np.mean(cell_of(system, truth, error='NME').table.bins):.2f}"
    assert mean in report.short_table().to_text()
    text = report.to_markdown()
    assert mean in text and NO_AFLW_YAW in text
    assert "| JVCR, the paper | published | 2.94 | 3.46 | 4.53 | 3.64 ± 0.81 |" in text
    assert report.worst(2)[0][0] == "image00028"
    for table in report.tables():
        assert all(len(row) == len(table.header) for row in table.rows), table.title


def test_names_are_kept_apart(truth: Truth) -> None:
    one = shifted(truth, 0, 0, 0, name="same")
    systems = named_apart([one, one, replace(one, boxes="others"), one])
    assert [system.name for system in systems] == ["same", "same (2)", "same", "same (3)"]


def test_both_outlines_are_drawn(truth: Truth) -> None:
    image = np.zeros((150, 160, 3), np.uint8)
    picture = draw_pair(image, truth.original_img[0] + 20, truth.original_img[0], truth.markup)
    assert picture.shape == (300, 300, 3)
    assert (picture == (60, 220, 60)).all(axis=2).sum() > 200
    assert (picture == (255, 140, 0)).all(axis=2).sum() > 200


def test_a_report_says_how_many_landmarks_were_scored(truth: Truth) -> None:
    few = System("few", "true boxes", derived_points(truth.original_img, MARKUP_68, MARKUP_66), markup=MARKUP_66)
    for system, n_points, name in ((shifted(truth, 3, 4, 0), 68, "ibug-68"), (few, 66, "3dfaw-66")):
        systems, labels = in_one_markup(named_apart([system, system]), truth)
        report = report_of(systems, labels, OPTIONS)
        assert f"Scored on the {n_points} landmarks of markup {name}." in report.introduction
        record = report.to_dict()
        assert (record["markup"], record["n_points"]) == (name, n_points)
        tables = [report.short_table(), *report.tables()]
        errors = [table for table in tables if table.title.startswith(("NME by", "NME on", "GTE", "3D NME", "Cumul"))]
        assert len(errors) == 7 and all(f"{n_points} points" in table.title for table in errors)
        published = {row[0] for table in tables for row in table.rows if "published" in row}
        assert bool(published) == (n_points == 68)


def test_every_table_shows_the_figures_of_its_own_labels(truth: Truth) -> None:
    # Off by 5 px from the original labels, and by sqrt(10) px from the Reannotated ones.
    report = report_of([shifted(truth, 3, 4, 0)], truth, OPTIONS)
    tables = {table.title: table for table in report.tables()}
    for labels, distance in (("original", 5), ("Reannotated", math.sqrt(10))):
        row = tables[f"NME, 68 points, {labels} labels, fitted yaw, percent"].rows[0]
        profile = 100 * distance / sizes(truth)[4]
        assert row[4].startswith(f"{profile:.2f} (")
        assert row[6].startswith(f"{100 * (distance / sizes(truth)).mean():.2f} (")


def test_the_balanced_draw_has_its_own_column(truth: Truth) -> None:
    # The profile's error counts a third of a balanced draw, a fifth of the plain mean of images.
    system = shifted(truth, 0, 0, 0)
    system.points_img[4, :, 0] += 10
    (row,) = report_of([system], truth, OPTIONS).tables()[0].rows[:1]
    error = 100 * 10 / sizes(truth)[4]
    assert row[6].startswith(f"{error / 5:.2f} (")
    assert row[7].startswith(f"{error / 3:.2f} (1 per bin")
    # Faces of one bin that differ: the draws' own mean is neither that of the images nor that of the bins.
    system.points_img[0, :, 0] += 7
    report = report_of([system], truth, OPTIONS)
    cell = report.scores[0].cell("NME")
    assert isinstance(cell, Cell)
    drawn, plain, bins = (f"{100 * v:.2f}" for v in (cell.balanced.mean, cell.table.image_mean, cell.table.mean))
    assert len({drawn, plain, bins}) == 3
    assert report.tables()[0].rows[0][7].startswith(f"{drawn} (1 per bin")


@pytest.mark.parametrize("n_points", [68, 66])
def test_every_plot_shows_every_system(truth: Truth, n_points: int) -> None:
    go = pytest.importorskip("plotly.graph_objects", reason="plotly comes with the extra demo")
    systems = [shifted(truth, 3, 4, 0, name="first"), shifted(truth, 6, 8, 0, name="second")]
    labels = truth
    if n_points == 66:
        few = [replace(s, points_img=s.points_img[:, list(INDICES_66_IN_68)], markup=MARKUP_66) for s in systems]
        systems, labels = in_one_markup(few, truth)
    report = report_of(systems, labels, OPTIONS)
    shown = {
        "bins": aflw2000_page._bins(go, report.scores),
        "curves": aflw2000_page._curves(go, report.scores),
        "yaw": aflw2000_page._yaw(go, truth, report.scores),
    }
    for name, figure in shown.items():
        traces = {trace.name.split(",")[0]: trace for trace in figure.data}
        assert {"first", "second"} <= traces.keys(), name
        published = any("published" in trace.name for trace in figure.data)
        assert published == (n_points == 68 and name != "yaw"), name
    bars = {trace.name.split(",")[0]: trace.y for trace in shown["bins"].data}
    np.testing.assert_allclose(np.array(bars["second"]), 2 * np.array(bars["first"]), rtol=1e-4)
    parts = aflw2000_page._regions(go, report.scores)
    first = report.scores[0].regions["original"]
    assert isinstance(first, dict)
    np.testing.assert_allclose(parts.data[2].y, [100 * table.bins[2] for table in first.values()])
