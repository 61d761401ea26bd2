"""Photos of near-frontal faces turned to larger yaws, for training: their landmarks' depth bends the picture.

After 300W-LP (Zhu et al., "Face Alignment Across Large Poses: A 3D Solution", 2016), but with no face model: the depth
of every pixel is interpolated between the landmarks and anchors on a head of average proportions, whose surroundings
fall back towards its middle. The surface is turned and drawn again, nearer parts over farther ones. Its rim stays where
it was, so that the background is stretched and has no holes.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator, RBFInterpolator
from scipy.ndimage import gaussian_filter
from scipy.spatial import ConvexHull, Delaunay

from jvcr.data.reading import Samples
from jvcr.data.sample import Sample
from jvcr.data.table import Table
from jvcr.geometry import align, head_pose, mean_shape_68, rotation_from_angles
from jvcr.images import Image
from jvcr.markup import MARKUP_68

Points2 = NDArray[np.float64]
Points3 = NDArray[np.float64]

YAW_RANGE_DEG = (20.0, 85.0)
PITCH_DEG = 10.0
LEAST_TURN_DEG = 10.0
FACING_DEG = 10.0
"""From that yaw on, a face is only turned to the side it looks to: the other half is not in the picture."""
WEIGHT = 0.5
"""Of a turned view, times its photo's."""
STRETCH = 3.0
MAX_STRETCHED = 0.35
"""Views with more than that share of the face drawn out over ``STRETCH`` times are rejected."""

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
"""Around the head: how far out, and how much deeper than its outline."""
_NECK = 0.55
"""The rings are at least that deep."""
_AXIS = 0.35
"""Depth of the axis of the turn."""
_SPREAD = 0.35
"""The surface reaches beyond the picture by that share of its side."""
_STEP_PX = 4


@dataclass(frozen=True, eq=False)
class Turned:
    """A picture after the turn.

    Attributes:
        image: (H, W, 3) uint8, as large as the original.
        points_img: (68, 3) float32, as ``Sample.points_img``: the original ones, turned as a rigid body.
        stretched: share of the visible face that is drawn more than ``STRETCH`` times as long as it was.
    """

    image: Image
    points_img: NDArray[np.float32]
    stretched: float


class Turner:
    """A picture of one face, to be turned any number of times."""

    def __init__(self, image: Image, points_img: NDArray[np.float32]) -> None:
        """Work out the depth of every pixel.

        Args:
            image: (H, W, 3) uint8.
            points_img: (68, 3) as ``Sample.points_img``.
        Raises:
            ValueError: not 68 finite 3D landmarks.
        """
        if points_img.shape != (68, 3) or not np.isfinite(points_img).all():
            raise ValueError(f"turning needs 68 finite 3D landmarks; got an array of shape {points_img.shape}")
        self.image = image
        self.points = points_img.astype(np.float64)
        self.pose = head_pose(self.points)
        self._surface = _Surface.around(self.points, image.shape[1], image.shape[0])

    def turn(self, yaw_deg: float, pitch_deg: float | None = None) -> Turned:
        """Turn the head. The roll stays as it is.

        Args:
            yaw_deg: the head's yaw afterwards, as ``geometry.HeadPose``; best larger than before, to the same side: of
                what the picture does not show, the nearest pixels are drawn out.
            pitch_deg: its pitch afterwards; None: as before.
        Raises:
            ValueError: a yaw that is not between -90° and 90°.
        """
        if not abs(yaw_deg) < 90:
            raise ValueError(f"yaw {yaw_deg}: expected between -90 and 90 degrees")
        surface = self._surface
        pitch_deg = self.pose.pitch_deg if pitch_deg is None else pitch_deg
        rotation = rotation_from_angles(yaw_deg, pitch_deg, self.pose.roll_deg) @ self.pose.rotation.T
        height, width = self.image.shape[:2]

        def turned(points: Points3) -> Points3:
            return (points - surface.centre) @ rotation.T + surface.centre

        moved = surface.vertices + surface.follow[:, None] * (turned(surface.vertices) - surface.vertices)
        found, owner = _rasterise(moved, surface.triangles, surface.vertices[:, :2], width, height)
        picture = cv2.remap(self.image, found, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        face = surface.on_face[owner]
        long = _stretch(surface.vertices, moved, surface.triangles) > STRETCH
        landmarks = turned(self.points)
        landmarks[:, 2] -= landmarks[:, 2].mean()
        stretched = float(long[owner[face]].mean()) if face.any() else 1.0
        return Turned(np.asarray(picture, np.uint8), landmarks.astype(np.float32), stretched)


def planned(yaw_deg: float, pitch_deg: float, count: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    """(yaw, pitch) of ``count`` views of a face, evenly spread over the yaws above its own; none where it is too far.

    A face that looks to one side (``FACING_DEG``) is turned further to it, others to either.
    """
    low = max(YAW_RANGE_DEG[0], abs(yaw_deg) + LEAST_TURN_DEG)
    if low >= YAW_RANGE_DEG[1]:
        return []
    at = (np.arange(count) + rng.random(count)) / count
    sides = np.full(count, np.sign(yaw_deg)) if abs(yaw_deg) > FACING_DEG else rng.choice([-1.0, 1.0], count)
    yaws = sides * (low + at * (YAW_RANGE_DEG[1] - low))
    pitches = pitch_deg + rng.uniform(-PITCH_DEG, PITCH_DEG, count)
    return list(zip(yaws.tolist(), pitches.tolist(), strict=True))


class TurnedSamples(Samples):
    """Turned views of a table's training faces, drawn when they are asked for.

    Views of which too much is stretched (``MAX_STRETCHED``) do not come; ``rejected`` counts those so far.
    """

    def __init__(self, table: Table, sources: Sequence[str], per_face: int, seed: int) -> None:
        """Plan the views.

        Args:
            table: of training rows only.
            sources: rows of these are turned.
            per_face: views of each.
        Raises:
            ValueError: a source that no row has; a markup other than the 68 points; no view at all to draw.
        """
        if table.markup != MARKUP_68:
            raise ValueError(f"{table.path}: markup {table.markup.name!r}; only faces of {MARKUP_68.name!r} are turned")
        unknown = sorted(set(sources) - set(table.sources))
        if unknown or not sources:
            there = ", ".join(sorted(set(table.sources)))
            raise ValueError(f"{table.path}: no training row has source {', '.join(unknown) or '-'}; there are {there}")
        if per_face < 1:
            raise ValueError(f"{per_face} views of each face: expected 1 or more")
        self.rejected = 0
        self._table = table
        self._views: list[tuple[int, int, float, float]] = []
        self._last: tuple[int, Turner] | None = None
        for row in [row for row, source in enumerate(table.sources) if source in sources]:
            pose = head_pose(table.points[row])
            # By name: the same views, whatever else the table holds.
            rng = np.random.default_rng([seed, zlib.crc32(table.names[row].encode())])
            views = planned(pose.yaw_deg, pose.pitch_deg, per_face, rng)
            self._views += [(row, number, yaw, pitch) for number, (yaw, pitch) in enumerate(views)]
        if not self._views:
            raise ValueError(f"{table.path}: no face of {', '.join(sources)} can be turned; all are near profile")
        super().__init__(self._views, self._drawn)

    @property
    def notes(self) -> tuple[str, ...]:  # type: ignore[override]
        what = f"more than {MAX_STRETCHED:.0%} of the face drawn out over {STRETCH:g} times"
        return (f"{self.rejected} of {len(self)} views rejected: {what}",) if self.rejected else ()

    @notes.setter
    def notes(self, _: Sequence[str]) -> None:
        """Counted, not given."""

    def __next__(self) -> Sample:
        while True:
            sample = super().__next__()
            if sample.weight:
                return sample
            self.rejected += 1

    def _drawn(self, view: tuple[int, int, float, float]) -> Sample:
        """A view; of weight 0 where it is to be rejected."""
        row, number, yaw, pitch = view
        sample = self._table[row]
        if self._last is None or self._last[0] != row:
            self._last = row, Turner(sample.image, sample.points_img)
        turner = self._last[1]
        turned = turner.turn(yaw, pitch)
        return Sample(
            name=f"{sample.name}-turned{number}",
            image=turned.image,
            points_img=turned.points_img,
            weight=WEIGHT * sample.weight if turned.stretched <= MAX_STRETCHED else 0.0,
            yaw_deg=yaw,
            group=sample.group or sample.name,
            markup=sample.markup,
            source=f"{sample.source}-turned",
            provenance=f"{sample.name} turned from yaw {turner.pose.yaw_deg:.1f}; {sample.provenance}".rstrip("; "),
            split=sample.split,
        )


def turned_samples(folder: Path, sources: Sequence[str], per_face: int = 4, seed: int = 0) -> TurnedSamples:
    """Turned views of the faces in a training table, for ``data.convert.convert``.

    Of the split ``train`` only. A view's group is its photo's, its source has ``-turned`` added, its weight is half.

    Raises:
        FileNotFoundError, ValueError: as ``Table`` and ``TurnedSamples``.
    """
    return TurnedSamples(Table(folder, "train", memory_gb=0.0), sources, per_face, seed)


@dataclass(frozen=True, eq=False)
class _Surface:
    """The picture as a relief.

    Attributes:
        vertices: (V, 3) x, y in image pixels, beyond the picture too, z away from the camera.
        triangles: (T, 3) of them.
        follow: (V,) how much of the turn each follows: 1 on the head, 0 at the rim.
        on_face: (T,) whether it lies within the landmarks.
        centre: (3,) on the axis of the turn.
    """

    vertices: Points3
    triangles: NDArray[np.int64]
    follow: NDArray[np.float64]
    on_face: NDArray[np.bool_]
    centre: NDArray[np.float64]

    @classmethod
    def around(cls, points: Points3, width: int, height: int) -> _Surface:
        anchors, follow = _anchors(points, width, height)
        rim = _rim(width, height)
        columns = np.arange(rim[0, 0], rim[1, 0] + 0.5, _STEP_PX)
        rows = np.arange(rim[0, 1], rim[1, 1] + 0.5, _STEP_PX)
        x, y = np.meshgrid(columns, rows)
        values = LinearNDInterpolator(anchors[:, :2], np.column_stack([anchors[:, 2], follow]))(x, y)
        z = gaussian_filter(values[..., 0], 0.7, mode="nearest")
        vertices = np.column_stack([x.ravel(), y.ravel(), z.ravel()])
        number = np.arange(x.size).reshape(x.shape)
        a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]
        triangles = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])
        hull = Delaunay(points[ConvexHull(points[:, :2]).vertices, :2])
        inside = hull.find_simplex(vertices[:, :2]) >= 0
        similarity = align(mean_shape_68(), points)
        centre = similarity.apply(np.array([[0.0, 0.0, _AXIS]]))[0]
        return cls(vertices, triangles, values[..., 1].ravel(), inside[triangles].all(axis=1), centre)


def _rim(width: int, height: int) -> Points2:
    """(2, 2) first and last x and y of the surface: whole steps apart."""
    spread = np.ceil(_SPREAD * max(width, height) / _STEP_PX) * _STEP_PX
    size = np.ceil(np.array([width, height]) / _STEP_PX) * _STEP_PX
    return np.array([[-spread, -spread], size + spread])


def _head_anchors() -> Points3:
    """Points of the mean head's skin and skull that are no landmarks, (A, 3)."""
    cheeks = np.array(_CHEEKS)
    grid = np.array([(x, y) for y in (-0.85, -1.05, -1.25, -1.42, -1.56) for x in np.linspace(-0.8, 0.8, 9)])
    inner = (((grid - _SKULL_CENTRE[:2]) / _SKULL_AXES[:2]) ** 2).sum(axis=1)
    grid, inner = grid[inner < 0.95], inner[inner < 0.95]
    forehead = np.column_stack([grid, _SKULL_CENTRE[2] - _SKULL_AXES[2] * np.sqrt(1 - inner)])
    angle = np.radians(np.linspace(0, 180, 13))
    outline = np.column_stack([np.cos(angle), -np.sin(angle), 0 * angle]) * _SKULL_AXES + _SKULL_CENTRE
    return np.concatenate([cheeks, cheeks * (-1, 1, 1), forehead, outline])


def _anchors(points: Points3, width: int, height: int) -> tuple[Points3, NDArray[np.float64]]:
    """((A, 3) places with a known depth, (A,) how much of the turn they follow)."""
    mean, extra = mean_shape_68(), _head_anchors()
    similarity = align(mean, points)
    # This face is not the mean one: what is near a landmark is off by what the landmark is off by.
    own = RBFInterpolator(mean, points - similarity.apply(mean), kernel="linear", degree=0, smoothing=0.05)
    head = np.concatenate([points, similarity.apply(extra) + own(extra)])
    head = _seen(head, np.concatenate([mean, extra])[:, 0], head_pose(points).yaw_deg, similarity.scale)
    outline = head[ConvexHull(head[:, :2]).vertices]
    outline = _even(outline, 0.15 * similarity.scale)
    middle = outline[:, :2].mean(axis=0)
    away = outline[:, :2] - middle
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    neck = similarity.apply(np.array([[0.0, 0.0, _NECK]]))[0, 2]
    rings = []
    for out, deeper in _RINGS:
        depth = np.maximum(outline[:, 2] + deeper * similarity.scale, neck + (deeper - _RINGS[0][1]) * similarity.scale)
        rings.append(np.column_stack([outline[:, :2] + out * similarity.scale * away, depth]))
    followers = np.concatenate([head, *rings])
    (x0, y0), (x1, y1) = _rim(width, height)
    inside = (followers[:, :2] > (x0 + 1, y0 + 1)) & (followers[:, :2] < (x1 - 1, y1 - 1))
    followers = followers[inside.all(axis=1)]
    along = np.linspace(0, 1, 9)[:-1, None]
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    frame = np.concatenate([a + along * (b - a) for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)])
    rim = np.column_stack([frame, np.full(len(frame), followers[:, 2].max())])
    return np.concatenate([followers, rim]), np.repeat([1.0, 0.0], [len(followers), len(rim)])


def _seen(head: Points3, mean_x: NDArray[np.float64], yaw_deg: float, scale: float) -> Points3:
    """Without the points of the far side that lie behind nearer ones."""
    if abs(yaw_deg) < 3:
        return head
    # Landmarks 17 to 67 stay in any case: a nose hides next to nothing at the yaws that are turned.
    kept = list(range(17, 68))
    doubtful = [i for i in range(len(head)) if i < 17 or i >= 68]
    for i in sorted(doubtful, key=lambda i: float(head[i, 2])):
        if mean_x[i] * yaw_deg > 0.1 * abs(yaw_deg):
            hull = ConvexHull(head[kept, :2])
            # Distances from the hull's lines, below 0 within.
            if (hull.equations[:, :2] @ head[i, :2] + hull.equations[:, 2]).max() < -0.02 * scale:
                continue
        kept.append(i)
    return head[sorted(kept)]


def _even(loop: Points3, step: float) -> Points3:
    """Points about ``step`` apart on a closed line."""
    closed = np.concatenate([loop, loop[:1]])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed[:, :2], axis=0), axis=1))])
    at = np.linspace(0, length[-1], max(8, round(length[-1] / step)), endpoint=False)
    return np.column_stack([np.interp(at, length, closed[:, i]) for i in range(3)])


def _stretch(before: Points3, after: Points3, triangles: NDArray[np.int64]) -> NDArray[np.float64]:
    """(T,) the longest that a step within each triangle becomes: the largest singular value of its map in x and y."""

    def sides(vertices: Points3) -> NDArray[np.float64]:
        first, second, third = (vertices[triangles[:, i], :2] for i in range(3))
        return np.stack([second - first, third - first], axis=-1)

    linear = sides(after) @ np.linalg.inv(sides(before))
    square = (linear**2).sum(axis=(1, 2))
    root = np.sqrt(np.maximum(0, square**2 - 4 * np.linalg.det(linear) ** 2))
    return np.sqrt((square + root) / 2)


def _rasterise(
    vertices: Points3, triangles: NDArray[np.int64], source: Points2, width: int, height: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Draw triangles, the nearest on top.

    Returns:
        (H, W, 2) where in ``source``'s coordinates each pixel comes from, and (H, W) by which triangle.
    Raises:
        ValueError: a pixel is covered by none.
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
        raise ValueError(f"{(last < 0).sum()} pixels of the turned picture are covered by nothing")
    found = (weights[last, :, None] * source[triangles[owner[last]]]).sum(axis=1)
    return found.reshape(height, width, 2).astype(np.float32), owner[last].reshape(height, width)


def _fragments(
    corners: NDArray[np.float64],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    chosen: NDArray[np.int64],
    bound: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Of some triangles, no longer than ``bound``: pixels (F, 2), their depth, triangle and barycentric weights."""
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
    # A hair wider than they are: no gaps between neighbours.
    hit = (a > -1e-6) & (b > -1e-6) & (c > -1e-6) & np.isfinite(area)
    hit &= (pixel[..., 0] <= high[chosen, 0, None]) & (pixel[..., 1] <= high[chosen, 1, None])
    triangle, _ = np.nonzero(hit)
    weights = np.stack([a[hit], b[hit], c[hit]], axis=-1)
    depth = (weights * corners[chosen[triangle], :, 2]).sum(axis=-1)
    return pixel[hit], depth, chosen[triangle], weights
