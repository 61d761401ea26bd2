"""Render photos of near-frontal faces at larger yaws, for training; the picture is warped by the landmarks' depth.

Similar to 300W-LP (Zhu et al., "Face Alignment Across Large Poses: A 3D Solution", 2016), but without a face model: the
depth of every pixel is interpolated between the landmarks and anchors on a head of average proportions; around the head
the surface recedes. The surface is rotated and rendered with a depth test. Its rim does not move, so the background is
stretched and has no holes.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from jvcr.data.cutting import cut, outside
from jvcr.data.reading import Samples
from jvcr.data.sample import Sample
from jvcr.data.table import Table
from jvcr.data.turn.rasterise import rasterise
from jvcr.data.turn.relief import Points3, Relief
from jvcr.expression import CLOSED_EYE, eye_openings
from jvcr.frames import Box
from jvcr.geometry import head_pose, rotation_from_angles
from jvcr.images import Image
from jvcr.markups.markup import MARKUP_68

YAW_RANGE_DEG = (20.0, 85.0)
PITCH_DEG = 10.0
LEAST_TURN_DEG = 10.0
FACING_DEG = 10.0
"""Beyond this yaw, a face is only turned further to the same side: the other half is not visible."""
WEIGHT = 0.5
"""Weight of a turned view, relative to its photo's."""
STRETCH = 3.0
MAX_STRETCHED = 0.35
"""Views in which more than this share of the face is stretched over ``STRETCH`` times are rejected."""
_PART_PX = 640
_PART_MARGIN = 3.0


@dataclass(frozen=True, eq=False)
class Turned:
    """A picture after the turn.

    Attributes:
        image: (H, W, 3) uint8, as large as the original.
        points_img: (68, 3) float32, as ``Sample.points_img``: the original points, rotated as a rigid body.
        stretched: share of the visible face that is stretched more than ``STRETCH`` times.
    """

    image: Image
    points_img: NDArray[np.float32]
    stretched: float


class Turner:
    """A picture of a face that can be turned repeatedly."""

    def __init__(self, image: Image, points_img: NDArray[np.float32]) -> None:
        """Compute the depth of every pixel.

        Args:
            image: (H, W, 3) uint8.
            points_img: (68, 3) as ``Sample.points_img``.
        Raises:
            ValueError: not 68 finite 3D landmarks; they are collinear; or the face is outside the image.
        """
        if points_img.shape != (68, 3) or not np.isfinite(points_img).all():
            raise ValueError(f"turning needs 68 finite 3D landmarks; got an array of shape {points_img.shape}")
        box = Box.around(points_img)
        if not box.meets(image.shape[1], image.shape[0]):
            raise ValueError(outside(box, image))
        self.image = image
        self.points = points_img.astype(np.float64)
        self.pose = head_pose(self.points)
        self.angles = self.pose.angles("zyx")
        self._relief = Relief.around(self.points, image.shape[1], image.shape[0])

    def turn(self, yaw_deg: float, pitch_deg: float | None = None) -> Turned:
        """Turn the head, with angles in the order "zyx" (``geometry.Order``). The roll does not change.

        Args:
            yaw_deg: the new yaw; preferably larger than before, to the same side. Parts that
                the picture does not show are filled by stretching the nearest pixels.
            pitch_deg: the new pitch; None to keep it.
        Raises:
            ValueError: a yaw that is not between -90° and 90°.
        """
        if not abs(yaw_deg) < 90:
            raise ValueError(f"yaw {yaw_deg}: expected between -90 and 90 degrees")
        relief = self._relief
        pitch_deg = self.angles.pitch_deg if pitch_deg is None else pitch_deg
        rotation = rotation_from_angles(yaw_deg, pitch_deg, self.angles.roll_deg, "zyx") @ self.pose.rotation.T
        height, width = self.image.shape[:2]

        def turned(points: Points3) -> Points3:
            return (points - relief.centre) @ rotation.T + relief.centre

        moved = relief.vertices + relief.follow[:, None] * (turned(relief.vertices) - relief.vertices)
        found, owner = rasterise(moved, relief.triangles, relief.vertices[:, :2], width, height)
        picture = cv2.remap(self.image, found, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        face = relief.on_face[owner]
        long = _stretch(relief.vertices, moved, relief.triangles) > STRETCH
        landmarks = turned(self.points)
        landmarks[:, 2] -= landmarks[:, 2].mean()
        stretched = float(long[owner[face]].mean()) if face.any() else 1.0
        return Turned(np.asarray(picture, np.uint8), landmarks.astype(np.float32), stretched)


def planned(yaw_deg: float, pitch_deg: float, count: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    """(yaw, pitch) of ``count`` views of a face, evenly spread over yaws above its own; none if its yaw is too large.

    A face that looks to one side (``FACING_DEG``) is turned further to that side, others to either side.
    """
    low = max(YAW_RANGE_DEG[0], abs(yaw_deg) + LEAST_TURN_DEG)
    if low >= YAW_RANGE_DEG[1]:
        return []
    at = (np.arange(count) + rng.random(count)) / count
    sides = np.full(count, np.sign(yaw_deg)) if abs(yaw_deg) > FACING_DEG else rng.choice([-1.0, 1.0], count)
    yaws = sides * (low + at * (YAW_RANGE_DEG[1] - low))
    pitches = pitch_deg + rng.uniform(-PITCH_DEG, PITCH_DEG, count)
    return list(zip(yaws.tolist(), pitches.tolist(), strict=True))


class _TooStretched(Exception):
    """A view that is rejected."""


class TurnedSamples(Samples):
    """Turned views of a table's training faces, rendered lazily.

    Views that are stretched too much (``MAX_STRETCHED``) are skipped; ``rejected`` counts them.
    """

    def __init__(
        self, table: Table, sources: Sequence[str], per_face: int, seed: int, closed_eyes: bool = False
    ) -> None:
        """Plan the views.

        Args:
            table: the training rows.
            sources: rows of these sources are turned.
            per_face: views per face.
            closed_eyes: keep only views whose near eye is closed, by labels that can be trusted.
        Raises:
            ValueError: no row has a source; the markup is not that of 68 points; or there is no view to render.
        """
        if not table.markup.same_points(MARKUP_68):
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
            own = head_pose(table.points[row]).angles("zyx")
            # Seeded by name: the views do not depend on other rows.
            rng = np.random.default_rng([seed, zlib.crc32(table.names[row].encode())])
            views = planned(own.yaw_deg, own.pitch_deg, per_face, rng)
            near = _closed(table, row) if closed_eyes else (True, True)
            # With a positive yaw, the person's right eye is the near one.
            self._views += [
                (row, number, yaw, pitch) for number, (yaw, pitch) in enumerate(views) if near[0 if yaw > 0 else 1]
            ]
        if not self._views:
            why = "all are near profile, or have open eyes" if closed_eyes else "all are near profile"
            raise ValueError(f"{table.path}: no face of {', '.join(sources)} can be turned; {why}")
        super().__init__(self._views, self._drawn)

    def __next__(self) -> Sample:
        while True:
            try:
                return super().__next__()
            except _TooStretched:
                self.rejected += 1
                what = f"more than {MAX_STRETCHED:.0%} of the face stretched over {STRETCH:g} times"
                self.notes = (f"{self.rejected} of {len(self)} views rejected: {what}",)

    def _drawn(self, view: tuple[int, int, float, float]) -> Sample:
        row, number, yaw, pitch = view
        sample = self._table[row]
        if self._last is None or self._last[0] != row:
            # Of a whole photo, only the surroundings of the face are needed. Most stored images are smaller.
            part = cut(sample.image, sample.box, _PART_PX, _PART_MARGIN)
            points = part.to_stored(sample.points_img).astype(np.float32)
            self._last = row, Turner(part.image, points)
        turner = self._last[1]
        turned = turner.turn(yaw, pitch)
        if turned.stretched > MAX_STRETCHED:
            raise _TooStretched
        return Sample(
            name=f"{sample.name}-turned{number}",
            image=turned.image,
            points_img=turned.points_img,
            weight=WEIGHT * sample.weight,
            yaw_deg=yaw,
            group=sample.group or sample.name,
            markup=sample.markup,
            source=f"{sample.source}-turned",
            provenance=f"{sample.name} turned from yaw {turner.angles.yaw_deg:.1f}; {sample.provenance}".rstrip("; "),
            split=sample.split,
            openings=sample.openings,
        )


def _closed(table: Table, row: int) -> tuple[bool, bool]:
    """Whether the person's right and left eye are closed, by the labels; False for labels that do not teach eyes."""
    openings = eye_openings(table.points[row, :, :2].astype(np.float64))
    taught = [table.taught[row, list(MARKUP_68.groups[eye])].all() for eye in ("right_eye", "left_eye")]
    right, left = (bool(opening < CLOSED_EYE and known) for opening, known in zip(openings, taught, strict=True))
    return right, left


def turned_samples(
    folder: Path, sources: Sequence[str], per_face: int = 4, seed: int = 0, closed_eyes: bool = False
) -> TurnedSamples:
    """Turned views of the faces in a training table, for ``data.convert.convert``.

    Only the split ``train`` is used. A view has the group of its photo, its source with ``-turned`` added, and half its
    weight. ``closed_eyes`` keeps only views whose near eye is closed: such profiles are rare in photos.

    Raises:
        FileNotFoundError, ValueError: see ``Table`` and ``TurnedSamples``.
    """
    return TurnedSamples(Table(folder, "train", memory_gb=0.0), sources, per_face, seed, closed_eyes)


def _stretch(before: Points3, after: Points3, triangles: NDArray[np.int64]) -> NDArray[np.float64]:
    """(T,) largest stretch within each triangle: the largest singular value of its map in x and y."""

    def sides(vertices: Points3) -> NDArray[np.float64]:
        first, second, third = (vertices[triangles[:, i], :2] for i in range(3))
        return np.stack([second - first, third - first], axis=-1)

    linear = sides(after) @ np.linalg.inv(sides(before))
    square = (linear**2).sum(axis=(1, 2))
    root = np.sqrt(np.maximum(0, square**2 - 4 * np.linalg.det(linear) ** 2))
    return np.sqrt((square + root) / 2)
