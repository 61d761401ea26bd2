"""Are visibility and σ of single landmarks true? Against hand-marked visibility and labels (docs/evaluation.md)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import jvcr
from jvcr.data.formats.aflw2000 import read_aflw2000, reannotated_targets
from jvcr.data.reading import read_arrays
from jvcr.data.sample import Sample
from jvcr.data.table import Table as TrainingTable
from jvcr.evaluate.benchmark import BINS, BenchmarkReport, Progress, counted, no_progress, today, without_nan
from jvcr.evaluate.expression_scores import HAND_FILE
from jvcr.evaluate.ranking import area_under_roc, calibration_error
from jvcr.evaluate.robustness import REFERENCE, case_of
from jvcr.evaluate.systems import DEFAULT_EXECUTION, Execution, Weights, chosen_weights, open_networks
from jvcr.frames import diagonals
from jvcr.landmarker import Landmarker
from jvcr.markups.markup import MARKUP_68
from jvcr.metrics import normalised_mean_error, yaw_members
from jvcr.report import NONE, Table, percent
from jvcr.results import Face
from jvcr.runtime.base import Runtime

DEGRADED = (
    "blurred, σ 4 % of the box",
    "a tenth of the light",
    "40 % of the box covered",
    "box of 32 px",
    "box of 20 px",
)
"""Conditions of ``jvcr.evaluate.robustness`` under which σ is measured too."""

REMOVED = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Shares of faces that the sparsification table leaves out."""

WORST = 0.1

VISIBLE, OCCLUDED, SELF_OCCLUDED = 0, 1, 2

PARTS = {
    "jaw": ("jaw",),
    "brows": ("right_brow", "left_brow"),
    "nose": ("nose_bridge", "nose_base"),
    "eyes": ("right_eye", "left_eye"),
    "mouth": ("outer_lips", "inner_lips"),
}


@dataclass(frozen=True)
class Coverage:
    """Errors of x and y against σ: how many, the shares within 1σ and 2σ, and the median σ in diagonals of the box."""

    count: int
    within_1: float
    within_2: float
    median_sigma: float


@dataclass(frozen=True)
class Sparsification:
    """NME of the faces that remain when the worst are left out.

    Attributes:
        removed: shares of faces left out.
        by_sigma: NME without those of the largest mean σ.
        by_error: NME without those of the largest error, which no estimate can beat.
    """

    removed: tuple[float, ...]
    by_sigma: tuple[float, ...]
    by_error: tuple[float, ...]


@dataclass(frozen=True)
class ConfidenceScore:
    """Figures of one network.

    Attributes:
        visibility: "self-occluded", "occluded" or "both" → area under the ROC curve of visible landmarks against these.
        calibration: expected calibration error of the visibility.
        landmarks: number of landmarks with known visibility.
        coverage: by group of landmarks or faces, and by condition.
        sparsification: of the faces as they are.
        worst: errors against which labels → share of the tenth of the faces with the largest σ that is among the tenth
            with the largest error. With two sets of labels, also against the mean of both errors, in which the noise of
            either counts less.
        labels_agree: the same share for the errors against two sets of labels, which bounds it for each of them; None
            with one set.
        reliable: share of faces with ``Face.reliable``, their NME, and that of the others.
    """

    visibility: dict[str, float]
    calibration: float
    landmarks: int
    coverage: dict[str, Coverage]
    sparsification: Sparsification
    worst: dict[str, float]
    labels_agree: float | None
    reliable: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class ConfidenceReport(BenchmarkReport):
    """Scores by network name."""

    samples: str
    faces: int
    date: str
    scores: Mapping[str, ConfidenceScore]

    def tables(self) -> list[Table]:
        """Visibility, σ and sparsification of each network."""
        return [table for name, score in self.scores.items() for table in _tables(f"jvcr {name}", self.samples, score)]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able. Errors are ratios; NaN becomes None."""
        record = {
            "benchmark": "confidence",
            "version": jvcr.__version__,
            "date": self.date,
            "samples": self.samples,
            "faces": self.faces,
            "systems": {name: _plain(score) for name, score in self.scores.items()},
        }
        return dict(without_nan(record))


def evaluate(
    root: str | Path,
    weights: Weights | None = None,
    *,
    mirror: bool = True,
    refine: bool = True,
    execution: Execution = DEFAULT_EXECUTION,
    hand: Path | None = None,
    without: Collection[str] = (),
    conditions: Sequence[str] = DEGRADED,
    progress: Progress = no_progress,
) -> ConfidenceReport:
    """Score what networks say about their own landmarks, in ground-truth boxes.

    Args:
        root: folder of a training table, whose validation rows are taken, or of AFLW2000-3D.
        weights: networks of the 68 points with ``Face.sigma_px``; ``small`` by default.
        mirror, refine: as of ``jvcr.Landmarker``.
        execution: what runs the networks.
        hand: visibility of AFLW2000-3D's landmarks; ``hand2d.npz`` in the folder by default.
        without: names of images to leave out.
        conditions: names of ``jvcr.evaluate.robustness.CONDITIONS``, for σ.
        progress: see ``jvcr.evaluate.benchmark.Progress``.
    Raises:
        FileNotFoundError, ValueError, ImageError: a file is missing or damaged, or weights cannot tell visibility
            and σ.
    """
    networks = open_networks(chosen_weights(weights), execution, (MARKUP_68.n_points,))
    for name, network in networks.items():
        if network.confidence.landmarks is None:
            raise ValueError(
                f"weights {name} cannot tell visibility and σ of landmarks; fit them with "
                "recipes/calibrate_landmarks.py, then export again"
            )
    title, samples, visibility = _truth(Path(root), hand, frozenset(without))
    second = reannotated_targets(Path(root), [sample.name for sample in samples])
    scores = {
        name: _score(network, samples, visibility, second, (mirror, refine), conditions, f"jvcr {name}", progress)
        for name, network in networks.items()
    }
    return ConfidenceReport(title, len(samples), today(), scores)


def _truth(root: Path, hand: Path | None, without: frozenset[str]) -> tuple[str, list[Sample], NDArray[np.int8]]:
    """Name of the data, samples, and (B, 68) visibility."""
    if (root / "labels.npz").is_file():
        table = TrainingTable(root, "val")
        samples = [sample for sample in map(table.__getitem__, range(len(table))) if sample.name not in without]
        known = [sample.visibility for sample in samples]
        return "validation rows", samples, np.stack([v for v in known if v is not None])
    marks = _read_visibility(hand or root / HAND_FILE)
    samples = [sample for sample in read_aflw2000(root) if sample.name not in without]
    if not samples:
        raise ValueError(f"{root}: no image is left")
    unknown = np.full(MARKUP_68.n_points, -1, np.int8)
    title = f"AFLW2000-3D without {len(without)} named images" if without else "AFLW2000-3D"
    return title, samples, np.stack([marks.get(sample.name, unknown) for sample in samples])


def _read_visibility(path: Path) -> dict[str, NDArray[np.int8]]:
    """By name of the image: (68,) visibility, as of ``Sample``."""
    arrays = read_arrays(path, ("id", "self_occluded", "externally_occluded"))
    shape = (len(arrays["id"]), MARKUP_68.n_points)
    for name in ("self_occluded", "externally_occluded"):
        if arrays[name].shape != shape:
            raise ValueError(f"{path}: {name} has shape {arrays[name].shape}; expected {shape}")
    seen = np.where(arrays["self_occluded"], SELF_OCCLUDED, np.where(arrays["externally_occluded"], OCCLUDED, VISIBLE))
    good = arrays.get("good", np.ones(len(seen), bool))
    return {name: row.astype(np.int8) for name, row, use in zip(arrays["id"].tolist(), seen, good, strict=True) if use}


def _score(
    network: Runtime,
    samples: list[Sample],
    visibility: NDArray[np.int8],
    second: NDArray[np.float32] | None,
    passes: tuple[bool, bool],
    conditions: Sequence[str],
    stage: str,
    progress: Progress,
) -> ConfidenceScore:
    mirror, refine = passes
    landmarker = Landmarker(backend=network, mirror=mirror, refine=refine)

    def faces(condition: str) -> list[Face]:
        found = []
        for sample in counted(samples, f"{stage}, {condition}", len(samples), progress):
            case = case_of(condition, sample)
            found += landmarker.predict(case.image, [case.box])
        return found

    plain = faces(REFERENCE)
    target = np.stack([sample.points_img for sample in samples])
    members = yaw_members(np.array([sample.yaw_deg for sample in samples]))
    ratios, sigma = _ratios(plain, target)
    coverage = {"all": _coverage(ratios, sigma)}
    for name, chosen in zip(BINS, members, strict=True):
        coverage[f"yaw {name}"] = _coverage(ratios[chosen], sigma[chosen])
    for part, groups in PARTS.items():
        points = [i for group in groups for i in MARKUP_68.groups[group]]
        coverage[part] = _coverage(ratios[:, points], sigma[:, points])
    for condition in conditions:
        coverage[condition] = _coverage(*_ratios(faces(condition), target))
    predicted = np.stack([face.landmarks for face in plain])
    nme, means = normalised_mean_error(predicted, target), sigma.mean(axis=1)
    again = None if second is None else normalised_mean_error(predicted[..., :2], second)
    reliable = np.array([bool(face.reliable) for face in plain])
    probability = np.stack([_known(face.visibility) for face in plain])
    return ConfidenceScore(
        **_visibility(probability, visibility),
        coverage=coverage,
        sparsification=sparsification(means, nme),
        worst=_worst_by_labels(means, nme, again),
        labels_agree=None if again is None else worst_precision(nme, again),
        reliable=(float(reliable.mean()), _mean(nme[reliable]), _mean(nme[~reliable])),
    )


def _worst_by_labels(
    sigma: NDArray[np.floating], error: NDArray[np.floating], again: NDArray[np.floating] | None
) -> dict[str, float]:
    """``ConfidenceScore.worst``. again: errors against the second set of labels."""
    if again is None:
        return {"the labels": worst_precision(sigma, error)}
    errors = {"original labels": error, "Reannotated labels": again, "the mean of both": (error + again) / 2}
    return {name: worst_precision(sigma, values) for name, values in errors.items()}


def _visibility(probability: NDArray[np.float32], truth: NDArray[np.int8]) -> dict[str, Any]:
    """The fields of a score that are about visibility."""
    against = {"self-occluded": (SELF_OCCLUDED,), "occluded": (OCCLUDED,), "both": (OCCLUDED, SELF_OCCLUDED)}
    areas = {}
    for name, kinds in against.items():
        used = np.isin(truth, (VISIBLE, *kinds))
        areas[name] = area_under_roc(probability[used], truth[used] == VISIBLE)
    known = truth >= 0
    calibration = calibration_error(probability[known], truth[known] == VISIBLE)
    return {"visibility": areas, "calibration": calibration, "landmarks": int(known.sum())}


def sparsification(sigma: NDArray[np.floating], error: NDArray[np.floating]) -> Sparsification:
    """How well σ sorts faces by their error.

    Args:
        sigma, error: (B,) of each face.
    """

    def remaining(order: NDArray[np.intp]) -> tuple[float, ...]:
        return tuple(_mean(error[order[: len(order) - round(share * len(order))]]) for share in REMOVED)

    by_sigma, by_error = np.argsort(sigma, kind="stable"), np.argsort(error, kind="stable")
    return Sparsification(REMOVED, remaining(by_sigma), remaining(by_error))


def worst_precision(sigma: NDArray[np.floating], error: NDArray[np.floating]) -> float:
    """Share of the tenth of the faces with the largest ``sigma`` that is among the tenth with the largest ``error``.

    Args:
        sigma, error: (B,) of each face.
    """
    tenth = max(1, round(WORST * len(error)))
    chosen, worst = (set(np.argsort(values, kind="stable")[-tenth:].tolist()) for values in (sigma, error))
    return len(chosen & worst) / tenth


def _ratios(faces: Sequence[Face], target: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(B, N, 2) errors over σ, and (B, N) σ in diagonals of the face."""
    points = np.stack([face.landmarks for face in faces])
    sigma_px = np.stack([_known(face.sigma_px) for face in faces]).astype(np.float64)
    errors = np.abs(points[..., :2] - target[..., :2])
    return errors / sigma_px[..., None], sigma_px / diagonals(points)[:, None]


def _coverage(ratios: NDArray[np.float64], sigma: NDArray[np.float64]) -> Coverage:
    if not ratios.size:
        return Coverage(0, float("nan"), float("nan"), float("nan"))
    return Coverage(ratios.size, float((ratios < 1).mean()), float((ratios < 2).mean()), float(np.median(sigma)))


def _known(values: NDArray[np.float32] | None) -> NDArray[np.float32]:
    assert values is not None
    return values


def _mean(values: NDArray[np.floating]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _tables(name: str, data: str, score: ConfidenceScore) -> list[Table]:
    curve, (share, reliable, others) = score.sparsification, score.reliable
    return [
        Table(
            f"{name}, {data}: visibility of {score.landmarks} landmarks",
            ("visible against", "area under ROC"),
            tuple((kind, _digits(area)) for kind, area in score.visibility.items()),
            (f"Expected calibration error: {_digits(score.calibration)}.",),
        ),
        Table(
            f"{name}, {data}: errors of x and y within σ",
            ("", "within 1σ, % (normal: 68.3)", "within 2σ, % (normal: 95.4)", "median σ, % of the diagonal"),
            tuple(
                (group, percent(one.within_1), percent(one.within_2), percent(one.median_sigma))
                for group, one in score.coverage.items()
            ),
        ),
        Table(
            f"{name}, {data}: NME of the remaining faces, percent",
            ("faces left out, %", "those of the largest σ", "those of the largest error"),
            tuple(
                (f"{100 * removed:g}", percent(by_sigma), percent(by_error))
                for removed, by_sigma, by_error in zip(curve.removed, curve.by_sigma, curve.by_error, strict=True)
            ),
            (
                f"Precision of the worst tenth by σ, percent: {_worst(score)}.",
                f"Reliable: {percent(share)} % of the faces, NME {percent(reliable)}; others: {percent(others)}.",
            ),
        ),
    ]


def _worst(score: ConfidenceScore) -> str:
    parts = [f"{percent(value)} against {labels}" for labels, value in score.worst.items()]
    if score.labels_agree is not None:
        parts.append(f"worst tenths of both sets of labels against each other {percent(score.labels_agree)}")
    return "; ".join(parts)


def _digits(value: float) -> str:
    return NONE if value != value else f"{value:.3f}"


def _plain(score: ConfidenceScore) -> dict[str, Any]:
    share, reliable, others = score.reliable
    return {
        "visibility_auc": score.visibility,
        "visibility_calibration_error": score.calibration,
        "landmarks": score.landmarks,
        "coverage": {group: vars(one) for group, one in score.coverage.items()},
        "sparsification": vars(score.sparsification),
        "worst_tenth": {"precision": score.worst, "labels_agree": score.labels_agree},
        "reliable": {"share": share, "nme": reliable, "nme_of_others": others},
    }
