"""Errors of predicted landmarks. NumPy; batches of (B, N, 3) in image pixels; ratios, so 0.05 means 5 %."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jvcr.frames import Points
from jvcr.geometry import align

Errors = NDArray[np.floating]
"""(B,) one error per face. In some functions, NaN means a missed face; their docstrings say so."""

YAW_BINS_DEG: tuple[tuple[float, float], ...] = ((0, 30), (30, 60), (60, float("inf")))
"""The published "(60, 90]" includes the few faces beyond 90° too: its counts, 1312/383/305, add up to all 2,000."""


def _check(predicted: Points, target: Points) -> None:
    if predicted.shape != target.shape or predicted.ndim != 3:
        raise ValueError(f"expected two (B, N, 3) arrays of one shape, got {predicted.shape} and {target.shape}")


def normalised_mean_error(predicted_img: Points, target_img: Points) -> NDArray[np.float64]:
    """NME: mean 2D landmark distance over sqrt(w·h) of the true landmarks' bounding box (JVCR, table IV).

    Args:
        predicted_img: (B, N, ≥2) image pixels; only x and y are read.
        target_img: (B, N, ≥2) same frame.
    Returns:
        (B,) ratio.
    Raises:
        ValueError: shapes differ, or a target box has no area (the batch index is named).
    Example: a box of 50×200 px and every point off by (3, 4) px gives 5 / sqrt(10000) = 0.05.
    """
    return _relative_distances(predicted_img, target_img, 2).mean(axis=1)


def normalised_mean_error_3d(predicted_img: Points, target_img: Points) -> NDArray[np.float64]:
    """3D NME: mean 3D landmark distance over sqrt(w·h) of the true landmarks' 2D bounding box.

    Arguments and errors as ``normalised_mean_error``, with (B, N, 3). Depth is compared after both z means are removed.
    Example: for a box of 50×200 px, with half of the points 6 px too near and half 6 px too far, the result is 0.06.
    """
    return _relative_distances(predicted_img, target_img, 3).mean(axis=1)


def region_errors(
    predicted_img: Points, target_img: Points, groups: Mapping[str, Sequence[int]]
) -> dict[str, NDArray[np.float64]]:
    """NME of each group of landmarks, normalised by sqrt(w·h) of the *whole* face's box: name → (B,) ratio.

    Arguments and errors as ``normalised_mean_error``. If every landmark is in exactly one group, the mean of the
    groups' errors, weighted by group size, is the NME.
    """
    distances = _relative_distances(predicted_img, target_img, 2)
    return {name: distances[:, list(members)].mean(axis=1) for name, members in groups.items()}


def _relative_distances(predicted: Points, target: Points, n_axes: int) -> NDArray[np.float64]:
    """(B, N) distances over sqrt(w·h). With three axes, the mean depth difference is removed first."""
    _check(predicted, target)
    if predicted.shape[2] < n_axes:
        raise ValueError(f"expected {n_axes} coordinates per landmark, got {predicted.shape[2]}")
    target = target.astype(np.float64)
    extent = np.ptp(target[..., :2], axis=1)
    size = np.sqrt(extent[:, 0] * extent[:, 1])
    if (size == 0).any():
        raise ValueError(f"target {int(np.argmin(size))} has an empty bounding box")
    difference = predicted[..., :n_axes].astype(np.float64) - target[..., :n_axes]
    if n_axes == 3:
        difference[..., 2] -= difference[..., 2].mean(axis=1, keepdims=True)
    return np.linalg.norm(difference, axis=-1) / size[:, None]


def ground_truth_error(
    predicted_img: Points, target_img: Points, normaliser: tuple[int, int] = (36, 45)
) -> NDArray[np.float64]:
    """GTE: mean 3D landmark distance over the true outer-eye distance in 3D (JVCR, section IV-C).

    Args:
        predicted_img: (B, N, 3) image pixels. Not modified.
        target_img: (B, N, 3) same frame and same depth direction.
        normaliser: indices of the outer eye corners: 36 and 45 both in iBUG's 68 points and in 3DFAW's 66, which
            lack only two points of the mouth.
    Returns:
        (B,) ratio.
    Raises:
        ValueError: shapes differ, or an outer-eye distance is zero (the batch index is named).
    The difference of mean depth is removed first, because absolute depth is not observable.
    Example: a shift in x of a tenth of the outer-eye distance gives exactly 0.1; a shift in z gives 0.
    """
    _check(predicted_img, target_img)
    target = target_img.astype(np.float64)
    difference = predicted_img.astype(np.float64) - target
    difference[..., 2] -= difference[..., 2].mean(axis=1, keepdims=True)
    return np.linalg.norm(difference, axis=-1).mean(axis=1) / _eye_distance(target, normaliser)


def _eye_distance(target: Points, normaliser: tuple[int, int]) -> NDArray[np.float64]:
    first, second = normaliser
    eyes = np.linalg.norm(target[:, first].astype(np.float64) - target[:, second], axis=-1)
    if (eyes == 0).any():
        raise ValueError(f"target {int(np.argmin(eyes))} has an outer-eye distance of zero")
    return eyes


def cvgtce(predicted_img: Points, other_view: Points, normaliser: tuple[int, int] = (36, 45)) -> NDArray[np.float64]:
    """CVGTCE: cross-view consistency error of the 3DFAW challenge (JVCR, section IV-C).

    The prediction x on one view is aligned with the ground truth y of *another* view of the same face by the similarity
    (s, R, t) that minimises Σ‖y_k − (s R x_k + t)‖²; the error is mean_k ‖(s R x_k + t) − y_k‖ / d, where d is the
    outer-eye distance of y.

    Args:
        predicted_img: (B, N, 3) prediction on one view, image pixels.
        other_view: (B, N, 3) ground truth of another view, in any frame with the same handedness.
        normaliser: indices of the outer eye corners.
    Returns:
        (B,) ratio. Invariant to rotation, translation and scale of either argument.
    Raises:
        ValueError: shapes differ, all predicted points coincide, or an outer-eye distance is zero.
    Example: a ground truth that is the prediction, rotated by 40° and scaled by 2, gives 0.
    """
    _check(predicted_img, other_view)
    eyes = _eye_distance(other_view, normaliser)
    errors = np.empty(len(predicted_img))
    for row, (x, y) in enumerate(zip(predicted_img, other_view, strict=True)):
        errors[row] = np.linalg.norm(align(x, y).apply(x) - y, axis=-1).mean()
    return errors / eyes


def ced(errors: Errors, thresholds: Errors) -> NDArray[np.float64]:
    """Cumulative error distribution: the share of faces with an error *below* each threshold.

    Args:
        errors: (B,); NaN for a missed face, which counts as above every threshold.
        thresholds: (T,).
    Returns:
        (T,) in 0…1.
    Example: errors 1, 2, 4 and one missed face give 0.5 at threshold 2.5: two faces of four.
    """
    _refuse_empty(errors)
    known = np.sort(errors[~np.isnan(errors)])
    return np.searchsorted(known, thresholds, side="left") / len(errors)


def area_under_ced(errors: Errors, limit: float) -> float:
    """AUC: the exact area under ``ced`` from 0 to ``limit``, divided by ``limit``. It is 1 if every error is 0.

    NaN is a missed face. Each face contributes the range of thresholds above its error, so the area is the mean of
    max(0, 1 − error / limit).
    Example: errors 0.02 and 0.10 with a limit of 0.08 give (0.75 + 0) / 2.
    """
    _refuse_empty(errors)
    return float(np.nan_to_num(np.clip(1 - errors / limit, 0, 1), nan=0.0).mean())


def failure_rate(errors: Errors, limit: float) -> float:
    """The share of faces with an error of at least ``limit``, including missed faces (NaN): 1 − ``ced`` there."""
    return 1 - float(ced(errors, np.array([limit]))[0])


def _refuse_empty(errors: Errors) -> None:
    if not len(errors):
        raise ValueError("there is no face: expected at least one error")


@dataclass(frozen=True)
class YawTable:
    """Mean error per bin of |yaw|, and the mean of the three bins, as in the paper's Table IV.

    A bin without faces is NaN, and so is the mean of the bins.
    """

    bins: tuple[float, ...]
    counts: tuple[int, ...]
    mean: float
    std: float
    image_mean: float


def yaw_members(yaw_deg: NDArray[np.floating]) -> list[NDArray[np.bool_]]:
    """(B,) degrees → for each of ``YAW_BINS_DEG``, which faces are in it. An unknown yaw (NaN) is in no bin."""
    size = np.abs(yaw_deg)
    return [(size <= high) & ((size > low) | (low == 0)) for low, high in YAW_BINS_DEG]


def yaw_table(errors: NDArray[np.floating], yaw_deg: NDArray[np.floating]) -> YawTable:
    """Errors (B,) and yaw (B,) in degrees → per-bin means. Bins of |yaw| are [0, 30], (30, 60] and over 60.

    ``std`` is the sample standard deviation (ddof = 1) of the bin means.
    """
    members = yaw_members(yaw_deg)
    bins = tuple(float(errors[m].mean()) if m.any() else float("nan") for m in members)
    return YawTable(
        bins=bins,
        counts=tuple(int(m.sum()) for m in members),
        mean=float(np.mean(bins)),
        std=float(np.std(bins, ddof=1)),
        image_mean=float(errors.mean()),
    )


@dataclass(frozen=True)
class Interval:
    """Bounds of a bootstrap interval."""

    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Means of resampled data sets: per bin (draws, 3), mean of the bins (draws,), mean of all images (draws,)."""

    bins: NDArray[np.float64]
    mean: NDArray[np.float64]
    image_mean: NDArray[np.float64]

    def __sub__(self, other: Bootstrap) -> Bootstrap:
        """Differences of means, draw by draw. They are paired if both used the same seed and the same faces."""
        return Bootstrap(self.bins - other.bins, self.mean - other.mean, self.image_mean - other.image_mean)


def interval(means: NDArray[np.float64], level: float = 0.95) -> Interval:
    """The middle ``level`` of (draws,) bootstrap means (percentile bootstrap). NaN where a bin was empty."""
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def bootstrap(errors: Errors, yaw_deg: NDArray[np.floating], draws: int = 2000, seed: int = 0) -> Bootstrap:
    """Resample faces with replacement *within* each yaw bin, and compute the means of ``yaw_table`` for each draw.

    Args:
        errors: (B,), no NaN.
        yaw_deg: (B,). Faces of unknown yaw (NaN) form a bin of their own, which counts only for ``image_mean``.
    The faces picked depend only on the seed, the number of draws and the bins, not on the errors.
    """
    rng = np.random.default_rng(seed)
    bins, total = [], np.zeros(draws)
    for members in (*yaw_members(yaw_deg), np.isnan(yaw_deg)):
        own = errors[members]
        means = np.full(draws, np.nan)
        if len(own):
            means = own[rng.integers(0, len(own), (draws, len(own)))].mean(axis=1)
            total += means * len(own)
        bins.append(means)
    stacked = np.stack(bins[:-1], axis=1)
    return Bootstrap(stacked, stacked.mean(axis=1), total / len(errors))


def bootstrap_groups(errors: Errors, groups: Sequence[str], draws: int = 2000, seed: int = 0) -> NDArray[np.float64]:
    """(draws,) means over faces. Whole groups (all views of one person, say) are resampled with replacement.

    Use it if errors are correlated within a group: resampling single faces would make the interval too narrow.
    """
    _, group_of = np.unique(np.asarray(groups), return_inverse=True)
    sums, sizes = np.bincount(group_of, errors), np.bincount(group_of)
    picked = np.random.default_rng(seed).integers(0, len(sizes), (draws, len(sizes)))
    return sums[picked].sum(axis=1) / sizes[picked].sum(axis=1)


@dataclass(frozen=True)
class Balanced:
    """Mean error with ``per_bin`` faces from each yaw bin: ``mean`` and sample ``std`` over ``draws`` draws."""

    per_bin: int
    draws: int
    mean: float
    std: float


def balanced_mean(
    errors: Errors, yaw_deg: NDArray[np.floating], per_bin: int = 232, draws: int = 1000, seed: int = 0
) -> Balanced:
    """Mean error over equally many faces from each yaw bin, drawn without replacement, averaged over draws.

    ``per_bin`` is reduced to the size of the smallest bin. If a bin is empty, the mean is NaN. The default is the
    number of AFLW2000-3D images over 60° by AFLW's yaw; published balanced figures use one draw of 3 · 232 faces.
    """
    members = [errors[m] for m in yaw_members(yaw_deg)]
    size = min(per_bin, *map(len, members))
    if size == 0:
        return Balanced(0, draws, float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    means = np.zeros(draws)
    for own in members:
        # The indices of a row's smallest random numbers are a sample without replacement.
        picked = np.argpartition(rng.random((draws, len(own))), size - 1, axis=1)[:, :size]
        means += own[picked].mean(axis=1) / len(members)
    return Balanced(size, draws, float(means.mean()), float(means.std(ddof=1)))


def angle_errors(predicted_deg: NDArray[np.floating], target_deg: NDArray[np.floating]) -> NDArray[np.float64]:
    """Absolute differences of angles in degrees, the short way round: 179° and −179° are 2° apart. Same shapes."""
    return np.abs((np.asarray(predicted_deg, np.float64) - target_deg + 180) % 360 - 180)


def rotation_errors(predicted: NDArray[np.floating], target: NDArray[np.floating]) -> NDArray[np.float64]:
    """(B, 3, 3) rotations → (B,) degrees: the angle of the rotation that takes the first to the second.

    Example: rotations about one axis by 10° and 25° are 15° apart.
    """
    turn = np.swapaxes(predicted, 1, 2) @ target
    # Use sine and cosine: the cosine alone is inaccurate for small angles.
    axis = np.stack(
        [turn[:, 2, 1] - turn[:, 1, 2], turn[:, 0, 2] - turn[:, 2, 0], turn[:, 1, 0] - turn[:, 0, 1]], axis=1
    )
    return np.degrees(np.arctan2(np.linalg.norm(axis, axis=1), np.trace(turn, axis1=1, axis2=2) - 1))
