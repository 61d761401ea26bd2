"""AFLW2000-3D: score landmarks against labels. No file access, no formatting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jvcr.evaluate.aflw2000_truth import Truth
from jvcr.evaluate.benchmark import NO_DEPTH, NO_FACE, OTHER_MARKUP
from jvcr.evaluate.pose import PoseReport, pose_report
from jvcr.evaluate.systems import System
from jvcr.metrics import (
    Balanced,
    Bootstrap,
    Interval,
    YawTable,
    area_under_ced,
    balanced_mean,
    bootstrap,
    ced,
    failure_rate,
    ground_truth_error,
    interval,
    normalised_mean_error,
    normalised_mean_error_3d,
    region_errors,
    yaw_members,
    yaw_table,
)

Points = NDArray[np.floating]
PIXEL_BASES = ("respected", "as-published")
"""How the 1-based original labels are read (docs/evaluation.md)."""

CED_STEPS = 200


@dataclass(frozen=True)
class Options:
    """limit: of CED, AUC and failure rate, a ratio. draws: of the bootstrap. pixel_base: see docs/evaluation.md.

    Raises:
        ValueError: an unknown pixel base.
    """

    limit: float = 0.10
    draws: int = 2000
    balanced_draws: int = 1000
    balanced_per_bin: int = 232
    seed: int = 0
    pixel_base: str = "respected"

    def __post_init__(self) -> None:
        if self.pixel_base not in PIXEL_BASES:
            raise ValueError(f"pixel_base {self.pixel_base!r} is unknown; expected {' or '.join(PIXEL_BASES)}")


@dataclass(frozen=True)
class Cell:
    """Means of one error over the detected faces, as ratios, with 95 % bootstrap intervals."""

    table: YawTable
    bins_interval: tuple[Interval, ...]
    mean_interval: Interval
    image_mean_interval: Interval
    balanced: Balanced


@dataclass(frozen=True)
class Curve:
    """Cumulative error distribution up to ``limit`` over *all* faces; a missed face counts as above every threshold."""

    limit: float
    thresholds: tuple[float, ...]
    fractions: tuple[float, ...]
    auc: float
    failure_rate: float


@dataclass(frozen=True, eq=False)
class Score:
    """All scores of one system. Where a score cannot be measured, a text gives the reason.

    Attributes:
        cells: (error, labels, yaw) → means. Errors are "NME", "GTE" and "3D NME"; "GTE" and "3D NME" exist for original
            labels only.
        curves: labels → cumulative distribution of NME.
        regions: labels → group of landmarks → NME by fitted yaw.
        pose: head-pose errors.
        per_face: (error, labels) → (B,), NaN for missed faces.
    """

    system: System
    faces: int
    missed: int
    missed_by_bin: tuple[int, ...]
    cells: dict[tuple[str, str, str], Cell | str]
    curves: dict[str, Curve | str]
    regions: dict[str, dict[str, YawTable] | str]
    pose: PoseReport | str
    per_face: dict[tuple[str, str], NDArray[np.float64]]

    def cell(self, error: str, labels: str = "original", yaw: str = "fitted") -> Cell | str:
        """The means of one error, or a text that says why there are none."""
        return self.cells[error, labels, yaw]


@dataclass(frozen=True)
class Difference:
    """Mean of bins of this system minus that of the first, on the same faces, with a paired bootstrap interval."""

    mean: float
    interval: Interval


@dataclass(frozen=True)
class CommonRow:
    """Results of one system on the faces found by all systems."""

    system: str
    boxes: str
    nme: Cell
    gte: Cell | str
    to_first: Difference | None


def score(system: System, truth: Truth, options: Options) -> Score:
    """Score one system.

    Raises:
        ValueError: the number of landmarks differs from the labels'.
    """
    n_points = truth.original_img.shape[1]
    if system.points_img.shape[1] != n_points:
        raise ValueError(
            f"{system.name}: {system.points_img.shape[1]} landmarks; this benchmark's labels have {n_points}"
        )
    per_face = _per_face(system, truth, options)
    missed = ~system.found
    cells: dict[tuple[str, str, str], Cell | str] = {}
    for error, labels in (("NME", "original"), ("NME", "Reannotated"), ("GTE", "original"), ("3D NME", "original")):
        for name, yaw_deg in truth.yaws.items():
            errors = per_face[error, labels]
            if isinstance(errors, str) or isinstance(yaw_deg, str):
                cells[error, labels, name] = errors if isinstance(errors, str) else str(yaw_deg)
            else:
                cells[error, labels, name] = cell(errors, yaw_deg, options)
    known = {key: errors for key, errors in per_face.items() if not isinstance(errors, str)}
    yaw = truth.fitted_yaw_deg
    pose: PoseReport | str = NO_DEPTH if n_points == 68 else OTHER_MARKUP
    if system.has_depth and n_points == 68:
        pose = pose_report(system.points_img, truth.pose) or NO_FACE
    return Score(
        system=system,
        faces=len(missed),
        missed=int(missed.sum()),
        missed_by_bin=tuple(a - b for a, b in zip(_counts(yaw), _counts(yaw[~missed]), strict=True)),
        cells=cells,
        curves={name: _curve(per_face["NME", name], options.limit) for name in truth.labels},
        regions={name: _regions(system, truth, name, options) for name in truth.labels},
        pose=pose,
        per_face=known,
    )


def cell(errors: NDArray[np.float64], yaw_deg: NDArray[np.float64], options: Options) -> Cell | str:
    """Means by yaw. Missed faces (NaN) are excluded."""
    found = ~np.isnan(errors)
    if not found.any():
        return NO_FACE
    errors, yaw_deg = errors[found], yaw_deg[found]
    drawn = bootstrap(errors, yaw_deg, options.draws, options.seed)
    return Cell(
        table=yaw_table(errors, yaw_deg),
        bins_interval=tuple(interval(drawn.bins[:, i]) for i in range(drawn.bins.shape[1])),
        mean_interval=interval(drawn.mean),
        image_mean_interval=interval(drawn.image_mean),
        balanced=balanced_mean(errors, yaw_deg, options.balanced_per_bin, options.balanced_draws, options.seed),
    )


def common(scores: Sequence[Score], truth: Truth, options: Options) -> list[CommonRow]:
    """Score the systems on the faces found by all of them; [] if there is no such face."""
    found = np.logical_and.reduce([s.system.found for s in scores])
    if not found.any():
        return []
    yaw = truth.fitted_yaw_deg[found]
    rows: list[CommonRow] = []
    first: Bootstrap | None = None
    for one in scores:
        errors = one.per_face["NME", "original"][found]
        nme = cell(errors, yaw, options)
        depth = one.per_face.get(("GTE", "original"))
        assert isinstance(nme, Cell)
        # The same seed for every system, so that all are scored on the same draws of faces.
        drawn = bootstrap(errors, yaw, options.draws, options.seed)
        to_first = None
        if first is None:
            first = drawn
        else:
            to_first = Difference(nme.table.mean - rows[0].nme.table.mean, interval((drawn - first).mean))
        gte = NO_DEPTH if depth is None else cell(depth[found], yaw, options)
        rows.append(CommonRow(one.system.name, one.system.boxes, nme, gte, to_first))
    return rows


def target_of(truth: Truth, labels: str, pixel_base: str) -> Points | str:
    """The labels to compare 0-based predictions with.

    The reader subtracts 1 from the 1-based original labels. ``as-published`` adds it back, because common benchmark
    code does not subtract it.
    """
    target = truth.labels[labels]
    if isinstance(target, str) or labels != "original" or pixel_base == "respected":
        return target
    return target + np.array([1, 1, 0], np.float32)


def _per_face(system: System, truth: Truth, options: Options) -> dict[tuple[str, str], NDArray[np.float64] | str]:
    out: dict[tuple[str, str], NDArray[np.float64] | str] = {}
    for labels in truth.labels:
        target = target_of(truth, labels, options.pixel_base)
        out["NME", labels] = (
            target if isinstance(target, str) else normalised_mean_error(system.points_img[..., :2], target[..., :2])
        )
    target = target_of(truth, "original", options.pixel_base)
    assert not isinstance(target, str)
    if system.has_depth:
        out["GTE", "original"] = ground_truth_error(system.points_img, target, truth.markup.normaliser)
        out["3D NME", "original"] = normalised_mean_error_3d(system.points_img, target)
    else:
        out["GTE", "original"] = out["3D NME", "original"] = NO_DEPTH
    return out


def _curve(errors: NDArray[np.float64] | str, limit: float) -> Curve | str:
    if isinstance(errors, str):
        return errors
    thresholds = np.linspace(0, limit, CED_STEPS + 1)
    return Curve(
        limit,
        tuple(thresholds.tolist()),
        tuple(ced(errors, thresholds).tolist()),
        area_under_ced(errors, limit),
        failure_rate(errors, limit),
    )


def _regions(system: System, truth: Truth, labels: str, options: Options) -> dict[str, YawTable] | str:
    target = target_of(truth, labels, options.pixel_base)
    if isinstance(target, str):
        return target
    found = system.found
    if not found.any():
        return NO_FACE
    errors = region_errors(system.points_img[found][..., :2], target[found][..., :2], truth.markup.groups)
    return {name: yaw_table(values, truth.fitted_yaw_deg[found]) for name, values in errors.items()}


def _counts(yaw_deg: NDArray[np.float64]) -> tuple[int, ...]:
    return tuple(int(members.sum()) for members in yaw_members(yaw_deg))
