"""Relief of a face photo: the depth of every pixel, from the 3D landmarks and a head of average proportions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator, RBFInterpolator
from scipy.ndimage import gaussian_filter
from scipy.spatial import ConvexHull, Delaunay, QhullError

from jvcr.geometry import align, head_pose, levelled, mean_shape_68

Points2 = NDArray[np.float64]
Points3 = NDArray[np.float64]

# The mean head's frame: outer eye distance 1, x to the image's right, y down, z to the back of the head.
_SKULL_CENTRE = np.array([0.0, -0.55, 0.8])
_SKULL_AXES = np.array([0.86, 1.15, 1.05])
_CHEEKS = (
    (0.30, -0.05, -0.14),
    (0.45, 0.08, 0.00),
    (0.58, -0.14, 0.05),
    (0.62, 0.06, 0.25),
    (0.70, -0.15, 0.42),
    (0.66, -0.38, 0.20),
    (0.72, -0.62, 0.23),
    (0.48, 0.38, 0.15),
    (0.60, 0.22, 0.40),
    (0.30, 0.60, 0.02),
    (0.15, 0.70, -0.09),
)
_RINGS = ((0.14, 0.40), (0.45, 0.80))
"""Rings around the head: distance from the outline, and additional depth."""
_NECK = 0.55
"""Minimum depth of the rings."""
_AXIS = 0.35
"""Depth of the rotation axis."""
_SPREAD = 0.35
"""The surface extends beyond the picture by this share of its side."""
_MESH = 26
"""Grid steps between the outer eye corners; a step is clamped to 2 to 4 pixels."""


@dataclass(frozen=True, eq=False)
class Relief:
    """A picture as a relief.

    Attributes:
        vertices: (V, 3) x, y in image pixels, also outside the picture; z away from the camera.
        triangles: (T, 3) indices of vertices.
        follow: (V,) share of the rotation that a vertex follows: 1 on the head, 0 at the rim.
        on_face: (T,) whether a triangle is inside the hull of the landmarks.
        centre: (3,) a point on the rotation axis.
    """

    vertices: Points3
    triangles: NDArray[np.int64]
    follow: NDArray[np.float64]
    on_face: NDArray[np.bool_]
    centre: NDArray[np.float64]

    @classmethod
    def around(cls, points: Points3, width: int, height: int) -> Relief:
        """The relief of a picture of this size.

        Args:
            points: (68, 3) as ``Sample.points_img``.
        Raises:
            ValueError: the points are collinear, or coincide.
        """
        try:
            return cls._around(points, width, height)
        except QhullError as error:
            raise ValueError("its landmarks lie on a line in the picture") from error

    @classmethod
    def _around(cls, points: Points3, width: int, height: int) -> Relief:
        similarity = align(mean_shape_68(), points)
        step = int(np.clip(np.ceil(similarity.scale / _MESH), 2, 4))
        rim = _rim(width, height, step)
        anchors, follow = _anchors(points, rim)
        columns = np.arange(rim[0, 0], rim[1, 0] + 0.5, step)
        rows = np.arange(rim[0, 1], rim[1, 1] + 0.5, step)
        x, y = np.meshgrid(columns, rows)
        values = LinearNDInterpolator(anchors[:, :2], np.column_stack([anchors[:, 2], follow]))(x, y)
        z = gaussian_filter(values[..., 0], 0.7, mode="nearest")
        vertices = np.column_stack([x.ravel(), y.ravel(), z.ravel()])
        number = np.arange(x.size).reshape(x.shape)
        a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]
        triangles = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])
        hull = Delaunay(points[ConvexHull(points[:, :2]).vertices, :2])
        inside = hull.find_simplex(vertices[:, :2]) >= 0
        centre = similarity.apply(np.array([[0.0, 0.0, _AXIS]]) @ levelled().T)[0]
        return cls(vertices, triangles, values[..., 1].ravel(), inside[triangles].all(axis=1), centre)


def _rim(width: int, height: int, step: int) -> Points2:
    """(2, 2) first and last x and y of the surface, a multiple of the step apart."""
    spread = np.ceil(_SPREAD * max(width, height) / step) * step
    size = np.ceil(np.array([width, height]) / step) * step
    return np.array([[-spread, -spread], size + spread])


def _head_anchors() -> Points3:
    """Additional points on the mean head's skin and skull, (A, 3)."""
    cheeks = np.array(_CHEEKS)
    grid = np.array([(x, y) for y in (-0.85, -1.05, -1.25, -1.42, -1.56) for x in np.linspace(-0.8, 0.8, 9)])
    inner = (((grid - _SKULL_CENTRE[:2]) / _SKULL_AXES[:2]) ** 2).sum(axis=1)
    grid, inner = grid[inner < 0.95], inner[inner < 0.95]
    forehead = np.column_stack([grid, _SKULL_CENTRE[2] - _SKULL_AXES[2] * np.sqrt(1 - inner)])
    angle = np.radians(np.linspace(0, 180, 13))
    outline = np.column_stack([np.cos(angle), -np.sin(angle), 0 * angle]) * _SKULL_AXES + _SKULL_CENTRE
    # The constants were drawn around the mean head as it is stored.
    return np.concatenate([cheeks, cheeks * (-1, 1, 1), forehead, outline]) @ levelled().T


def _anchors(points: Points3, rim: Points2) -> tuple[Points3, NDArray[np.float64]]:
    """((A, 3) points of known depth, (A,) share of the rotation that they follow)."""
    mean, extra = mean_shape_68(), _head_anchors()
    similarity = align(mean, points)
    # Points near a landmark get the landmark's deviation from the mean head.
    own = RBFInterpolator(mean, points - similarity.apply(mean), kernel="linear", degree=0, smoothing=0.05)
    head = np.concatenate([points, similarity.apply(extra) + own(extra)])
    head = _seen(head, np.concatenate([mean, extra])[:, 0], head_pose(points).angles("zyx").yaw_deg, similarity.scale)
    outline = head[ConvexHull(head[:, :2]).vertices]
    outline = _even(outline, 0.15 * similarity.scale)
    middle = outline[:, :2].mean(axis=0)
    away = outline[:, :2] - middle
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    neck = similarity.apply(np.array([[0.0, 0.0, _NECK]]) @ levelled().T)[0, 2]
    rings = []
    for out, deeper in _RINGS:
        depth = np.maximum(outline[:, 2] + deeper * similarity.scale, neck + (deeper - _RINGS[0][1]) * similarity.scale)
        rings.append(np.column_stack([outline[:, :2] + out * similarity.scale * away, depth]))
    followers = np.concatenate([head, *rings])
    (x0, y0), (x1, y1) = rim
    inside = (followers[:, :2] > (x0 + 1, y0 + 1)) & (followers[:, :2] < (x1 - 1, y1 - 1))
    followers = followers[inside.all(axis=1)]
    along = np.linspace(0, 1, 9)[:-1, None]
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    frame = np.concatenate([a + along * (b - a) for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)])
    fixed = np.column_stack([frame, np.full(len(frame), followers[:, 2].max())])
    return np.concatenate([followers, fixed]), np.repeat([1.0, 0.0], [len(followers), len(fixed)])


def _seen(head: Points3, mean_x: NDArray[np.float64], yaw_deg: float, scale: float) -> Points3:
    """Remove points on the far side that are occluded by nearer ones."""
    if abs(yaw_deg) < 3:
        return head
    # Landmarks 17 to 67 are always kept: at these yaws the nose occludes almost nothing.
    kept = list(range(17, 68))
    doubtful = [i for i in range(len(head)) if i < 17 or i >= 68]
    for i in sorted(doubtful, key=lambda i: float(head[i, 2])):
        if mean_x[i] * yaw_deg > 0.1 * abs(yaw_deg):
            hull = ConvexHull(head[kept, :2])
            # Signed distances from the hull's lines, negative inside.
            if (hull.equations[:, :2] @ head[i, :2] + hull.equations[:, 2]).max() < -0.02 * scale:
                continue
        kept.append(i)
    return head[sorted(kept)]


def _even(loop: Points3, step: float) -> Points3:
    """Points about ``step`` apart on a closed polyline."""
    closed = np.concatenate([loop, loop[:1]])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed[:, :2], axis=0), axis=1))])
    at = np.linspace(0, length[-1], max(8, round(length[-1] / step)), endpoint=False)
    return np.column_stack([np.interp(at, length, closed[:, i]) for i in range(3)])
