"""From crops to landmarks in the image. Every prediction goes through here."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jvcr.frames import Box, Crop, borders, crop_to_unit, diagonals, unit_to_crop, unit_to_vox
from jvcr.geometry import crop_tilt_deg, mean_head
from jvcr.images import Image, extract
from jvcr.runtime.base import Prediction, Runtime
from jvcr.runtime.mirror import MirrorAveraged
from jvcr.volume import sample_cells, unfolded

_CENTRE_OFF, _SIZE_OFF, _ROLL_OFF_DEG = 0.05, 0.1, 12.0
"""Limits of ``well_cropped``: distance of the centres as a fraction of the side, log of the ratio of sides, angle."""


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
    network = runtime.confidence.landmarks
    if network is None:
        return None, None
    points_unit = crop_to_unit(face.crop.to_crop(face.points_img), runtime.image_size)
    visibility, sigma = network(points_unit, face.heights)
    low, high = borders(np.array([image.shape[1], image.shape[0]]))
    inside = ((face.points_img[:, :2] >= low) & (face.points_img[:, :2] < high)).all(axis=1)
    return np.where(inside, visibility, np.float32(0)), (sigma * diagonals(face.points_img)).astype(np.float32)


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
    """The second pass: if the first crop was off (``well_cropped``), predict again on an upright one around the result.

    If the first crop was good, the first result is kept. With flip averaging, it is averaged with the result on the
    mirrored crop.

    Args:
        work: images and crops of the first pass. seen: results of the first pass.
    """
    second = [(image, _second(runtime, image, crop, face)) for (image, crop), face in zip(work, seen, strict=True)]
    good = [well_cropped(crop, other) for (_, crop), (_, other) in zip(work, second, strict=True)]
    again = locate_many(runtime, itertools.compress(second, (not fine for fine in good)), batch_size)
    flipped = None
    if isinstance(runtime, MirrorAveraged):
        flipped = locate_many(runtime.mirrored, itertools.compress(work, good), batch_size)
    return second_results(runtime, seen, good, again, flipped)


def second_results(
    runtime: Runtime,
    seen: Sequence[LocatedFace],
    good: Sequence[bool],
    again: Iterator[LocatedFace],
    flipped: Iterator[LocatedFace] | None,
) -> list[LocatedFace]:
    """The results after the second pass, in the order of the first.

    Args:
        seen: results of the first pass.
        good: for each of them, whether its crop was good (``well_cropped``).
        again: results on the second crop of each face whose first crop was not good.
        flipped: results on the mirrored first crop of each face whose crop was good; None without flip averaging.
    """
    results = []
    for face, fine in zip(seen, good, strict=True):
        if not fine:
            results.append(next(again))
        else:
            results.append(face if flipped is None else averaged_faces(runtime, face, next(flipped)))
    return results


def well_cropped(crop: Crop, wanted: Crop) -> bool:
    """Whether ``crop`` is so close to ``wanted`` that a second pass would hardly improve the result.

    The limits were chosen on validation faces with box errors like the detector's: skipping the second pass within them
    raises the mean error by less than 1 % (docs/LOG.md).
    """
    apart = math.hypot(crop.centre_x - wanted.centre_x, crop.centre_y - wanted.centre_y)
    return (
        apart < _CENTRE_OFF * wanted.side_px
        and abs(math.log(crop.side_px / wanted.side_px)) < _SIZE_OFF
        and turned_deg(crop, wanted) < _ROLL_OFF_DEG
    )


def turned_deg(crop: Crop, other: Crop) -> float:
    """Angle between two crops, 0 to 180."""
    return abs((crop.rotation_deg - other.rotation_deg + 180) % 360 - 180)


def averaged_faces(runtime: Runtime, face: LocatedFace, other: LocatedFace) -> LocatedFace:
    """The mean of two results on the same crop."""
    points_img = np.float32(0.5) * (face.points_img + other.points_img)
    cells = np.float32(0.5) * (face.cells + other.cells)
    crop = replace(face.crop, centre_z=(face.crop.centre_z + other.crop.centre_z) / 2)
    points_unit = crop_to_unit(crop.to_crop(points_img), runtime.image_size).astype(np.float32)
    return LocatedFace(points_img, cells, crop, heights_at(Prediction(cells[None], points_unit[None]))[0])


def upright_crop(runtime: Runtime, points_img: NDArray[np.float32]) -> Crop:
    """The network's crop around (N, 3) landmarks. The head is upright in it if the markup has a head pose."""
    tilt_deg = 0.0 if mean_head(runtime.markup) is None else crop_tilt_deg(points_img, runtime.markup)
    return Crop.around(points_img, runtime.image_size, -tilt_deg, runtime.crop_rule)


def _second(runtime: Runtime, image: Image, crop: Crop, seen: LocatedFace) -> Crop:
    """The crop of the second pass; the first crop again if the first result lies outside the image."""
    there = Box.around(seen.points_img).meets(image.shape[1], image.shape[0])
    return upright_crop(runtime, seen.points_img) if there else crop
