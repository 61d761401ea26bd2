"""The compact volume (section III-A, eq. 1-2) in NumPy: drawing landmarks into it and reading it at points.

The training twin on tensors is ``jvcr.train.targets``; this one is the plain reference that it is tested against.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jvcr.frames import Points

TRUNCATE_SIGMAS = 3
"""A Gaussian is cut to a cube that reaches three σ, rounded up to whole voxels, from the voxel nearest its centre."""


def rasterise(points_vox: Points, shape: tuple[int, int, int], sigma_vox: float = 1.0) -> NDArray[np.float32]:
    """The compact volume of N landmarks: voxel-wise maximum of Gaussians with peak 1.

    Args:
        points_vox: (N, 3) x, y, z in voxels; fractions count; a landmark outside contributes only the part of its
            Gaussian that reaches inside.
        shape: (D, H, W).
        sigma_vox: standard deviation, voxels, the same along all three axes.
    Returns:
        (D, H, W) float32, 0…1.
    Deviation from eq. 1: the peak is 1, not 1/(2πσ²), as in the authors' code.
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
    """Cells of s × s columns as one volume: (…, D, s, s, H, W) → (…, D, H·s, W·s).

    Voxel (z, y, x) of the volume is [z, y % s, x % s, y // s, x // s] of the cells.
    """
    *batch, depth, rows, columns, height, width = cells.shape
    first = len(batch)
    order = (*range(first + 1), first + 3, first + 1, first + 4, first + 2)
    return cells.transpose(order).reshape(*batch, depth, height * rows, width * columns)


def sample(volumes: NDArray[np.floating], points_vox: Points) -> NDArray[np.float32]:
    """Trilinear reading of volumes (B, D, H, W) at points (B, N, 3), x, y, z in voxels → (B, N); 0 outside."""
    return sample_cells(volumes[:, :, None, None], points_vox)


def sample_cells(cells: NDArray[np.floating], points_vox: Points) -> NDArray[np.float32]:
    """``sample`` of volumes in cells (B, D, s, s, H, W); points are in voxels of the whole volume."""
    batch, depth, side = cells.shape[:3]
    height, width = (side * extent for extent in cells.shape[4:])
    base = np.floor(points_vox).astype(np.int64)
    fraction = points_vox - base
    out = np.zeros(points_vox.shape[:2], np.float64)
    rows = np.arange(batch)[:, None]
    for corner in np.ndindex(2, 2, 2):
        index = base + corner
        weight = np.where(np.array(corner) == 1, fraction, 1 - fraction).prod(axis=-1)
        inside = ((index >= 0) & (index < (width, height, depth))).all(axis=-1)
        x, y, z = np.moveaxis(np.clip(index, 0, (width - 1, height - 1, depth - 1)), -1, 0)
        read = cells[rows, z, y % side, x % side, y // side, x // side]
        out += np.where(inside, weight * read, 0.0)
    return out.astype(np.float32)
