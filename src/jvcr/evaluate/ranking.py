"""How well a number separates two classes, and how well a probability is calibrated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def area_under_roc(values: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: the share of pairs of a positive and a negative in which the positive has the larger
    value; ties count half. NaN if one class is empty.
    """
    from scipy.stats import rankdata

    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return float("nan")
    above = rankdata(values)[positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def calibration_error(probability: NDArray[np.floating], true: NDArray[np.bool_], bins: int = 10) -> float:
    """Expected calibration error: the mean, weighted by count, over equally wide bins of the difference between mean
    probability and share of true ones. NaN without values."""
    if not len(true):
        return float("nan")
    place = np.minimum((probability * bins).astype(int), bins - 1)
    members = [place == number for number in range(bins)]
    return float(sum(abs(probability[m].mean() - true[m].mean()) * m.mean() for m in members if m.any()))
