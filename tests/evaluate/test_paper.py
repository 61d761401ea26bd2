from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jvcr.evaluate.aflw2000 import report_of
from jvcr.evaluate.aflw2000_scores import Options
from jvcr.evaluate.aflw2000_truth import read_truth
from jvcr.evaluate.common_markup import in_one_markup
from jvcr.evaluate.published import AFLW2000_NME
from jvcr.evaluate.systems import System
from jvcr.markups.markup import INDICES_66_IN_68, MARKUP_66
from jvcr.paper.tables import OurRow, paper_tables, read_results, rows_of_aflw2000


def test_published_means_are_the_means_of_their_bins() -> None:
    for one in AFLW2000_NME:
        if one.bins is not None:
            # As far as two decimals allow.
            assert one.mean == pytest.approx(np.mean(one.bins), abs=0.011), one.method
        if one.std is not None:
            assert one.std == pytest.approx(np.std(one.bins, ddof=1), abs=0.006), one.method


def test_every_row_says_where_it_is_from() -> None:
    row = OurRow("ours", "measured here", (2.5, 3.25, "no face in this bin"), 3.0, 0.5, gte=7.125, cvgtce=4.0)
    one, two, three, four = paper_tables([row], [row])
    for table in (one, two, three, four):
        assert all(len(r) == len(table.header) for r in table.rows)
        assert all(r[-1].startswith(("published", "measured here", "not measur")) for r in table.rows)
    assert ("JVCR, the paper", "2.94", "3.46", "4.53", "3.64", "0.81", "published") in four.rows
    assert ("SDM", "3.67", "4.94", "9.76", "6.12", "not transcribed", "published") in four.rows
    assert ("ours", "2.50", "3.25", "no face in this bin", "3.00", "0.50", "measured here") in four.rows
    assert three.rows[-1] == ("ours", "7.12", "measured here")
    assert (
        "jvcr",
        "not measurable here",
        "not measurable here",
        "not measurable here: the test labels of 3DFAW are not public",
    ) in two.rows
    assert two.rows[-1] == ("ours", "4.00", "7.12", "measured here")
    # Methods that came later are named, not put into the paper's table.
    assert "SynergyNet 3.41" in four.notes[0] and "SynergyNet" not in {r[0] for r in four.rows}


def test_without_a_measurement_the_tables_say_so() -> None:
    _, _, three, four = paper_tables([], [])
    for table in paper_tables([], [OurRow("ours", "here")]):
        assert not any(cell in ("", "–") for row in table.rows for cell in row)
    assert three.rows[-1][-1].startswith("not measured: give --root")
    assert four.rows[-1][-1].startswith("not measured: give --root")


def test_our_row_comes_from_the_report(benchmark_folder: Path, tmp_path: Path) -> None:
    truth = read_truth(benchmark_folder)
    points = truth.original_img + np.array([3, 4, 0], np.float32)
    points[0] = np.nan
    flat = System("flat", "its own boxes", points[..., :2])
    report = report_of([System("ours", "true boxes", points), flat], truth, Options(draws=100))
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report.to_dict()))
    (ours, other), views = read_results(path)
    table = report.scores[0].cell("NME").table  # type: ignore[union-attr]
    assert ours.bins == pytest.approx([100 * v for v in table.bins])
    assert (ours.mean, ours.std) == (pytest.approx(100 * table.mean), pytest.approx(100 * table.std))
    # The four faces found are off by 5 px over 60 px between the eyes.
    assert ours.gte == pytest.approx(100 * 5 / 60, rel=1e-4)
    assert ours.name == "ours, true boxes"
    assert "report.json" in ours.source and "5 of its 2,000 images, 1 faces missed" in ours.source
    assert other.gte == "not measurable: no depth"
    assert views == []
    assert rows_of_aflw2000(report.to_dict(), "measured here")[0].mean == pytest.approx(ours.mean)


def test_wrong_results_are_named(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with pytest.raises(FileNotFoundError, match=r"report\.json: no such file"):
        read_results(path)
    for text in ("{", "[]", "{}", '{"benchmark": "table", "date": "today"}'):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"report\.json: .*expected a report\.json of"):
            read_results(path)


def test_an_empty_cell_says_why(benchmark_folder: Path) -> None:
    truth = read_truth(benchmark_folder)
    points = truth.original_img.copy()
    points[4] = np.nan  # the only profile
    nobody = System("nobody", "true boxes", np.full_like(points, np.nan))
    report = report_of([System("ours", "true boxes", points), nobody], truth, Options(draws=100))
    rows = rows_of_aflw2000(report.to_dict(), "here")
    assert rows[0].bins == (0, 0, "no face in this bin")
    assert rows[0].mean == rows[0].std == "not measurable: a bin without a face"
    assert rows[1].bins == ("not measurable: every face was missed",) * 3
    for table in paper_tables(rows, []):
        assert not any(cell in ("", "–") for row in table.rows for cell in row)


def test_other_landmarks_than_68_are_refused(benchmark_folder: Path, tmp_path: Path) -> None:
    truth = read_truth(benchmark_folder)
    points = truth.original_img[:, list(INDICES_66_IN_68)]
    systems, labels = in_one_markup([System("66", "true boxes", points, markup=MARKUP_66)], truth)
    record = report_of(systems, labels, Options(draws=100)).to_dict()
    assert (record["markup"], record["n_points"]) == ("3dfaw-66", 66)
    with pytest.raises(
        ValueError, match=r"66 landmarks were scored \(markup 3dfaw-66\); the paper's figures are for 68"
    ):
        rows_of_aflw2000(record, "here")
    # A report of version 0.1 does not say.
    old = {key: value for key, value in record.items() if key not in ("markup", "n_points")}
    (tmp_path / "report.json").write_text(json.dumps(old))
    with pytest.raises(ValueError, match=r"report\.json: not 68 landmarks were scored"):
        read_results(tmp_path / "report.json")
