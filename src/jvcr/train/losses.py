"""The two losses of the paper (eq. 3 and 4): as published, as in the authors' code, and our variant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LossConfig:
    """Terms and units of the losses.

    Attributes:
        foreground: a voxel with ground truth v has weight 1 + foreground · v; 0 as in eq. 3.
        peak: peak of the ground-truth Gaussians in L_vox; eq. 1 has 1/(2πσ²). Volumes stay in units of the peak (0…1),
            so it enters as a factor peak². This is equivalent up to the scale of G's last layer.
        voxel_sum: eq. 3 sums over voxels; False uses the mean, so that deep volumes do not weigh more.
        whole_voxels: centre Gaussians on the voxel that contains the landmark, without sub-voxel position (the authors'
            code).
        squared: eq. 4 squares coordinate errors; False uses absolute errors, because labels have outliers.
        coordinate_sum: eq. 4 sums over the 3·N coordinates; False uses the mean.
        structure: weight, within L_coord, of the error of the markup's edges (vectors between neighbours).
        gaps: weight, within L_coord, of the error of the markup's gaps (vectors between lids and between lips).
            Landmarks are accurate to a few pixels, but one pixel decides whether an eye is closed.
        coordinate_unit: ``"crop"``, 0…1 across the crop, or ``"voxel"``, of the compact volume.
    """

    foreground: float = 9.0
    peak: float = 1.0
    voxel_sum: bool = False
    whole_voxels: bool = False
    squared: bool = False
    coordinate_sum: bool = False
    structure: float = 0.0
    gaps: float = 0.0
    coordinate_unit: str = "crop"

    def __post_init__(self) -> None:
        if self.coordinate_unit not in ("crop", "voxel"):
            raise ValueError(f"coordinate_unit is {self.coordinate_unit!r}; expected 'crop' or 'voxel'")
        for name in ("structure", "gaps"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; expected a weight from 0 on")


def voxel_loss(
    predicted: Sequence[Tensor], true: Sequence[Tensor], how: LossConfig, doubtful: Sequence[Tensor] | None = None
) -> Tensor:
    """L_vox (eq. 3): squared error over the M volumes.

    A volume with more columns than the first has smaller blobs relative to its size. Its mean is multiplied by the
    ratio of the numbers of columns, so that a landmark has the same weight in both.

    Args:
        predicted, true: M tensors (B, d_m, H_m, W_m), in units of the peak.
        doubtful: M tensors of the same shapes, 0…1: uncertainty of a voxel's ground truth; such voxels weigh less.
    Returns:
        Scalar mean over the batch.
    """
    terms = []
    for number, (p, t) in enumerate(zip(predicted, true, strict=True)):
        error = p.float() - t
        if how.foreground or doubtful is not None:
            weight = 1 + how.foreground * t
            if doubtful is not None:
                weight *= 1 - doubtful[number]
            # Volumes are large: one product in the backward pass instead of two.
            error = error * weight.sqrt_()
        columns = (p.shape[-1] / predicted[0].shape[-1]) ** 2
        squares = torch.linalg.vector_norm(error) ** 2
        terms.append(squares / len(error) if how.voxel_sum else columns * squares / error.numel())
    return how.peak**2 * sum(terms[1:], start=terms[0])


def coordinate_loss(
    predicted_unit: Tensor,
    true_unit: Tensor,
    weight: Tensor,
    how: LossConfig,
    volume_size: int,
    weight_sum: Tensor | None = None,
    edges: Tensor | None = None,
    gaps: Tensor | None = None,
    taught: Tensor | None = None,
) -> Tensor:
    """L_coord (eq. 4): weighted mean over the batch.

    Args:
        predicted_unit, true_unit: (B, N, 3).
        weight: (B,) confidence in the label; 0 excludes a row.
        volume_size: voxels per side of the compact volume.
        weight_sum: for a batch that is shared between devices, the mean sum of weights; by default ``weight.sum()``.
        edges: (E, 2) connected landmarks; needed for the structure term.
        gaps: (G, 2) landmarks on either side of an opening; needed for the gaps term.
        taught: (B, N) bool; errors of other landmarks, and of pairs with them, count as 0.
    """
    error = predicted_unit - true_unit
    if how.coordinate_unit == "voxel":
        error = error * volume_size
    if taught is None:
        taught = error.new_ones(error.shape[:2], dtype=torch.bool)
    rows = _rows(error, taught, how)
    for factor, pairs in ((how.structure, edges), (how.gaps, gaps)):
        if factor and pairs is not None and len(pairs):
            first, second = pairs.unbind(1)
            between = _rows(error[:, first] - error[:, second], taught[:, first] & taught[:, second], how)
            rows = rows + factor * between
    # A row without a face has coordinates far outside. Its error is finite, so a weight of 0 excludes it.
    total = weight.sum() if weight_sum is None else weight_sum
    return (weight * rows).sum() / total.clamp(min=1e-6)


def _rows(error: Tensor, counted: Tensor, how: LossConfig) -> Tensor:
    """(B, K, 3), (B, K) → (B,)."""
    error = (counted.unsqueeze(2) * (error**2 if how.squared else error.abs())).flatten(1)
    return error.sum(dim=1) if how.coordinate_sum else error.mean(dim=1)
