"""Errors of predicted landmarks. NumPy; batches of (B, N, 3) in image pixels; ratios, so 0.05 means 5 %."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jvcr.frames import Points

YAW_BINS_DEG: tuple[tuple[float, float], ...] = ((0, 30), (30, 60), (60, float("inf")))
"""The published "(60, 90]" takes in the few faces beyond 90° too: its counts, 1312/383/305, add up to all 2,000."""


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
    _check(predicted_img, target_img)
    extent = np.ptp(target_img[..., :2].astype(np.float64), axis=1)
    size = np.sqrt(extent[:, 0] * extent[:, 1])
    if (size == 0).any():
        raise ValueError(f"target {int(np.argmin(size))} has an empty bounding box")
    distance = np.linalg.norm(predicted_img[..., :2].astype(np.float64) - target_img[..., :2], axis=-1)
    return distance.mean(axis=1) / size


def ground_truth_error(
    predicted_img: Points, target_img: Points, normaliser: tuple[int, int] = (36, 45)
) -> NDArray[np.float64]:
    """GTE: mean 3D landmark distance over the true outer-eye distance in 3D (JVCR, section IV-C).

    Args:
        predicted_img: (B, N, 3) image pixels. Not modified.
        target_img: (B, N, 3) same frame; the same depth direction.
        normaliser: indices of the outer eye corners; 36 and 45 in both the 66- and the 68-point markup of 3DFAW
            and iBUG (the two leave the same numbers below the mouth).
    Returns:
        (B,) ratio.
    Raises:
        ValueError: shapes differ, or an outer-eye distance is zero (the batch index is named).
    Depth is compared after the prediction's mean z is moved to the truth's: absolute depth is not observable.
    Example: a shift in x of a tenth of the outer-eye distance gives exactly 0.1; a shift in z gives 0.
    """
    _check(predicted_img, target_img)
    target = target_img.astype(np.float64)
    difference = predicted_img.astype(np.float64) - target
    difference[..., 2] -= difference[..., 2].mean(axis=1, keepdims=True)
    first, second = normaliser
    eyes = np.linalg.norm(target[:, first] - target[:, second], axis=-1)
    if (eyes == 0).any():
        raise ValueError(f"target {int(np.argmin(eyes))} has an outer-eye distance of zero")
    return np.linalg.norm(difference, axis=-1).mean(axis=1) / eyes


@dataclass(frozen=True)
class YawTable:
    """Mean error per bin of |yaw|, and the mean of the three bin means as in the paper's Table IV.

    A bin with no face is NaN, and so is then the mean.
    """

    bins: tuple[float, ...]
    counts: tuple[int, ...]
    mean: float
    std: float
    image_mean: float


def yaw_table(errors: NDArray[np.floating], yaw_deg: NDArray[np.floating]) -> YawTable:
    """Errors (B,) and yaw (B,) in degrees → per-bin means. Bins of |yaw| are [0, 30], (30, 60] and over 60.

    ``std`` is the sample standard deviation (ddof = 1) of the bin means.
    """
    size = np.abs(yaw_deg)
    members = [(size <= high) & ((size > low) if low else True) for low, high in YAW_BINS_DEG]
    bins = tuple(float(errors[m].mean()) if m.any() else float("nan") for m in members)
    return YawTable(
        bins=bins,
        counts=tuple(int(m.sum()) for m in members),
        mean=float(np.mean(bins)),
        std=float(np.std(bins, ddof=1)),
        image_mean=float(errors.mean()),
    )
