"""The two losses of the paper (eq. 3 and 4), with the changes that make sparse volumes and noisy labels trainable."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def voxel_loss(predicted: Sequence[Tensor], true: Sequence[Tensor], foreground: float) -> Tensor:
    """L_vox (eq. 3): squared error, summed over the M volumes.

    Args:
        predicted, true: M tensors (B, d_m, H, W).
        foreground: a voxel of true value v weighs 1 + foreground · v. With 0 this is eq. 3 but for the mean.
    Returns:
        scalar. Deviation from eq. 3: the mean over voxels, not the sum, so that the weight of a volume does not
        depend on its depth.
    """
    terms = [((1 + foreground * t) * (p.float() - t) ** 2).mean() for p, t in zip(predicted, true, strict=True)]
    return sum(terms[1:], start=terms[0])


def coordinate_loss(predicted_unit: Tensor, true_unit: Tensor, weight: Tensor) -> Tensor:
    """L_coord: weighted mean absolute error over coordinates, in crop units.

    Args:
        predicted_unit, true_unit: (B, N, 3).
        weight: (B,) trust in the label; 0 leaves a row out.
    Returns:
        scalar. Deviation from eq. 4: absolute, not squared error, because the labels have outliers.
    """
    error = (predicted_unit - true_unit).abs().mean(dim=(1, 2))
    # A row without a face has coordinates far outside; multiplying its finite error by 0 leaves it out.
    return (weight * error).sum() / weight.sum().clamp(min=1e-6)
