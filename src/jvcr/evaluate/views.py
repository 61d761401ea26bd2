"""Views of one face: CVGTCE and GTE on the multi-view rows of a training table's validation split.

Rows of one source whose names differ only after the last "_" are one face at different yaws: ``NAME_0``, ``NAME_1``, …
are the published 300W-LP views, with depth from factorisation (docs/evaluation.md). ``group`` cannot be used for this,
because faces in the same photo share it, and so do flips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import jvcr
from jvcr.data.sample import Sample
from jvcr.data.table import Table
from jvcr.detect.named import DetectorName
from jvcr.detect.network import DETECT_SIZE
from jvcr.evaluate.benchmark import (
    BINS,
    NO_DEPTH,
    NO_FACE,
    BenchmarkReport,
    Progress,
    no_progress,
    span,
    today,
    without_nan,
)
from jvcr.evaluate.systems import (
    DEFAULT_EXECUTION,
    Contestants,
    Execution,
    KeepPredictions,
    Looks,
    System,
    Weights,
)
from jvcr.markups.markup import INDICES_66_IN_68, MARKUP_66, MARKUP_68
from jvcr.metrics import Interval, YawTable, bootstrap_groups, cvgtce, ground_truth_error, interval, yaw_table
from jvcr.report import NONE, percent
from jvcr.report import Table as TextTable

SOURCE = "300wlp-ibug"
ACCEPTED = (66, 68)
"""Numbers of landmarks that can be scored."""

RIGID = 0.01
"""Largest allowed CVGTCE between the labels of two views of one face. Above it, they cannot be the same face."""


@dataclass(frozen=True, eq=False)
class Views:
    """B views: their names, the face in each, true landmarks (B, 68, 3), yaw, and samples.

    ``truth_cvgtce``: the largest CVGTCE (68 points) between the labels of two views of a face. It shows how far they
    are from one rigid shape, and thus the error of a perfect aligner.
    """

    names: list[str]
    faces: list[str]
    target_img: NDArray[np.float32]
    yaw_deg: NDArray[np.float64]
    samples: list[Sample]
    truth_cvgtce: float


@dataclass(frozen=True)
class ViewScore:
    """Scores of one system on ``n_points`` landmarks, as ratios. Intervals resample faces, not views.

    Attributes:
        faces, views, pairs: their numbers. A pair is a predicted view and another view of the same face.
        missed: number of views without a prediction.
        cvgtce: mean over all other views of the face, for each view; then averaged by yaw of the predicted view.
        other_view_spread: largest difference of one view's CVGTCE between two choices of the other view.
        gte: against the labels of the predicted view.
    """

    system: str
    boxes: str
    n_points: int
    faces: int
    views: int
    pairs: int
    missed: int
    cvgtce: YawTable | str
    cvgtce_interval: Interval | None
    other_view_spread: float
    gte: YawTable | str
    gte_interval: Interval | None


@dataclass(frozen=True, eq=False)
class ViewsReport(BenchmarkReport):
    """Scores of all systems, on 68 and on 66 points. ``truth_cvgtce``: see ``Views``."""

    scores: list[ViewScore]
    truth_cvgtce: float
    draws: int
    seed: int
    date: str

    def tables(self) -> list[TextTable]:
        """CVGTCE and GTE of all systems, as one table."""
        return [views_table(self.scores, self.truth_cvgtce)]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able. Errors are ratios; NaN (an empty bin) becomes None."""
        record = {
            "benchmark": "multi-view",
            "version": jvcr.__version__,
            "date": self.date,
            "options": {"draws": self.draws, "seed": self.seed},
            "truth_cvgtce": self.truth_cvgtce,
            "systems": [asdict(score) for score in self.scores],
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
    draws: int = 2000,
    seed: int = 0,
    progress: Progress = no_progress,
    keep: KeepPredictions | None = None,
) -> ViewsReport:
    """Score networks and prediction files on the multi-view validation rows of a training table.

    Args:
        root: folder of the training table.
        weights: networks to score. Default: ``small``, or none if there are predictions.
        predictions: landmarks of any aligner (docs/predictions.md), scored beside the networks.
        boxes, mirror, refine, detector, detect_size: see ``jvcr.evaluate.systems.Looks``.
        execution: runtime of the networks.
        draws, seed: of the bootstrap.
        progress: see ``jvcr.evaluate.benchmark.Progress``.
        keep: receives each network's predictions (``jvcr.evaluate.systems.KeepPredictions``).
    Raises:
        FileNotFoundError, ValueError, ImageError: a file is missing or damaged, an argument is unknown, there are no
            views of one rigid face, or a system does not predict 68 or 66 landmarks.
    """
    looks = Looks(boxes, mirror, refine, detector, detect_size, execution.threads)
    contestants = Contestants(weights, predictions, looks, execution)
    views = read_views(Path(root))
    systems = contestants.systems(views.names, lambda: iter(views.samples), progress, keep, accepted=ACCEPTED)
    scores = [score for system in systems for score in score_views(system, views, draws, seed)]
    return ViewsReport(scores, views.truth_cvgtce, draws, seed, today())


def read_views(root: Path) -> Views:
    """Read the validation rows of ``SOURCE`` that show a face with at least two views.

    Raises:
        FileNotFoundError, ValueError: no training table, no such rows, or views that are not one rigid face.
    """
    table = Table(root, "val")
    if table.points.shape[1] != 68:
        raise ValueError(f"{table.path}: {table.points.shape[1]} landmarks; the benchmark of views needs 68")
    faces: dict[str, list[int]] = {}
    for row, source in enumerate(table.sources):
        if source == SOURCE:
            faces.setdefault(table.names[row].rpartition("_")[0], []).append(row)
    # A name without "_" does not name a view.
    faces = {face: members for face, members in faces.items() if face and len(members) > 1}
    if not faces:
        raise ValueError(
            f"{table.path}: no validation rows of source {SOURCE!r} with several views of one face; their names differ "
            "only after the last '_'"
        )
    spread = {face: _truth_cvgtce(table.points[members]) for face, members in faces.items()}
    worst = max(spread, key=spread.__getitem__)
    if not spread[worst] <= RIGID:
        raise ValueError(
            f"{table.path}: the labels of face {worst!r} ({len(faces[worst])} views) are not one rigid shape: "
            f"{100 * spread[worst]:.2f} % of the eye distance apart, expected at most {100 * RIGID:g} %. Either "
            "different faces have the same name up to the last '_', or the depth of their labels is wrong"
        )
    face_of = {row: face for face, members in faces.items() for row in members}
    rows = sorted(face_of)
    return Views(
        names=[table.names[row] for row in rows],
        faces=[face_of[row] for row in rows],
        target_img=table.points[rows],
        yaw_deg=table.yaw_deg[rows],
        samples=[table[row] for row in rows],
        truth_cvgtce=spread[worst],
    )


def _truth_cvgtce(views_img: NDArray[np.float32]) -> float:
    """The largest CVGTCE between two of the (M, 68, 3) views."""
    first, second = np.nonzero(~np.eye(len(views_img), dtype=bool))
    return float(cvgtce(views_img[first], views_img[second], MARKUP_68.normaliser).max())


def score_views(system: System, views: Views, draws: int = 2000, seed: int = 0) -> list[ViewScore]:
    """Score a system on 68 and on 66 points. A system that predicts 66 points is scored on those only.

    Raises:
        ValueError: it predicts another number of landmarks.
    """
    target_66 = views.target_img[:, list(INDICES_66_IN_68)]
    n_points = system.points_img.shape[1]
    if n_points == 68:
        cut = System(system.name, system.boxes, system.points_img[:, list(INDICES_66_IN_68)])
        return [
            _score(system, views, views.target_img, MARKUP_68.normaliser, draws, seed),
            _score(cut, views, target_66, MARKUP_66.normaliser, draws, seed),
        ]
    if n_points == 66:
        return [_score(system, views, target_66, MARKUP_66.normaliser, draws, seed)]
    raise ValueError(f"{system.name}: {n_points} landmarks; the benchmark of views takes 68 or 66")


def _score(
    system: System, views: Views, target: NDArray[np.float32], eyes: tuple[int, int], draws: int, seed: int
) -> ViewScore:
    found = np.flatnonzero(system.found)
    faces = np.array(views.faces)
    reason = NO_DEPTH if not system.has_depth else NO_FACE if not len(found) else None
    shared: dict[str, Any] = {
        "system": system.name,
        "boxes": system.boxes,
        "n_points": target.shape[1],
        "faces": len(set(views.faces)),
        "views": len(views.names),
        "missed": len(views.names) - len(found),
    }
    if reason is not None:
        return ViewScore(
            **shared, pairs=0, cvgtce=reason, cvgtce_interval=None, other_view_spread=0, gte=reason, gte_interval=None
        )
    others = [np.flatnonzero((faces == faces[row]) & (np.arange(len(faces)) != row)) for row in found]
    sizes = np.array([len(o) for o in others])
    errors = cvgtce(system.points_img[np.repeat(found, sizes)], target[np.concatenate(others)], eyes)
    per_view = np.split(errors, np.cumsum(sizes)[:-1])
    cross = np.array([e.mean() for e in per_view])
    own = ground_truth_error(system.points_img[found], target[found], eyes)
    names = faces[found].tolist()
    return ViewScore(
        **shared,
        pairs=len(errors),
        cvgtce=yaw_table(cross, views.yaw_deg[found]),
        cvgtce_interval=interval(bootstrap_groups(cross, names, draws, seed)),
        other_view_spread=max(float(np.ptp(e)) for e in per_view),
        gte=yaw_table(own, views.yaw_deg[found]),
        gte_interval=interval(bootstrap_groups(own, names, draws, seed)),
    )


def views_table(scores: Sequence[ViewScore], truth_cvgtce: float) -> TextTable:
    """CVGTCE and GTE of all systems as one table. ``truth_cvgtce``: see ``Views``."""
    rows = []
    for s in scores:
        for error, table, bounds in (("CVGTCE", s.cvgtce, s.cvgtce_interval), ("GTE", s.gte, s.gte_interval)):
            head = (s.system, s.boxes, str(s.n_points), error)
            if isinstance(table, str) or bounds is None:
                rows.append((*head, str(table), NONE, *[NONE] * 3, str(s.missed)))
            else:
                mean = percent(table.image_mean)
                rows.append((*head, mean, span(bounds), *map(percent, table.bins), str(s.missed)))
    first = scores[0]
    spread = max(s.other_view_spread for s in scores)
    return TextTable(
        f"{first.faces} faces in {first.views} views, percent",
        ("aligner", "boxes", "points", "error", "mean of views", "95 %, by face", *BINS, "missed"),
        tuple(rows),
        (
            "CVGTCE: mean over all other views of the face. The choice of the other view changes the error of one view "
            f"by at most {100 * spread:.3f}. The labels of two views of a face are one rigid shape within "
            f"{100 * truth_cvgtce:.3f} (largest CVGTCE between labels).",
        ),
    )
