"""Expression: compare predicted eye and mouth openings with hand-marked landmarks (docs/evaluation.md)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jvcr
from jvcr.data.formats.aflw2000 import read_aflw2000
from jvcr.data.sample import Sample
from jvcr.data.table import Table as TrainingTable
from jvcr.detect.named import DetectorName
from jvcr.detect.network import DETECT_SIZE
from jvcr.evaluate.benchmark import BenchmarkReport, Progress, no_progress, today, without_nan
from jvcr.evaluate.common_markup import points_in
from jvcr.evaluate.expression_page import page
from jvcr.evaluate.expression_scores import (
    HAND_FILE,
    ExpressionScore,
    ExpressionTruth,
    marked_rows,
    read_hand_marks,
    score_expression,
    truth_of_samples,
)
from jvcr.evaluate.expression_tables import expression_tables
from jvcr.evaluate.systems import (
    DEFAULT_EXECUTION,
    Contestants,
    Execution,
    KeepPredictions,
    Looks,
    System,
    Weights,
)
from jvcr.images import Image
from jvcr.markups.markup import MARKUP_68
from jvcr.report import Table


@dataclass(frozen=True, eq=False)
class ExpressionReport(BenchmarkReport):
    """Scores of several systems on the same ground truth, in order; ``images``: by name, for the page."""

    truth: ExpressionTruth
    scores: list[ExpressionScore]
    images: Mapping[str, Image]
    date: str

    def tables(self) -> list[Table]:
        """Tables: openings and positions; smile and brows; by yaw; by apparent skin tone."""
        return expression_tables(self.scores, self.truth)

    def to_html(self, worst: int = 20) -> str:
        """One self-contained HTML page: tables, plots of predicted over true openings, and pictures of the worst faces.

        Args:
            worst: number of the first system's faces to draw.
        Raises:
            MissingExtra: plotly or Jinja2 is not installed.
        """
        return page(self.scores, self.truth, self.tables(), self.images.__getitem__, worst)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able. Errors are ratios; NaN becomes None."""
        record = {
            "benchmark": "expression",
            "version": jvcr.__version__,
            "date": self.date,
            "truth": self.truth.title,
            "faces": len(self.truth.names),
            "systems": [one.to_dict() for one in self.scores],
        }
        return dict(without_nan(record))


def evaluate(
    root: str | Path,
    weights: Weights | None = None,
    *,
    predictions: Sequence[str | Path] = (),
    boxes: str = "both",
    mirror: bool = True,
    refine: bool = True,
    detector: str = DetectorName.OWN,
    detect_size: int = DETECT_SIZE,
    execution: Execution = DEFAULT_EXECUTION,
    hand: Path | None = None,
    without: Collection[str] = (),
    progress: Progress = no_progress,
    keep: KeepPredictions | None = None,
) -> ExpressionReport:
    """Compare networks and prediction files with hand-marked landmarks.

    Args:
        root: folder of a training table (its hand-marked validation rows are used), or of AFLW2000-3D.
        weights: networks to score; by default ``small``, or none if there are predictions.
        predictions: prediction files of any aligner (docs/predictions.md), scored alongside the networks.
        boxes, mirror, refine, detector, detect_size: see ``jvcr.evaluate.systems.Looks``.
        execution: backend and settings of the networks.
        hand: file of hand marks for AFLW2000-3D; by default ``hand2d.npz`` in the folder.
        without: names of images to exclude.
        progress: see ``jvcr.evaluate.benchmark.Progress``.
        keep: receives each network's predictions (``jvcr.evaluate.systems.KeepPredictions``).
    Raises:
        FileNotFoundError, ValueError, ImageError: a file is missing or damaged, an argument is invalid, no face has
            hand marks, or a system's landmarks cannot be converted to the 68.
    """
    looks = Looks(boxes, mirror, refine, detector, detect_size, execution.threads)
    contestants = Contestants(weights, predictions, looks, execution)
    truth, samples = read_marked(Path(root), hand, frozenset(without))
    systems = contestants.systems(truth.names, lambda: iter(samples), progress, keep)
    systems = [_in_68(system) for system in systems]
    scores = [score_expression(system, truth) for system in systems]
    return ExpressionReport(truth, scores, {sample.name: sample.image for sample in samples}, today())


def read_marked(
    root: Path, hand: Path | None = None, without: Collection[str] = ()
) -> tuple[ExpressionTruth, list[Sample]]:
    """Read the hand-marked faces among a training table's validation rows, or of AFLW2000-3D.

    Args:
        root: folder of either.
        hand: file of hand marks for AFLW2000-3D; by default ``hand2d.npz`` in the folder.
        without: names of images to exclude.
    Returns:
        the hand marks, and their samples in the same order.
    Raises:
        FileNotFoundError, ValueError: a file is missing, or no face has hand marks.
    """
    if (root / "labels.npz").is_file():
        if hand is not None:
            raise ValueError(
                f"--hand {hand} is for AFLW2000-3D; {root} is a training table, which has its own hand marks: drop "
                "--hand"
            )
        table = TrainingTable(root, "val")
        title, samples = "validation rows", [table[row] for row in marked_rows(table)]
    else:
        marks = read_hand_marks(hand or root / HAND_FILE)
        samples = [replace(s, hand2d=marks[s.name]) for s in read_aflw2000(root) if s.name in marks]
        title = "AFLW2000-3D"
    samples = [sample for sample in samples if sample.name not in without]
    if without:
        title += f" without {len(without)} named images"
    truth = truth_of_samples(title, samples)
    kept = set(truth.names)
    return truth, [sample for sample in samples if sample.name in kept]


def _in_68(system: System) -> System:
    return replace(system, points_img=points_in(system, MARKUP_68), markup=MARKUP_68)
