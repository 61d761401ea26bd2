"""Expression: predicted landmarks against hand marks.

The labels of common face benchmarks come from linear face models, which flatten expressions: a network that never
closes an eye scores well on them. Here, hand marks are the ground truth. Their markup differs slightly from that of the
labels. So openings are compared as ratios within a face, and positions are also compared after removing the constant
offset of each landmark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jvcr.data.reading import read_arrays
from jvcr.data.sample import Sample
from jvcr.data.table import Table as TrainingTable
from jvcr.evaluate.ranking import area_under_roc
from jvcr.evaluate.systems import System
from jvcr.evaluate.tone import TONES, tone_of, typology_angle_deg
from jvcr.expression import (
    CLOSED_EYE,
    OPEN_EYE,
    SHUT_MOUTH,
    WIDE_MOUTH,
    brow_heights,
    eye_openings,
    mouth_opening,
    smile,
)
from jvcr.frames import Crop
from jvcr.geometry import crop_tilt_deg
from jvcr.markups.markup import MARKUP_68
from jvcr.metrics import yaw_members

Values = NDArray[np.float64]

INNER = tuple(range(17, 68))
"""All landmarks except the jaw. Hand marks follow the visible outline; our landmarks follow the jaw of the 3D head."""

FOLDS = 5

HAND_FILE = "hand2d.npz"
"""File with hand marks in the folder of AFLW2000-3D: ``id``, ``points2d`` (B, 68, 2); optionally ``good`` (B,), which
faces to use, and ``externally_occluded`` (B, 68)."""

MEASURES = {
    "eye opening": eye_openings,
    "mouth opening": mouth_opening,
    "smile": smile,
    "brow height": brow_heights,
}

YAW_NAMES = ("all", "up to 30°", "30° to 60°", "over 60°")


@dataclass(frozen=True, eq=False)
class ExpressionTruth:
    """Hand marks of B faces.

    Attributes:
        title: name of the data, for display.
        hand_img: (B, 68, 2) hand marks, pixels of the photo; NaN for landmarks that are not marked, or that are
            occluded, such as an eye behind sunglasses.
        target_img: (B, 68, 3) the labels. Errors are divided by the size of their box.
        yaw_deg: (B,).
        tones: B names of the apparent skin tone (``jvcr.evaluate.tone``); empty if unknown.
    """

    title: str
    names: list[str]
    hand_img: NDArray[np.float64]
    target_img: NDArray[np.float64]
    yaw_deg: Values
    tones: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError(f"{self.title}: no face has hand marks")

    def subsets(self) -> dict[str, NDArray[np.bool_]]:
        """Name of each subset → (B,) which faces are in it: ``YAW_NAMES`` and, if known, ``TONES``."""
        everything = np.ones(len(self.names), bool)
        subsets = dict(zip(YAW_NAMES, (everything, *yaw_members(self.yaw_deg)), strict=True))
        tones = np.array(self.tones)
        return subsets | {tone: tones == tone for tone in TONES if self.tones}


def truth_of_samples(title: str, samples: Sequence[Sample]) -> ExpressionTruth:
    """The hand-marked faces among the samples (``Sample.hand2d``).

    Raises:
        ValueError: no sample has hand marks.
    """
    marked = [s for s in samples if s.hand2d is not None and np.isfinite(s.hand2d).any()]
    return ExpressionTruth(
        title,
        [s.name for s in marked],
        np.array([_where_visible(s) for s in marked]),
        np.array([s.points_img for s in marked], np.float64),
        np.array([s.yaw_deg for s in marked]),
        tuple(tone_of(typology_angle_deg(s.image, s.points_img)) for s in marked),
    )


def _where_visible(sample: Sample) -> NDArray[np.float64]:
    assert sample.hand2d is not None
    marks = sample.hand2d.astype(np.float64)
    if sample.visibility is not None:
        marks[sample.visibility > 0] = np.nan
    return marks


def marked_rows(table: TrainingTable) -> list[int]:
    """The rows with at least one hand-marked landmark."""
    return np.flatnonzero(np.isfinite(table.hand2d).any(axis=(1, 2))).tolist()


def read_hand_marks(path: Path) -> dict[str, NDArray[np.float32]]:
    """Hand marks by image name: (68, 2) pixels, NaN for landmarks that are occluded or not marked.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file's arrays are not those that ``HAND_FILE`` describes.
    """
    arrays = read_arrays(path, ("id", "points2d"))
    names, points = arrays["id"].tolist(), arrays["points2d"]
    if points.shape != (len(names), 68, 2) or points.dtype.kind != "f":
        raise ValueError(
            f"{path}: points2d are {points.dtype} of shape {points.shape}; expected floats ({len(names)}, 68, 2)"
        )
    good = arrays.get("good", np.ones(len(names), bool))
    if good.shape != (len(names),):
        raise ValueError(f"{path}: good has shape {good.shape}; expected ({len(names)},)")
    hidden = arrays.get("externally_occluded", np.zeros(points.shape[:2], bool))
    if hidden.shape != points.shape[:2]:
        raise ValueError(f"{path}: externally_occluded has shape {hidden.shape}; expected {points.shape[:2]}")
    marks = np.where(hidden[..., None], np.nan, points).astype(np.float32)
    return {name: of_face for name, of_face, use in zip(names, marks, good, strict=True) if use}


@dataclass(frozen=True)
class Fit:
    """Regression of predicted on true ratios: number of pairs, slope, correlation."""

    count: int
    slope: float
    correlation: float


@dataclass(frozen=True)
class Group:
    """A group of eyes or mouths: how many, and the medians of their true and predicted openings."""

    count: int
    true: float
    predicted: float


@dataclass(frozen=True, eq=False)
class ExpressionScore:
    """All scores of one system, on the faces that it found.

    Attributes:
        fits: subset of the faces (``ExpressionTruth.subsets``) → measure → fit.
        closed_eyes: subset → area under the ROC curve of a classifier of closed eyes by their predicted opening.
        groups: "closed eyes", "open eyes", "shut mouths", "wide mouths".
        inner: subset → NME of the inner landmarks against the hand marks: raw, and with the markups' offset removed.
        pairs: measure → (K, 2) true and predicted values, for plots.
        worst: rows of the truth, worst first.
    """

    system: System
    faces: int
    missed: int
    fits: dict[str, dict[str, Fit]]
    closed_eyes: dict[str, float]
    groups: dict[str, Group]
    inner: dict[str, tuple[float, float]]
    pairs: dict[str, Values]
    worst: list[int]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, except for NaN where there is nothing to measure."""
        return {
            "name": self.system.name,
            "boxes": self.system.boxes,
            "note": self.system.note,
            "faces": self.faces,
            "missed": self.missed,
            "fits": {name: {measure: vars(fit) for measure, fit in fits.items()} for name, fits in self.fits.items()},
            "closed_eyes_auc": self.closed_eyes,
            "groups": {name: vars(group) for name, group in self.groups.items()},
            "inner_nme": {name: {"raw": raw, "aligned": aligned} for name, (raw, aligned) in self.inner.items()},
        }


def score_expression(system: System, truth: ExpressionTruth) -> ExpressionScore:
    """Compare one system's landmarks with the hand marks.

    Raises:
        ValueError: the system does not predict the 68 landmarks, or missed all faces.
    """
    if system.points_img.shape[1] != 68:
        raise ValueError(f"{system.name}: {system.points_img.shape[1]} landmarks; expression needs the 68")
    predicted = np.asarray(system.points_img[..., :2], np.float64)
    if not system.found.any():
        raise ValueError(f"{system.name}: none of the {len(truth.names)} faces was found")
    subsets = truth.subsets()
    true = {name: _columns(measure(truth.hand_img)) for name, measure in MEASURES.items()}
    seen = {name: _columns(measure(predicted)) for name, measure in MEASURES.items()}
    raw, aligned = inner_errors(predicted, truth)
    return ExpressionScore(
        system=system,
        faces=len(predicted),
        missed=int((~system.found).sum()),
        fits={
            name: {measure: _fit(true[measure][members], seen[measure][members]) for measure in MEASURES}
            for name, members in subsets.items()
        },
        closed_eyes={
            name: closed_eyes_auc(true["eye opening"][members], seen["eye opening"][members])
            for name, members in subsets.items()
        },
        groups={
            "closed eyes": _group(true["eye opening"], seen["eye opening"], below=CLOSED_EYE),
            "open eyes": _group(true["eye opening"], seen["eye opening"], above=OPEN_EYE),
            "shut mouths": _group(true["mouth opening"], seen["mouth opening"], below=SHUT_MOUTH),
            "wide mouths": _group(true["mouth opening"], seen["mouth opening"], above=WIDE_MOUTH),
        },
        inner={name: (_mean(raw[members]), _mean(aligned[members])) for name, members in subsets.items()},
        pairs={name: _both(true[name], seen[name]) for name in MEASURES},
        worst=_worst(true, seen),
    )


def closed_eyes_auc(true: Values, predicted: Values) -> float:
    """ROC AUC of telling closed eyes (true opening < 0.12) from open ones (> 0.20) by the predicted opening.

    NaN if one class is empty.
    """
    true, predicted = _both(true, predicted).T
    closed, open_ = true < CLOSED_EYE, true > OPEN_EYE
    used = closed | open_
    return area_under_roc(predicted[used], open_[used])


def upright_offsets(predicted_img: Values, truth: ExpressionTruth) -> Values:
    """Prediction minus hand mark, rotated so that the face is upright, over sqrt(w·h) of the label's box.

    Args:
        predicted_img: (B, 68, 2); a row of NaN is a missed face.
    Returns:
        (B, 68, 2) ratios, x right and y down; NaN where a landmark is not marked.
    """
    size = np.sqrt(np.prod(np.ptp(truth.target_img[..., :2], axis=1), axis=1))
    upright = np.stack([_upright(points) for points in truth.target_img])
    return np.einsum("bij,bkj->bki", upright, predicted_img - truth.hand_img) / size[:, None, None]


def inner_errors(predicted_img: Values, truth: ExpressionTruth) -> tuple[Values, Values]:
    """NME of the marked inner landmarks, over sqrt(w·h) of the label's box.

    Args:
        predicted_img: as in ``upright_offsets``.
    Returns:
        (B,) raw errors, and (B,) errors with the mean offset of each landmark removed. The offset is estimated in the
        upright frame from the other four fifths of the faces, so that no face removes its own error.
    """
    turned = upright_offsets(predicted_img, truth)[:, INNER]
    fold = np.arange(len(turned)) % FOLDS
    aligned = turned.copy()
    for number in range(FOLDS):
        others = turned[fold != number]
        marked = np.isfinite(others)
        mean = np.where(marked, others, 0).sum(axis=0) / np.maximum(1, marked.sum(axis=0))
        aligned[fold == number] -= mean
    return _mean_length(turned), _mean_length(aligned)


def _upright(points_img: Values) -> Values:
    """(2, 2) the rotation that makes a face with these labels upright."""
    return Crop(0, 0, 1, 1, -crop_tilt_deg(points_img, MARKUP_68)).matrix[:, :2]


def _mean_length(offset: Values) -> Values:
    """(B, K, 2) → (B,) mean length over the marked landmarks; NaN if none is marked."""
    length = np.linalg.norm(offset, axis=2)
    marked = np.isfinite(length)
    total = np.where(marked, length, 0).sum(axis=1)
    return np.where(marked.any(axis=1), total / np.maximum(1, marked.sum(axis=1)), np.nan)


def _columns(values: Values) -> Values:
    """(B,) or (B, K) → (B, K)."""
    return values.reshape(len(values), -1)


def _both(true: Values, predicted: Values) -> Values:
    """(K, 2) the pairs whose values are both finite."""
    pairs = np.stack([true.ravel(), predicted.ravel()], axis=1)
    return np.asarray(pairs[np.isfinite(pairs).all(axis=1)])


def _fit(true: Values, predicted: Values) -> Fit:
    pairs = _both(true, predicted)
    if len(pairs) < 3 or np.ptp(pairs[:, 0]) == 0 or np.ptp(pairs[:, 1]) == 0:
        return Fit(len(pairs), float("nan"), float("nan"))
    covariance = np.cov(pairs.T)
    return Fit(
        len(pairs),
        float(covariance[0, 1] / covariance[0, 0]),
        float(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])),
    )


def _group(true: Values, predicted: Values, above: float = -np.inf, below: float = np.inf) -> Group:
    pairs = _both(true, predicted)
    chosen = pairs[(pairs[:, 0] > above) & (pairs[:, 0] < below)]
    if not len(chosen):
        return Group(0, float("nan"), float("nan"))
    return Group(len(chosen), *np.median(chosen, axis=0).tolist())


def _mean(values: Values) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _worst(true: dict[str, Values], seen: dict[str, Values]) -> list[int]:
    """Rows sorted by the largest error in the opening of an eye or the mouth, relative to OPEN_EYE or WIDE_MOUTH."""
    errors = np.concatenate(
        [
            np.abs(seen["eye opening"] - true["eye opening"]) / OPEN_EYE,
            np.abs(seen["mouth opening"] - true["mouth opening"]) / WIDE_MOUTH,
        ],
        axis=1,
    )
    largest = np.nan_to_num(errors, nan=-1.0).max(axis=1)
    return [int(row) for row in np.argsort(-largest, kind="stable") if largest[row] >= 0]
