"""Correct the σ that was learnt from training faces, on validation faces (``calibrate_landmarks.py``).

The landmark network knows the training faces, and learnt from labels that were made like theirs. So it errs more on
other faces, and hard faces suffer most. Blurred, dark or covered faces suffer less, because there its errors on
training faces are large as well. The correction has few parameters, so validation faces suffice to fit it:

    log σ' = a + b log σ + c mean log σ + d mean log height + e log size

where ``a`` is that of the jaw or of the other landmarks, the means are over the landmarks of the face, and the heights
are those of the volume. Truth are hand marks (without the jaw, because they follow the visible outline) and the labels
of 300W-LP, which are exact. These two ask for different ``a`` of brows, nose, eyes and mouth (docs/LOG.md), so they
share one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from jvcr.data.table import Table
from jvcr.evaluate.confidence import DEGRADED
from jvcr.evaluate.robustness import REFERENCE, case_of
from jvcr.frames import Crop, crop_to_unit, diagonals
from jvcr.images import extract
from jvcr.locate import heights_at
from jvcr.markups.markup import MARKUP_68
from jvcr.runtime.base import Runtime
from jvcr.runtime.landmark_confidence import LandmarkConfidence, inputs_of

N = MARKUP_68.n_points
JAW = np.arange(N) < 17
GROUP, GROUPS = JAW.astype(int), 2
NORMAL_1_SIGMA = 0.683
DEGREES_OF_FREEDOM = 5.0
"""Of Student's t distribution, the model of the errors: labels have outliers."""

SHARES = 2 / 3, 1 / 3
"""Weights of hand marks and exact labels."""

_LARGEST_ERROR = 0.3
_ALWAYS_ON = 8.0
"""Bias that keeps the hidden unit for heights and size above 0, so that it is linear."""


@dataclass
class Looks:
    """Predictions for B faces: errors (B, N, 2) in diagonals, NaN where the truth is; what σ is computed from."""

    errors: np.ndarray
    points_unit: np.ndarray
    heights: np.ndarray

    def sigma(self, confidence: LandmarkConfidence) -> np.ndarray:
        """(B, N) in diagonals."""
        faces = zip(self.points_unit, self.heights, strict=True)
        return np.stack([confidence(points_unit, heights).sigma for points_unit, heights in faces])


def corrected(confidence: LandmarkConfidence, runtime: Runtime, table: Table) -> LandmarkConfidence:
    """The same network with σ corrected on these validation faces, as they are and degraded."""
    exact = np.where((np.array(table.openings) == "exact")[:, None, None], table.points[..., :2], np.nan)
    conditions = [
        (_looks(runtime, table, condition, table.hand2d, True), _looks(runtime, table, condition, exact, False))
        for condition in (REFERENCE, *DEGRADED)
    ]
    for marked, _ in conditions:
        marked.errors[:, JAW] = np.nan
    better = _packed(confidence, _fitted(confidence, [looks for pair in conditions for looks in pair]))
    return _scaled(better, *conditions[0])


def _looks(runtime: Runtime, table: Table, condition: str, truth: np.ndarray, other_markup: bool) -> Looks:
    """Predictions for the rows that have a true position.

    Args:
        condition: see ``jvcr.evaluate.robustness``.
        truth: (rows, N, 2) pixels of the stored crops.
        other_markup: the truth follows another markup, so the mean error of each landmark does not count.
    """
    errors, points, heights = [], [], []
    for row in np.flatnonzero(np.isfinite(truth).any(axis=(1, 2))):
        sample = table[int(row)]
        crop = Crop.around(sample.points_img, runtime.image_size, 0.0, runtime.crop_rule)
        prediction = runtime(extract(case_of(condition, sample).image, crop)[None])
        points.append(prediction.points_unit[0])
        heights.append(heights_at(prediction)[0])
        true_unit = crop_to_unit(crop.to_crop(np.column_stack([truth[row], np.zeros(N)])), runtime.image_size)
        errors.append((points[-1] - true_unit)[:, :2] / diagonals(points[-1]))
    offset = np.nanmean(errors, axis=0) if other_markup else 0.0
    return Looks(np.array(errors) - offset, np.array(points), np.array(heights))


def _features(confidence: LandmarkConfidence, looks: Looks) -> np.ndarray:
    """(B, N, 4) what the factors b to e belong to."""
    log_sigma = np.log(looks.sigma(confidence))
    inputs = inputs_of(looks.points_unit, looks.heights)
    of_face = np.stack([log_sigma.mean(axis=1), inputs[:, 3 * N : 4 * N].mean(axis=1), inputs[:, 4 * N]], axis=1)
    return np.concatenate([log_sigma[..., None], np.repeat(of_face[:, None], N, axis=1)], axis=2)


def _fitted(confidence: LandmarkConfidence, looks: Iterable[Looks]) -> np.ndarray:
    """(2 + 4,) parameters of the largest likelihood: a of the other landmarks and of the jaw, b to e."""
    features, errors, groups = [], [], []
    for one in looks:
        known = np.isfinite(one.errors).all(axis=2)
        features.append(_features(confidence, one)[known])
        errors.append(np.abs(one.errors[known]).clip(max=_LARGEST_ERROR))
        groups.append(np.broadcast_to(GROUP, known.shape)[known])
    x, error = (torch.from_numpy(np.concatenate(values).astype(np.float64)) for values in (features, errors))
    group = torch.from_numpy(np.concatenate(groups))
    start = np.zeros(GROUPS + 4)
    start[GROUPS] = 1
    parameters = torch.from_numpy(start).requires_grad_()
    optimizer = torch.optim.LBFGS([parameters], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        log_sigma = parameters[group] + x @ parameters[GROUPS:]
        squares = (error / log_sigma.exp()[:, None]) ** 2
        tails = (DEGREES_OF_FREEDOM + 1) / 2 * torch.log1p(squares / DEGREES_OF_FREEDOM)
        value = (tails + log_sigma[:, None]).mean()
        value.backward()
        return value

    optimizer.step(loss)
    return np.asarray(parameters.detach().numpy())


def _packed(confidence: LandmarkConfidence, parameters: np.ndarray) -> LandmarkConfidence:
    """The network with the correction in its last layer, and one more hidden unit for heights and size."""
    of_group, (own, mean, height, size) = parameters[:GROUPS], parameters[GROUPS:]
    print(f"powers of σ {own:.2f}, its mean {mean:.2f}, the heights {height:.2f}, the size {size:.2f}")
    average, factor = confidence.scale
    wanted = np.zeros(len(average))
    wanted[3 * N : 4 * N], wanted[4 * N] = height / N, size
    unit = np.append(wanted / factor, wanted @ average + _ALWAYS_ON)
    visible, sigma = confidence.second[:N], confidence.second[N:]
    sigma = own * sigma + mean * sigma.mean(axis=0)
    sigma[:, -1] += of_group[GROUP] - _ALWAYS_ON
    unit_weight = np.append(np.zeros(N), np.ones(N))
    second = np.insert(np.concatenate([visible, sigma]), -1, unit_weight, axis=1)
    first = np.concatenate([confidence.first, unit[None]])
    return LandmarkConfidence(confidence.scale, first.astype(np.float32), second.astype(np.float32))


def _scaled(confidence: LandmarkConfidence, marked: Looks, exact: Looks) -> LandmarkConfidence:
    """The same network with σ scaled, so that 68.3 % of the errors on good photos are within σ.

    Hand marks count twice as much as exact labels. Errors against hand marks include what people disagree about, those
    against exact labels do not. So the jaw, for which there are only exact labels, is to cover as many of those as the
    other landmarks do.
    """
    of_hand, of_labels = (np.abs(looks.errors) / looks.sigma(confidence)[..., None] for looks in (marked, exact))
    pair = [ratios[:, ~JAW][np.isfinite(ratios[:, ~JAW])] for ratios in (of_hand, of_labels)]
    weights = [np.full(len(ratios), share / len(ratios)) for share, ratios in zip(SHARES, pair, strict=True)]
    others = _quantile(np.concatenate(pair), np.concatenate(weights))
    jaw = float(np.quantile(of_labels[:, JAW], (pair[1] < others).mean()))
    print(f"σ is multiplied by {others:.3f}, that of the jaw by {jaw:.3f}")
    second = confidence.second.copy()
    second[N:, -1] += np.log(np.where(JAW, jaw, others))
    return LandmarkConfidence(confidence.scale, confidence.first, second)


def _quantile(values: np.ndarray, weights: np.ndarray) -> float:
    """The value below which values of ``NORMAL_1_SIGMA`` of the weight are."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, NORMAL_1_SIGMA * reached[-1])])
