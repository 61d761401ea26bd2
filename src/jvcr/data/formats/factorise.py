"""Depth from several views of one rigid face, without a face model: scaled-orthographic factorisation.

C. Tomasi and T. Kanade, "Shape and Motion from Image Streams under Orthography", IJCV 1992, with one scale per
view. The centred x and y of M views form a (2M, N) matrix of rank 3 = motion · shape. The factors are known up to a
3×3 matrix. It follows from a constraint on every camera: its x and y axes are orthogonal and have the same length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_VIEWS = 3
"""Each view gives two equations for the five unknowns of the metric."""


class NotSolvable(ValueError):
    """These views do not determine the depth; the message says why."""


@dataclass(frozen=True, eq=False)
class Depth:
    """The depth of every landmark in every view, and how well the views determine it.

    Attributes:
        z_img: (M, N) away from the camera, in the pixels of its view, mean 0.
        residual: the non-rigid part relative to the depth (4th over 3rd singular value).
        turn_deg: the largest angle between the viewing directions of two views.
    """

    z_img: NDArray[np.float64]
    residual: float
    turn_deg: float


def depth_from_views(
    views_img: NDArray[np.float64],
    near: int,
    far: tuple[int, ...],
    max_residual: float = 0.02,
    min_turn_deg: float = 10.0,
) -> Depth:
    """Recover z of a rigid face from M ≥ 3 views that differ by a rotation.

    Args:
        views_img: (M, N, 2) x, y of the same landmarks in every view. Not modified.
        near, far: a landmark that is usually nearer to the camera than the mean of some others (nose tip, ends of
            the jaw). It resolves the sign of depth, which x and y alone leave open.
        max_residual: refuse views with a larger ``Depth.residual``: the face is not rigid, or labels are inexact.
        min_turn_deg: refuse views that differ by a smaller angle.
    Raises:
        NotSolvable: too few views, too little rotation, or no rigid face fits them.
    """
    count = len(views_img)
    if count < MIN_VIEWS:
        raise NotSolvable(f"{count} view{'s' if count > 1 else ''} of this face; at least {MIN_VIEWS} are needed")
    if not np.isfinite(views_img).all():
        raise NotSolvable("a landmark is not finite")
    centred = np.asarray(views_img, np.float64)
    centred = centred - centred.mean(axis=1, keepdims=True)
    stacked = np.concatenate([centred[..., 0], centred[..., 1]])
    u, singular, vt = np.linalg.svd(stacked, full_matrices=False)
    if singular[2] < 1e-3 * singular[0]:
        raise NotSolvable("the views do not differ by a rotation")
    residual = float(singular[3] / singular[2]) if len(singular) > 3 else 0.0
    if residual > max_residual:
        raise NotSolvable(f"no rigid face explains the views (residual {residual:.3g}; at most {max_residual:g})")
    metric = _metric(u[:, :3] * singular[:3])
    x_axes, y_axes = np.split(u[:, :3] * singular[:3] @ metric, 2)
    shape = np.linalg.solve(metric, vt[:3])
    # The third axis of each camera has the same length as the other two.
    lengths = np.sqrt(np.linalg.norm(x_axes, axis=1) * np.linalg.norm(y_axes, axis=1))
    directions = np.cross(x_axes, y_axes) / (lengths**2)[:, None]
    cosines = (directions @ directions.T).clip(-1, 1)
    turn_deg = float(np.degrees(np.arccos(cosines.min())))
    if turn_deg < min_turn_deg:
        raise NotSolvable(f"the views are turned by {turn_deg:.1f}° at most; at least {min_turn_deg:g}° are needed")
    z_img = (lengths[:, None] * directions) @ shape
    z_img -= z_img.mean(axis=1, keepdims=True)
    if (z_img[:, near] - z_img[:, list(far)].mean(axis=1)).sum() > 0:
        z_img = -z_img
    return Depth(z_img, residual, turn_deg)


def _metric(motion: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) A such that the rows of ``motion @ A``, (2M, 3), are orthogonal and of equal length for each camera.

    Q = A Aᵀ is symmetric, and the equations are linear in it: x Q x − y Q y = 0 and x Q y = 0 for each camera.
    Its scale is free.
    """
    x, y = np.split(motion, 2)
    equations = np.concatenate([_products(x, x) - _products(y, y), _products(x, y)])
    _, strengths, solutions = np.linalg.svd(equations)
    if strengths[4] < 1e-4 * strengths[0]:
        raise NotSolvable("the views do not determine the depth: their rotations are too small or too alike")
    q = solutions[-1]
    symmetric = np.array([[q[0], q[1], q[2]], [q[1], q[3], q[4]], [q[2], q[4], q[5]]])
    values, vectors = np.linalg.eigh(symmetric if np.trace(symmetric) > 0 else -symmetric)
    if values[0] < 1e-3 * values[-1]:
        raise NotSolvable("no scaled-orthographic cameras explain the views")
    return vectors * np.sqrt(values)


def _products(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M, 6) coefficients of the entries of Q (11, 12, 13, 22, 23, 33) in a Q b."""
    return np.stack(
        [
            a[:, 0] * b[:, 0],
            a[:, 0] * b[:, 1] + a[:, 1] * b[:, 0],
            a[:, 0] * b[:, 2] + a[:, 2] * b[:, 0],
            a[:, 1] * b[:, 1],
            a[:, 1] * b[:, 2] + a[:, 2] * b[:, 1],
            a[:, 2] * b[:, 2],
        ],
        axis=1,
    )
