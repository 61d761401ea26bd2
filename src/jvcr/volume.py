"""The compact volume (section III-A, eq. 1-2) in NumPy: rasterise landmarks, and sample volumes at points.

``jvcr.train.targets`` does the same on tensors for training; it is tested against this plain reference.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jvcr.frames import Points

TRUNCATE_SIGMAS = 3
"""Gaussians are truncated to a cube around the voxel nearest their centre; it extends 3 σ, rounded up to voxels."""


def rasterise(points_vox: Points, shape: tuple[int, int, int], sigma_vox: float = 1.0) -> NDArray[np.float32]:
    """The compact volume of N landmarks: voxel-wise maximum of Gaussians with peak 1.

    Args:
        points_vox: (N, 3) x, y, z in voxels; need not be integers. A landmark outside the volume contributes only the
            part of its Gaussian that reaches inside.
        shape: (D, H, W).
        sigma_vox: standard deviation along each axis, voxels.
    Returns:
        (D, H, W) float32, 0…1.
    Deviation from eq. 1: the peak is 1 instead of 1/(2πσ²). The authors' code does the same.
    Example: shape (3, 7, 11) and a landmark at x, y, z = (4, 2, 1) give 1 at index [1, 2, 4] and exp(-1/2) beside it.
    """
    depth, height, width = shape
    z, y, x = np.mgrid[0:depth, 0:height, 0:width].astype(np.float64)
    reach = np.ceil(TRUNCATE_SIGMAS * sigma_vox)
    volume = np.zeros(shape, np.float64)
    for px, py, pz in np.asarray(points_vox, np.float64):
        squared = (x - px) ** 2 + (y - py) ** 2 + (z - pz) ** 2
        inside = np.maximum(np.maximum(abs(x - np.rint(px)), abs(y - np.rint(py))), abs(z - np.rint(pz))) <= reach
        volume = np.maximum(volume, np.where(inside, np.exp(-squared / (2 * sigma_vox**2)), 0.0))
    return volume.astype(np.float32)


def unfolded(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rearrange cells of s × s columns to a volume: (…, D, s, s, H, W) → (…, D, H·s, W·s).

    Voxel (z, y, x) of the volume is [z, y % s, x % s, y // s, x // s] of the cells.
    """
    *batch, depth, rows, columns, height, width = cells.shape
    first = len(batch)
    order = (*range(first + 1), first + 3, first + 1, first + 4, first + 2)
    return cells.transpose(order).reshape(*batch, depth, height * rows, width * columns)


def sample(volumes: NDArray[np.floating], points_vox: Points) -> NDArray[np.float32]:
    """Sample volumes (B, D, H, W) at points (B, N, 3), x, y, z in voxels, trilinearly → (B, N). 0 outside."""
    return sample_cells(volumes[:, :, None, None], points_vox)


_NEIGHBOURS = np.array([0, 1])


def sample_cells(cells: NDArray[np.floating], points_vox: Points) -> NDArray[np.float32]:
    """``sample`` for volumes stored as cells (B, D, s, s, H, W). Points are in voxels of the whole volume."""
    batch, depth, side = cells.shape[:3]
    rows, columns = cells.shape[4:]
    base = np.floor(points_vox)
    # Per axis: the coordinates of the two voxels around each point, (B, N, 2), and their weights, 0 outside.
    near, weights = [], []
    for axis, extent in enumerate((columns * side, rows * side, depth)):
        index = base[..., axis, None].astype(np.int64) + _NEIGHBOURS
        upper = (points_vox[..., axis] - base[..., axis])[..., None]
        share = np.concatenate([1 - upper, upper], axis=-1)
        weights.append(share * ((index >= 0) & (index < extent)))
        near.append(np.minimum(np.maximum(index, 0), extent - 1))
    x, y, z = near
    # The place of voxel (z, y, x) in the flat array is a sum of one term per axis.
    in_x = (x % side) * (rows * columns) + x // side
    in_y = (y % side) * (side * rows * columns) + (y // side) * columns
    in_z = (z + np.arange(batch)[:, None, None] * depth) * (side * side * rows * columns)
    place = in_z[..., :, None, None] + in_y[..., None, :, None] + in_x[..., None, None, :]
    weight = weights[2][..., :, None, None] * weights[1][..., None, :, None] * weights[0][..., None, None, :]
    out = (np.ascontiguousarray(cells).reshape(-1)[place] * weight).sum(axis=(-3, -2, -1))
    return out.astype(np.float32)
