"""Expression: do eyes close and mouths open? Compares predicted landmarks with hand marks (docs/evaluation.md)."""

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
        """Openings and positions; smile and brows; both by yaw."""
        return expression_tables(self.scores, self.truth)

    def to_html(self, worst: int = 20) -> str:
        """One self-contained page: tables, predicted over true openings, and the worst faces drawn.

        Args:
            worst: how many faces of the first system to draw.
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
    """Compare networks and prediction files with hand marks.

    Args:
        root: folder of AFLW2000-3D, or of a training table, whose hand-marked validation rows are used.
        weights: networks to score. Default: ``small``, or none if there are predictions.
        predictions: landmarks of any aligner (docs/predictions.md), scored beside the networks.
        boxes, mirror, refine, detector, detect_size: see ``jvcr.evaluate.systems.Looks``.
        execution: runtime of the networks.
        hand: hand marks of AFLW2000-3D's images; ``hand2d.npz`` in the folder by default.
        without: names of images to exclude.
        progress: see ``jvcr.evaluate.benchmark.Progress``.
        keep: receives each network's predictions (``jvcr.evaluate.systems.KeepPredictions``).
    Raises:
        FileNotFoundError, ValueError, ImageError: a file is missing or damaged, an argument is unknown, no face has
            hand marks, or the 68 landmarks cannot be derived from a system's own.
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
    """The hand-marked faces of a training table's validation rows, or of AFLW2000-3D.

    Args:
        root: folder of the table or of AFLW2000-3D.
        hand: hand marks of AFLW2000-3D's images; by default ``hand2d.npz`` in the folder.
        without: names to exclude.
    Returns:
        the truth, and its samples in the same order.
    Raises:
        FileNotFoundError, ValueError: a file is missing or damaged, or no face has hand marks.
    """
    if (root / "labels.npz").is_file():
        if hand is not None:
            raise ValueError(f"--hand {hand} is for AFLW2000-3D; a training table holds its own hand marks")
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
