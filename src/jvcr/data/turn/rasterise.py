"""Rasterise triangles with a depth test, as a map from each pixel to its source position."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rasterise(
    vertices: NDArray[np.float64], triangles: NDArray[np.int64], source: NDArray[np.float64], width: int, height: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Rasterise triangles; the nearest is visible.

    Args:
        vertices: (V, 3) x, y in pixels of the output, z away from the viewer.
        triangles: (T, 3) indices of vertices.
        source: (V, 2) position of each vertex in the source image.
    Returns:
        (H, W, 2) position in ``source`` coordinates for each pixel, and (H, W) index of its triangle.
    Raises:
        ValueError: a pixel is not covered.
    """
    corners = vertices[triangles]
    low = np.maximum(np.ceil(corners[:, :, :2].min(axis=1) - 1e-6), 0).astype(np.int64)
    high = np.minimum(np.floor(corners[:, :, :2].max(axis=1) + 1e-6), (width - 1, height - 1)).astype(np.int64)
    span = (high - low + 1).max(axis=1)
    drawable = (high >= low).all(axis=1)
    parts = []
    smaller, bound = 0, 2
    while smaller < max(width, height):
        chosen = np.flatnonzero(drawable & (span > smaller) & (span <= bound))
        for start in range(0, len(chosen), max(1, 2**20 // bound**2)):
            parts.append(_fragments(corners, low, high, chosen[start : start + max(1, 2**20 // bound**2)], bound))
        smaller, bound = bound, bound + max(1, bound // 3)
    pixel, depth, owner, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
    pixel = pixel[:, 1] * width + pixel[:, 0]
    nearest = np.full(width * height, np.inf)
    np.minimum.at(nearest, pixel, depth)
    front = np.flatnonzero(depth == nearest[pixel])
    last = np.full(width * height, -1)
    last[pixel[front]] = front
    if (last < 0).any():
        raise ValueError(f"{(last < 0).sum()} pixels of the turned picture are not covered")
    found = (weights[last, :, None] * source[triangles[owner[last]]]).sum(axis=1)
    return found.reshape(height, width, 2).astype(np.float32), owner[last].reshape(height, width)


def _fragments(
    corners: NDArray[np.float64],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    chosen: NDArray[np.int64],
    bound: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Pixels (F, 2) of some triangles of at most ``bound`` pixels, with depth, triangle and barycentric weights."""
    offset = np.stack(np.meshgrid(np.arange(bound), np.arange(bound)), -1).reshape(-1, 2)
    pixel = low[chosen, None] + offset
    first, second, third = (corners[chosen, i] for i in range(3))
    u, v = second[:, :2] - first[:, :2], third[:, :2] - first[:, :2]
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    area = np.where(np.abs(area) < 1e-9, np.inf, area)[:, None]
    d = pixel - first[:, None, :2]
    b = (d[..., 0] * v[:, None, 1] - d[..., 1] * v[:, None, 0]) / area
    c = (u[:, None, 0] * d[..., 1] - u[:, None, 1] * d[..., 0]) / area
    a = 1 - b - c
    # Slightly enlarged, so that there are no gaps between neighbours.
    hit = (a > -1e-6) & (b > -1e-6) & (c > -1e-6) & np.isfinite(area)
    hit &= (pixel[..., 0] <= high[chosen, 0, None]) & (pixel[..., 1] <= high[chosen, 1, None])
    triangle, _ = np.nonzero(hit)
    weights = np.stack([a[hit], b[hit], c[hit]], axis=-1)
    depth = (weights * corners[chosen[triangle], :, 2]).sum(axis=-1)
    return pixel[hit], depth, chosen[triangle], weights
