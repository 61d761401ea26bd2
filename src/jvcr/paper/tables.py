"""The paper's tables I to IV, with our own measurements below, and the source of each figure.

    from jvcr.paper import tables

    print(tables.evaluate().to_text())                                # published figures only
    print(tables.evaluate(results=["report/report.json"]).to_text())  # and those of an earlier run

Only Table IV is certain to have its number in the paper. Tables I to III hold the paper's other published results, in
the order of our notes. Figures that are missing from ``published`` are shown as "not transcribed", never guessed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jvcr
from jvcr.evaluate import published
from jvcr.evaluate.benchmark import (
    BINS,
    NO_FACE,
    OTHER_MARKUP,
    PUBLISHED_POINTS,
    BenchmarkReport,
    today,
)
from jvcr.evaluate.published import NOT_TRANSCRIBED
from jvcr.report import Table

NO_3DFAW = "not measurable here: 3DFAW is not available"
NO_TEST_LABELS = "not measurable here: the test labels of 3DFAW are not public"
NOT_SAID = "not measured by this benchmark"
NO_FACE_IN_BIN = "no face in this bin"
NO_MEAN = "not measurable: a bin without a face"
_ALL_IMAGES = 2000
_NOT_HERE = "not measurable here"
_NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class OurRow:
    """Results of one aligner in one evaluation, in percent. Where there is no figure, a text gives the reason."""

    name: str
    source: str
    bins: tuple[float | str, ...] = (NOT_SAID,) * 3
    mean: float | str = NOT_SAID
    std: float | str = NOT_SAID
    gte: float | str = NOT_SAID
    cvgtce: float | str = NOT_SAID


@dataclass(frozen=True, eq=False)
class PaperReport(BenchmarkReport):
    """Our rows for the paper's tables.

    Attributes:
        aflw2000: rows for the AFLW2000-3D tables. views: rows for the 3DFAW tables, measured on other data.
        measured: reports of the evaluations that were run.
    """

    aflw2000: list[OurRow]
    views: list[OurRow]
    measured: list[BenchmarkReport]
    date: str

    def tables(self) -> list[Table]:
        """Tables I to IV."""
        return paper_tables(self.aflw2000, self.views)

    def to_text(self) -> str:
        """The reports of the evaluations, then the tables."""
        return "\n\n".join([report.to_text() for report in self.measured] + [super().to_text()])

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "benchmark": "paper",
            "version": jvcr.__version__,
            "date": self.date,
            "tables": [asdict(table) for table in self.tables()],
        }


def evaluate(
    root: str | Path | None = None,
    results: Sequence[str | Path] = (),
    *,
    predictions: Sequence[str | Path] = (),
    without: Collection[str] = (),
    pixel_base: str = "respected",
    **settings: Any,
) -> PaperReport:
    """The paper's tables with our own rows. Without ``root`` and ``results``, only published figures.

    Args:
        root: folder to evaluate on: AFLW2000-3D (there or one folder below), a training table with views, or both.
        results: ``report.json`` files of earlier evaluations.
        predictions, without, pixel_base: as in ``jvcr.evaluate.aflw2000.evaluate``. With predictions, views are not
            measured.
        settings: arguments that ``jvcr.evaluate.aflw2000.evaluate`` and ``jvcr.evaluate.views.evaluate`` share:
            ``weights``, ``boxes``, ``mirror``, ``draws``, ``progress`` and so on.
    Raises:
        FileNotFoundError: the folder holds no such data, or a file does not exist.
        ValueError: a result is from another benchmark, or on other landmarks than the paper's.
    """
    aflw2000_rows: list[OurRow] = []
    views_rows: list[OurRow] = []
    measured: list[BenchmarkReport] = []
    for path in results:
        more_aflw2000, more_views = read_results(Path(path))
        aflw2000_rows += more_aflw2000
        views_rows += more_views
    if root is not None:
        # Imported here, because the published tables do not need them or their dependencies.
        from jvcr.evaluate import aflw2000, views

        root = Path(root)
        images = _folder_of_images(root)
        labels = (root / "labels.npz").is_file()
        if images is None and not labels:
            raise FileNotFoundError(
                f"{root}: neither AFLW2000-3D (image*.mat, here or one folder below) nor a training table (labels.npz)"
            )
        if images is not None:
            own: dict[str, Any] = {"predictions": predictions, "without": without, "pixel_base": pixel_base}
            of_images = aflw2000.evaluate(images, **own, **settings)
            aflw2000_rows += rows_of_aflw2000(of_images.to_dict(), "measured here")
            measured.append(of_images)
        if labels and not predictions:
            of_views = views.evaluate(root, **settings)
            views_rows += rows_of_views(of_views.to_dict(), "measured here")
            measured.append(of_views)
    return PaperReport(aflw2000_rows, views_rows, measured, today())


def rows_of_aflw2000(record: dict[str, Any], origin: str) -> list[OurRow]:
    """One row per system from the report.json of ``jvcr evaluate aflw2000-3d``: original labels, fitted yaw.

    Raises:
        ValueError: the report is on other landmarks than the 68 of the paper's tables.
    """
    # Reports of version 0.1 lack n_points. If they are on other landmarks than the 68, they have no head pose.
    of_others = any(system["pose"] == OTHER_MARKUP for system in record["systems"])
    n_points = record.get("n_points", "not 68" if of_others else PUBLISHED_POINTS)
    if n_points != PUBLISHED_POINTS:
        raise ValueError(
            f"{n_points} landmarks were scored (markup {record.get('markup', 'not stated')}); the paper's figures are "
            f"for {PUBLISHED_POINTS} points and cannot be compared with them"
        )
    images = record["images"]
    part = "" if images == _ALL_IMAGES else f", {images} of its {_ALL_IMAGES:,} images"
    base = "" if record["options"]["pixel_base"] == "respected" else ", pixel base as published"
    rows = []
    for system in record["systems"]:
        cells = {
            cell["error"]: cell for cell in system["cells"] if (cell["labels"], cell["yaw"]) == ("original", "fitted")
        }
        nme, gte = cells["NME"], cells["GTE"]
        missed = f", {system['missed']} faces missed" if system["missed"] else ""
        rows.append(
            OurRow(
                name=f"{system['name']}, {system['boxes']}",
                source=f"{origin}{part}{base}{missed}",
                bins=tuple(_percent(v, NO_FACE_IN_BIN) for v in nme["table"]["bins"])
                if nme["measured"]
                else (nme["reason"],) * 3,
                mean=_percent(nme["table"]["mean"], NO_MEAN) if nme["measured"] else nme["reason"],
                std=_percent(nme["table"]["std"], NO_MEAN) if nme["measured"] else nme["reason"],
                gte=_percent(gte["table"]["image_mean"], NO_FACE) if gte["measured"] else gte["reason"],
            )
        )
    return rows


def rows_of_views(record: dict[str, Any], origin: str) -> list[OurRow]:
    """One row per system from the report.json of ``jvcr evaluate views``, on 66 points as in 3DFAW."""
    rows = []
    for one in record["systems"]:
        if one["n_points"] != 66:
            continue
        measured = not isinstance(one["cvgtce"], str)
        rows.append(
            OurRow(
                name=f"{one['system']}, {one['boxes']}",
                source=f"{origin} on other data ({one['faces']} IBUG faces, {one['views']} views): not comparable",
                gte=_percent(one["gte"]["image_mean"], NO_FACE) if measured else one["gte"],
                cvgtce=_percent(one["cvgtce"]["image_mean"], NO_FACE) if measured else one["cvgtce"],
            )
        )
    return rows


def read_results(path: Path) -> tuple[list[OurRow], list[OurRow]]:
    """Read a report.json: (rows for AFLW2000-3D, rows for views of one face).

    Raises:
        FileNotFoundError: no such file.
        ValueError: not written by ``jvcr evaluate``, or on other landmarks than the paper's.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected a report.json of `jvcr evaluate`")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        origin = f"measured here ({path.name} of {record['date']})"
        if record["benchmark"] == "aflw2000-3d":
            return rows_of_aflw2000(record, origin), []
        if record["benchmark"] == "multi-view":
            return [], rows_of_views(record, origin)
        raise ValueError(f"benchmark {record['benchmark']!r}")
    except (ValueError, KeyError, TypeError) as error:
        what = error if isinstance(error, ValueError) else repr(error)
        raise ValueError(f"{path}: {what}; expected a report.json of `jvcr evaluate aflw2000-3d` or `views`") from error


def paper_tables(aflw2000: Sequence[OurRow], views: Sequence[OurRow]) -> list[Table]:
    """Tables I to IV."""
    unmeasured = "not measured: give --root with AFLW2000-3D, or --results"
    return [
        Table(
            "Table I: 3DFAW validation set, 66 points, GTE, percent",
            ("method", "GTE", "source"),
            (
                *((name, f"{gte:.2f}", "published") for name, gte in published.THREEDFAW_VALIDATION_GTE.items()),
                ("jvcr", _NOT_HERE, NO_3DFAW),
                *((row.name, _figure(row.gte), row.source) for row in views),
            ),
            (
                _numbering(),
                f"The paper's own variants (volumes from coarse to fine, joint training): {NOT_TRANSCRIBED}.",
            ),
        ),
        Table(
            "Table II: 3DFAW test set, 66 points, percent",
            ("method", "CVGTCE", "GTE", "source"),
            (
                *((name, f"{c:.2f}", f"{g:.2f}", "published") for name, (c, g) in published.THREEDFAW_TEST.items()),
                ("jvcr", _NOT_HERE, _NOT_HERE, NO_TEST_LABELS),
                *((row.name, _figure(row.cvgtce), _figure(row.gte), row.source) for row in views),
            ),
            (_numbering(),),
        ),
        Table(
            "Table III: AFLW2000-3D, two steps (2D landmarks, then depth) against joint regression, GTE, percent",
            ("method", "GTE", "source"),
            (
                *((name, f"{gte:.2f}", "published") for name, gte in published.AFLW2000_GTE.items()),
                *((row.name, _figure(row.gte), row.source) for row in aflw2000),
                *((("jvcr", _NOT_MEASURED, unmeasured),) if not aflw2000 else ()),
            ),
            (_numbering(),),
        ),
        Table(
            "Table IV: AFLW2000-3D, 68 points, 2D NME by yaw, original labels, percent",
            ("method", *BINS, "mean", "std", "source"),
            (
                *(_published_row(one) for one in published.AFLW2000_NME if one.method in published.IN_PAPER),
                *(
                    (row.name, *map(_figure, row.bins), _figure(row.mean), _figure(row.std), row.source)
                    for row in aflw2000
                ),
                *((("jvcr", *[_NOT_MEASURED] * 5, unmeasured),) if not aflw2000 else ()),
            ),
            (
                "Published after the paper: "
                + "; ".join(
                    f"{one.method} {one.mean:.2f}"
                    for one in published.AFLW2000_NME
                    if one.method not in published.IN_PAPER
                )
                + ".",
            ),
        ),
    ]


def _folder_of_images(root: Path) -> Path | None:
    folders = (root, *sorted(path for path in root.glob("*") if path.is_dir()))
    return next((folder for folder in folders if any(folder.glob("image*.mat"))), None)


def _numbering() -> str:
    return "The figures are from the paper, but the number of the table was not checked against it."


def _published_row(one: published.PublishedNme) -> tuple[str, ...]:
    bins = [NOT_TRANSCRIBED] * 3 if one.bins is None else [f"{value:.2f}" for value in one.bins]
    std = NOT_TRANSCRIBED if one.std is None else f"{one.std:.2f}"
    return (one.method, *bins, f"{one.mean:.2f}", std, "published")


def _percent(ratio: float | None, why_not: str) -> float | str:
    return why_not if ratio is None else 100 * ratio


def _figure(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.2f}"
