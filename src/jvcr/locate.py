"""From crops to landmarks in the image. Every prediction goes through here."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from jvcr.frames import Box, Crop, borders, crop_to_unit, diagonals, unit_to_crop, unit_to_vox
from jvcr.geometry import crop_tilt_deg, mean_head
from jvcr.images import Image, extract
from jvcr.runtime.base import Prediction, Runtime
from jvcr.runtime.landmark_confidence import Trust
from jvcr.runtime.mirror import MirrorAveraged
from jvcr.volume import sample_cells, unfolded


class CropLimits(NamedTuple):
    """How far a crop may be from the wanted one: distance of the centres as a fraction of the wanted side, log of the
    ratio of sides, angle."""

    centre: float
    size: float
    roll_deg: float

    def hold(self, crop: Crop, wanted: Crop) -> bool:
        """Whether ``crop`` is within the limits of ``wanted``."""
        apart = math.hypot(crop.centre_x - wanted.centre_x, crop.centre_y - wanted.centre_y)
        return (
            apart < self.centre * wanted.side_px
            and abs(math.log(crop.side_px / wanted.side_px)) < self.size
            and turned_deg(crop, wanted) < self.roll_deg
        )


# Chosen on validation faces with box errors like the detector's (docs/LOG.md): the mean error is at most 1 % higher
# than with two more passes on an upright crop around every face.
GOOD_CROP = CropLimits(0.05, 0.1, 12.0)
"""Without flip averaging: a crop within these limits needs no second pass."""

SURE_CROP, SURE_SIGMA = CropLimits(0.07, 0.13, 15.0), 0.016
"""With flip averaging: a crop within these limits needs no second pass if the network is sure of its result. It is if
the mean standard deviation of the landmarks, in diagonals of their box, is below ``SURE_SIGMA``."""

NEAR_CROP = CropLimits(0.12, 0.25, 25.0)
"""A result from a crop within these limits is averaged with the second pass, otherwise replaced by it."""


class Look(enum.Enum):
    """A pass of the network on a crop."""

    FIRST = enum.auto()
    LAST = enum.auto()
    """With flip averaging, on the crop and on its mirror image."""
    MIRRORED = enum.auto()
    """On the mirror image alone."""


class LocatedFace(NamedTuple):
    """One prediction in the image frame.

    points_img: (N, 3) float32, image pixels, z away from the camera, z mean 0.
    cells: the compact volume, (D, s, s, H/s, W/s) float32, laid out as in ``Prediction``. crop: the position of the
    volume in the image, including depth. heights: (N,) the volume at the landmarks (``heights_at``).
    """

    points_img: NDArray[np.float32]
    cells: NDArray[np.float32]
    crop: Crop
    heights: NDArray[np.float32]

    @property
    def score(self) -> float:
        """The agreement of volume and landmarks, 0…1: the mean of the heights.

        It is high if G predicts a peak where P locates a landmark. On a face the two agree; without a face, the volume
        is empty. A perfect prediction scores about 0.8, because interpolation between voxels lowers the peaks.
        """
        return float(self.heights.mean().clip(0, 1))

    @property
    def volume(self) -> NDArray[np.float32]:
        """The compact volume, (D, H, W) float32."""
        return unfolded(self.cells)


NO_CELLS: NDArray[np.float32] = np.empty((0, 1, 1, 0, 0), np.float32)
"""Placeholder for a volume that is not kept."""


def heights_at(prediction: Prediction) -> NDArray[np.float32]:
    """(B, N) the volume at the predicted points."""
    cells = prediction.cells
    depth, side, _, rows, columns = cells.shape[1:]
    points_vox = unit_to_vox(prediction.points_unit, (depth, rows * side, columns * side))
    return sample_cells(cells, points_vox)


def trust_of(
    runtime: Runtime, face: LocatedFace, image: Image
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | tuple[None, None]:
    """Visibility and standard deviation (image pixels) of a face's landmarks, (N,) each; None if the weights cannot
    tell.

    A landmark outside the image is not visible.
    """
    trust = _trust(runtime, face)
    if trust is None:
        return None, None
    visibility, sigma = trust
    low, high = borders(np.array([image.shape[1], image.shape[0]]))
    inside = ((face.points_img[:, :2] >= low) & (face.points_img[:, :2] < high)).all(axis=1)
    return np.where(inside, visibility, np.float32(0)), (sigma * diagonals(face.points_img)).astype(np.float32)


def mean_sigma(runtime: Runtime, face: LocatedFace) -> float | None:
    """Mean standard deviation of a face's landmarks, in diagonals of their box; None if the weights cannot tell."""
    trust = _trust(runtime, face)
    return None if trust is None else float(trust.sigma.mean())


def _trust(runtime: Runtime, face: LocatedFace) -> Trust | None:
    network = runtime.confidence.landmarks
    if network is None:
        return None
    points_unit = crop_to_unit(face.crop.to_crop(face.points_img), runtime.image_size)
    return network(points_unit, face.heights)


def locate(runtime: Runtime, image: Image, crops: Sequence[Crop], batch_size: int = 16) -> list[LocatedFace]:
    """Run the network on crops of one image, ``batch_size`` at a time. Results are in the order of the crops."""
    return list(locate_many(runtime, ((image, crop) for crop in crops), batch_size))


def locate_many(
    runtime: Runtime, work: Iterator[tuple[Image, Crop]], batch_size: int = 16, rough: Runtime | None = None
) -> Iterator[LocatedFace]:
    """Run the network on crops of many images. Results are in the order of ``work``.

    Args:
        rough: if given, it runs a first pass on the given crops, and ``runtime`` a second one (``refined``). It must be
            the network of ``runtime``, without flip averaging.
    """
    while pending := [pair for _, pair in zip(range(batch_size), work, strict=False)]:
        if rough is not None:
            yield from refined(runtime, pending, list(locate_many(rough, iter(pending), batch_size)), batch_size)
            continue
        crops = [crop for _, crop in pending]
        prediction = runtime(np.stack([extract(image, crop) for image, crop in pending]))
        for crop, cells, points_unit, heights in zip(crops, *prediction, heights_at(prediction), strict=True):
            points_img = crop.to_image(unit_to_crop(points_unit, runtime.image_size))
            mean_z = points_img[:, 2].mean()
            points_img[:, 2] -= mean_z
            yield LocatedFace(points_img.astype(np.float32), cells, crop.moved_in_depth(-mean_z), heights)


def refined(
    runtime: Runtime, work: Sequence[tuple[Image, Crop]], seen: Sequence[LocatedFace], batch_size: int = 16
) -> list[LocatedFace]:
    """The second pass, on an upright crop around the first result, where it pays (``second_look``).

    If the first crop was good, the first result is kept. With flip averaging, the second pass is on the mirror image
    alone, and both results are averaged; only if the first crop was far off, both halves of the average are new.

    Args:
        work: images and crops of the first pass. seen: results of the first pass.
    """
    second = [(image, _second(runtime, image, crop, face)) for (image, crop), face in zip(work, seen, strict=True)]
    looks = [second_look(runtime, face, wanted) for face, (_, wanted) in zip(seen, second, strict=True)]
    results = {Look.LAST: locate_many(runtime, _asked(Look.LAST, looks, second), batch_size)}
    if isinstance(runtime, MirrorAveraged):
        results[Look.MIRRORED] = locate_many(runtime.mirrored, _asked(Look.MIRRORED, looks, second), batch_size)
    return second_results(seen, looks, results)


_Crops = TypeVar("_Crops")


def _asked(look: Look, looks: Sequence[Look | None], second: Iterable[_Crops]) -> Iterator[_Crops]:
    return (crop for crop, wanted in zip(second, looks, strict=True) if wanted is look)


def second_look(runtime: Runtime, face: LocatedFace, wanted: Crop) -> Look | None:
    """What to run on the wanted crop after the first pass on ``face.crop``: ``LAST``, ``MIRRORED``, or nothing."""
    if not isinstance(runtime, MirrorAveraged):
        return None if GOOD_CROP.hold(face.crop, wanted) else Look.LAST
    if not NEAR_CROP.hold(face.crop, wanted):
        return Look.LAST
    return None if SURE_CROP.hold(face.crop, wanted) and _is_sure(runtime, face) else Look.MIRRORED


def second_results(
    seen: Sequence[LocatedFace], looks: Sequence[Look | None], results: Mapping[Look, Iterator[LocatedFace]]
) -> list[LocatedFace]:
    """The results after the second pass, in the order of the first.

    Args:
        seen: results of the first pass.
        looks: for each of them, what ran after it (``second_look``).
        results: of ``LAST`` and ``MIRRORED``, each in the order of the faces that it ran for.
    """
    last = []
    for face, look in zip(seen, looks, strict=True):
        second = next(results[look]) if look is not None else None
        if second is None:
            last.append(face)
        else:
            last.append(averaged_faces(face, second) if look is Look.MIRRORED else second)
    return last


def _is_sure(runtime: Runtime, face: LocatedFace) -> bool:
    sigma = mean_sigma(runtime, face)
    return sigma is not None and sigma < SURE_SIGMA


def turned_deg(crop: Crop, other: Crop) -> float:
    """Angle between two crops, 0 to 180."""
    return abs((crop.rotation_deg - other.rotation_deg + 180) % 360 - 180)


def averaged_faces(face: LocatedFace, second: LocatedFace) -> LocatedFace:
    """The mean of two results. The crop and the volume are those of the second."""
    points_img = np.float32(0.5) * (face.points_img + second.points_img)
    heights = np.float32(0.5) * (_heights_in(face, points_img) + _heights_in(second, points_img))
    return second._replace(points_img=points_img, heights=heights)


def _heights_in(face: LocatedFace, points_img: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) a face's volume at points in the image frame."""
    points_unit = crop_to_unit(face.crop.to_crop(points_img), face.crop.size_px).astype(np.float32)
    return heights_at(Prediction(face.cells[None], points_unit[None]))[0]


def upright_crop(runtime: Runtime, points_img: NDArray[np.float32]) -> Crop:
    """The network's crop around (N, 3) landmarks. The head is upright in it if the markup has a head pose."""
    tilt_deg = 0.0 if mean_head(runtime.markup) is None else crop_tilt_deg(points_img, runtime.markup)
    return Crop.around(points_img, runtime.image_size, -tilt_deg, runtime.crop_rule)


def _second(runtime: Runtime, image: Image, crop: Crop, seen: LocatedFace) -> Crop:
    """The crop of the second pass; the first crop again if the first result lies outside the image."""
    there = Box.around(seen.points_img).meets(image.shape[1], image.shape[0])
    return upright_crop(runtime, seen.points_img) if there else crop
