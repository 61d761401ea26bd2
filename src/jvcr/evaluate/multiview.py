"""Views of one face: CVGTCE and GTE on the multi-view rows of a training table's validation split.

The rows of one ``group`` are one face at different yaws, and their 3D labels are exact: the published 300W-LP views,
with depth from factorisation (docs/evaluation.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jvcr.data.sample import Sample
from jvcr.data.table import Table
from jvcr.evaluate.scores import NO_DEPTH, NO_FACE, System
from jvcr.evaluate.tables import BINS, NONE, percent, span
from jvcr.evaluate.tables import Table as TextTable
from jvcr.markup import INDICES_66_IN_68, MARKUP_66, MARKUP_68
from jvcr.metrics import Interval, YawTable, bootstrap_groups, cvgtce, ground_truth_error, interval, yaw_table

SOURCE = "300wlp-ibug"


@dataclass(frozen=True, eq=False)
class Views:
    """B views: names, the face each shows, its true landmarks (B, 68, 3), yaw, and the samples themselves."""

    names: list[str]
    groups: list[str]
    target_img: NDArray[np.float32]
    yaw_deg: NDArray[np.float64]
    samples: list[Sample]


@dataclass(frozen=True)
class ViewScore:
    """One system, scored with ``n_points`` landmarks. Ratios; intervals by face, not by view.

    Attributes:
        faces, views, pairs: pairs are (predicted view, other view of the same face).
        missed: views without a prediction.
        cvgtce: per view the mean over all other views of its face, then by yaw of the predicted view.
        other_view_spread: largest difference of one view's CVGTCE between two choices of the other view.
        gte: against the view's own truth.
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


def read_views(root: Path) -> Views:
    """The validation rows of ``SOURCE`` with at least two views.

    Raises:
        FileNotFoundError, ValueError: no training table, no ``group`` in it, or no such row.
    """
    table = Table(root, "val")
    path = root / "labels.npz"
    with np.load(path) as labels:
        if "group" not in labels:
            raise ValueError(f"{path}: no array 'group'; expected the face that each row shows (docs/datasets.md)")
        group_of = dict(zip(labels["id"].tolist(), labels["group"].tolist(), strict=True))
    rows = [row for row, source in enumerate(table.sources) if source == SOURCE]
    sizes: dict[str, int] = {}
    for row in rows:
        group = group_of[table.names[row]]
        sizes[group] = sizes.get(group, 0) + 1
    rows = [row for row in rows if sizes[group_of[table.names[row]]] > 1]
    if not rows:
        raise ValueError(f"{path}: no validation rows of source {SOURCE!r} with several views of one face")
    if table.points.shape[1] != 68:
        raise ValueError(f"{path}: {table.points.shape[1]} landmarks; the multi-view benchmark needs 68")
    return Views(
        names=[table.names[row] for row in rows],
        groups=[group_of[table.names[row]] for row in rows],
        target_img=table.points[rows],
        yaw_deg=table.yaw_deg[rows],
        samples=[table[row] for row in rows],
    )


def score_views(system: System, views: Views, draws: int = 2000, seed: int = 0) -> list[ViewScore]:
    """With 68 and with 66 points; predictions of 66 points with those alone.

    Raises:
        ValueError: another number of landmarks.
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
    raise ValueError(f"{system.name}: {n_points} landmarks; the multi-view benchmark takes 68 or 66")


def _score(
    system: System, views: Views, target: NDArray[np.float32], eyes: tuple[int, int], draws: int, seed: int
) -> ViewScore:
    found = np.flatnonzero(system.found)
    groups = np.array(views.groups)
    reason = NO_DEPTH if not system.has_depth else NO_FACE if not len(found) else None
    shared: dict[str, Any] = {
        "system": system.name,
        "boxes": system.boxes,
        "n_points": target.shape[1],
        "faces": len(set(views.groups)),
        "views": len(views.names),
        "missed": len(views.names) - len(found),
    }
    if reason is not None:
        return ViewScore(
            **shared, pairs=0, cvgtce=reason, cvgtce_interval=None, other_view_spread=0, gte=reason, gte_interval=None
        )
    others = [np.flatnonzero((groups == groups[row]) & (np.arange(len(groups)) != row)) for row in found]
    sizes = np.array([len(o) for o in others])
    errors = cvgtce(system.points_img[np.repeat(found, sizes)], target[np.concatenate(others)], eyes)
    per_view = np.split(errors, np.cumsum(sizes)[:-1])
    cross = np.array([e.mean() for e in per_view])
    own = ground_truth_error(system.points_img[found], target[found], eyes)
    names = groups[found].tolist()
    return ViewScore(
        **shared,
        pairs=len(errors),
        cvgtce=yaw_table(cross, views.yaw_deg[found]),
        cvgtce_interval=interval(bootstrap_groups(cross, names, draws, seed)),
        other_view_spread=max(float(np.ptp(e)) for e in per_view),
        gte=yaw_table(own, views.yaw_deg[found]),
        gte_interval=interval(bootstrap_groups(own, names, draws, seed)),
    )


def views_table(scores: Sequence[ViewScore]) -> TextTable:
    """Both errors of all systems as one table."""
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
            f"CVGTCE: mean over all other views of the face; which of them is taken changes one view's error by "
            f"{100 * spread:.3f} at most, because the views are one rigid shape.",
        ),
    )
