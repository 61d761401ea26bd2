"""AFLW2000-3D: NME by yaw, GTE, 3D NME, parts of the face, cumulative errors, head pose, with confidence intervals."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import jvcr
from jvcr.data.formats.aflw2000 import read_aflw2000
from jvcr.data.sample import Sample
from jvcr.detect.named import DetectorName
from jvcr.detect.network import DETECT_SIZE
from jvcr.evaluate.aflw2000_page import page
from jvcr.evaluate.aflw2000_scores import CommonRow, Options, Score, common, score
from jvcr.evaluate.aflw2000_tables import all_tables, short
from jvcr.evaluate.aflw2000_truth import Truth, read_truth
from jvcr.evaluate.benchmark import BenchmarkReport, Progress, no_progress, today, without_nan
from jvcr.evaluate.common_markup import common_markup, in_one_markup
from jvcr.evaluate.systems import (
    DEFAULT_EXECUTION,
    Contestants,
    Execution,
    KeepPredictions,
    Looks,
    System,
    Weights,
)
from jvcr.metrics import yaw_table
from jvcr.report import Table


@dataclass(frozen=True, eq=False)
class Aflw2000Report(BenchmarkReport):
    """Scores of several systems on the same ground truth, in order. ``common``: on the faces found by all of them."""

    truth: Truth
    options: Options
    scores: list[Score]
    common: list[CommonRow]
    date: str

    @property
    def n_points(self) -> int:
        """Number of scored landmarks."""
        return int(self.truth.original_img.shape[1])

    @property
    def introduction(self) -> list[str]:
        """Notes that explain the figures, one per line."""
        counts = {
            name: yaw_table(np.zeros(len(yaw)), yaw).counts
            for name, yaw in self.truth.yaws.items()
            if not isinstance(yaw, str)
        }
        bins = "; ".join(f"{' / '.join(map(str, c))} by {name} yaw" for name, c in counts.items())
        full = "all of it" if len(self.truth.names) == 2000 else "the whole benchmark has 2,000"
        base = {
            "respected": "Pixel base respected: pt3d_68 is 1-based, so 1 is subtracted; "
            "the Reannotated points are 0-based.",
            "as-published": "Pixel base as in the usual benchmark code: 0-based predictions are compared with the "
            "1-based original labels. This is wrong by (1, 1) px and only for comparison with published figures.",
        }[self.options.pixel_base]
        lines = [
            f"AFLW2000-3D, {len(self.truth.names)} images ({full}), {bins}. jvcr {jvcr.__version__}, {self.date}.",
            f"Scored on the {self.n_points} landmarks of markup {self.truth.markup.name}.",
            base,
            f"Intervals: {self.options.draws} bootstrap draws of images within each bin, seed {self.options.seed}. "
            f"Balanced draw: equally many images from each bin (at most {self.options.balanced_per_bin}), mean over "
            f"{self.options.balanced_draws} draws, seed {self.options.seed}.",
            "Missed faces are excluded from means. They count as failures in failure rate, AUC and the curves.",
        ]
        lines += [f"{s.system.name}, {s.system.boxes}: {s.system.note}" for s in self.scores if s.system.note]
        return lines

    def worst(self, count: int) -> list[tuple[str, float]]:
        """Names and NME (original labels) of the faces with the largest errors of the first system, worst first."""
        errors = self.scores[0].per_face["NME", "original"]
        order = [row for row in np.argsort(-errors, kind="stable") if not np.isnan(errors[row])]
        return [(self.truth.names[row], float(errors[row])) for row in order[:count]]

    def short_table(self) -> Table:
        """A summary for the terminal: means by yaw, GTE, missed faces."""
        return short(self.scores)

    def tables(self) -> list[Table]:
        """Every figure, as tables of text."""
        return all_tables(self.scores, self.common)

    def to_text(self) -> str:
        """The introduction and the short table."""
        return "\n".join([*self.introduction, "", self.short_table().to_text()])

    def to_markdown(self, worst: int = 20) -> str:
        """The introduction, all tables, and the names of the worst faces of the first system."""
        parts = ["# AFLW2000-3D", "\n".join(f"- {line}" for line in self.introduction)]
        parts += [table.to_markdown() for table in self.tables()]
        first = self.scores[0].system
        names = ", ".join(f"{name} ({100 * error:.1f})" for name, error in self.worst(worst))
        parts.append(f"### Worst faces of {first.name}, {first.boxes} (NME in percent, original labels)\n\n{names}")
        return "\n\n".join(parts) + "\n"

    def to_html(self, worst: int = 20) -> str:
        """One self-contained page: plots, the worst faces drawn, and all tables.

        Args:
            worst: number of the first system's worst faces to draw. Their images are read from the benchmark's folder.
        Raises:
            MissingExtra: plotly or Jinja2 is not installed.
        """
        return page(self.introduction, self.truth, self.scores, self.tables(), self.worst(worst))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able. Errors are ratios; NaN (an empty bin, a missed face) becomes None."""
        record = {
            "benchmark": "aflw2000-3d",
            "version": jvcr.__version__,
            "date": self.date,
            "images": len(self.truth.names),
            "markup": self.truth.markup.name,
            "n_points": self.n_points,
            "options": asdict(self.options),
            "about": self.introduction,
            "systems": [_system(one, self.truth) for one in self.scores],
            "common": [asdict(row) for row in self.common],
            "names": self.truth.names,
            "yaw_deg": {k: v if isinstance(v, str) else v.round(3).tolist() for k, v in self.truth.yaws.items()},
        }
        return dict(without_nan(record))


def evaluate(
    root: str | Path,
    weights: Weights | None = None,
    *,
    predictions: Sequence[str | Path] = (),
    boxes: str = "both",
    mirror: bool = True,
    refine: bool = False,
    detector: str = DetectorName.OWN,
    detect_size: int = DETECT_SIZE,
    execution: Execution = DEFAULT_EXECUTION,
    without: Collection[str] = (),
    aflw_yaw: Path | None = None,
    aflw_yaw_names: Path | None = None,
    pixel_base: str = "respected",
    limit: float = 0.10,
    draws: int = 2000,
    seed: int = 0,
    progress: Progress = no_progress,
    keep: KeepPredictions | None = None,
) -> Aflw2000Report:
    """Score networks and prediction files on AFLW2000-3D.

    Args:
        root: folder of the data set in its original layout.
        weights: networks to score. Default: ``small``, or none if there are predictions.
        predictions: landmarks of any aligner (docs/predictions.md), scored beside the networks.
        boxes, mirror, refine, detector, detect_size: see ``jvcr.evaluate.systems.Looks``.
        execution: runtime of the networks.
        without: names of images to exclude.
        aflw_yaw, aflw_yaw_names: AFLW's own yaw of the images (docs/evaluation.md).
        pixel_base: ``as-published`` treats the 1-based labels as 0-based, like common benchmark code.
        limit: upper limit of CED and AUC, and threshold of the failure rate; a ratio.
        draws: number of bootstrap draws. seed: of bootstrap and balanced draws.
        progress: see ``jvcr.evaluate.benchmark.Progress``.
        keep: receives each network's predictions (``jvcr.evaluate.systems.KeepPredictions``).
    Raises:
        FileNotFoundError, ValueError, ImageError: a file is missing or damaged, an argument is unknown, or the
            landmarks have no markup in common.
    """
    root = Path(root)
    looks = Looks(boxes, mirror, refine, detector, detect_size, execution.threads)
    contestants = Contestants(weights, predictions, looks, execution)
    options = Options(limit=limit, draws=draws, seed=seed, pixel_base=pixel_base)
    truth = read_truth(root, aflw_yaw, aflw_yaw_names, without)

    def samples() -> Iterator[Sample]:
        return (sample for sample in read_aflw2000(root) if sample.name not in without)

    check = partial(common_markup, labels=truth.markup)
    systems, truth = in_one_markup(contestants.systems(truth.names, samples, progress, keep, check=check), truth)
    return report_of(systems, truth, options)


def report_of(systems: Sequence[System], truth: Truth, options: Options) -> Aflw2000Report:
    """Score every system; if there are several, also on the faces found by all of them.

    Raises:
        ValueError: a system's number of landmarks differs from the labels'.
    """
    scores = [score(system, truth, options) for system in systems]
    rows = common(scores, truth, options) if len(scores) > 1 else []
    return Aflw2000Report(truth, options, scores, rows, today())


def _system(one: Score, truth: Truth) -> dict[str, Any]:
    cells = []
    for (error, labels, yaw), cell in one.cells.items():
        figures = {"reason": cell} if isinstance(cell, str) else asdict(cell)
        cells.append({"error": error, "labels": labels, "yaw": yaw, "measured": not isinstance(cell, str), **figures})
    return {
        "name": one.system.name,
        "boxes": one.system.boxes,
        "note": one.system.note,
        "faces": one.faces,
        "missed": one.missed,
        "missed_by_bin": one.missed_by_bin,
        "missed_names": [n for n, found in zip(truth.names, one.system.found, strict=True) if not found],
        "cells": cells,
        "curves": {k: v if isinstance(v, str) else asdict(v) for k, v in one.curves.items()},
        "regions": {
            k: v if isinstance(v, str) else {name: asdict(table) for name, table in v.items()}
            for k, v in one.regions.items()
        },
        "pose": one.pose if isinstance(one.pose, str) else asdict(one.pose),
        "per_face": {
            f"{error}, {labels} labels": np.round(values, 6).tolist()
            for (error, labels), values in one.per_face.items()
        },
    }
