"""From crops to landmarks in the image. Every prediction takes this path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jvcr.frames import Box, Crop, unit_to_crop, unit_to_vox
from jvcr.geometry import crop_tilt_deg, mean_head
from jvcr.images import Image, extract
from jvcr.runtime.base import Runtime
from jvcr.volume import sample


class LocatedFace(NamedTuple):
    """One prediction in the image frame.

    points_img: (N, 3) float32, image pixels, z away from the camera, z mean 0.
    volume: (D, H, W) float32. crop: where the volume lies, in depth too. score: see ``agreement``.
    """

    points_img: NDArray[np.float32]
    volume: NDArray[np.float32]
    crop: Crop
    score: float


def agreement(volume: NDArray[np.float32], points_unit: NDArray[np.float32]) -> NDArray[np.float32]:
    """(B,) mean over the landmarks of the volume at the predicted points, 0…1.

    G must have put a peak where P reads a landmark. On a face the two agree; without a face, the volume is
    empty. A perfect prediction scores about 0.8, because reading between voxels misses the peaks.
    """
    return sample(volume, unit_to_vox(points_unit, volume.shape[1:])).mean(axis=1).clip(0, 1)


def locate(runtime: Runtime, image: Image, crops: Sequence[Crop], batch_size: int = 16) -> list[LocatedFace]:
    """Run the network on crops of one image, ``batch_size`` at a time, in their order."""
    return list(locate_many(runtime, ((image, crop) for crop in crops), batch_size))


def locate_many(
    runtime: Runtime, work: Iterator[tuple[Image, Crop]], batch_size: int = 16, rough: Runtime | None = None
) -> Iterator[LocatedFace]:
    """Run the network on crops of many images. Results come in the order of the work.

    Args:
        rough: runs a first pass on the given crops; ``runtime`` then runs on upright crops around its results.
    """
    while pending := [pair for _, pair in zip(range(batch_size), work, strict=False)]:
        if rough is not None:
            seen = locate_many(rough, iter(pending), batch_size)
            pending = [
                (image, _second(runtime, image, crop, face)) for (image, crop), face in zip(pending, seen, strict=True)
            ]
        crops = [crop for _, crop in pending]
        prediction = runtime(np.stack([extract(image, crop) for image, crop in pending]))
        scores = agreement(prediction.volume, prediction.points_unit)
        for crop, volume, points_unit, score in zip(crops, *prediction, scores, strict=True):
            points_img = crop.to_image(unit_to_crop(points_unit, runtime.image_size))
            mean_z = points_img[:, 2].mean()
            points_img[:, 2] -= mean_z
            yield LocatedFace(points_img.astype(np.float32), volume, crop.moved_in_depth(-mean_z), float(score))


def upright_crop(runtime: Runtime, points_img: NDArray[np.float32]) -> Crop:
    """The network's crop around (N, 3) landmarks; it shows the head upright, where the markup has a head pose."""
    tilt_deg = 0.0 if mean_head(runtime.markup) is None else crop_tilt_deg(points_img, runtime.markup)
    return Crop.around(points_img, runtime.image_size, -tilt_deg, runtime.crop_rule)


def _second(runtime: Runtime, image: Image, crop: Crop, seen: LocatedFace) -> Crop:
    """The crop of the second pass; the first crop again if the first result is not even on the image."""
    there = Box.around(seen.points_img).meets(image.shape[1], image.shape[0])
    return upright_crop(runtime, seen.points_img) if there else crop
