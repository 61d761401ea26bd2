"""Many photos made of a few: each is scaled and turned by its own random numbers."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from jvcr.batch.reading import Reader
from jvcr.batch.source import list_photos
from jvcr.files import write_text
from jvcr.images import Image, write_image

_LONG_SIDE_PX = (240, 400)
_ANGLE_DEG = 30.0
_PER_FOLDER = 1000
_MOST_BYTES = 60_000
"""More than the mean photo takes."""

_SPARE_BYTES = 2_000_000_000
"""What must be left on the disk."""


def make_photos(source: str, work: Path, count: int, seed: int) -> None:
    """Write ``count`` photos to WORK/photos. Those that exist are kept, so that it can be interrupted.

    Photo k comes from photo k modulo the number of photos in the source, and depends on k and the seed alone.

    Raises:
        SystemExit: a photo of the source cannot be read, or the disk has no room.
    """
    listing = list_photos(source)
    originals = list(enumerate(listing.photos))
    missing: dict[int, list[int]] = defaultdict(list)
    for number in range(count):
        if not photo_path(work, number).exists():
            missing[number % len(originals)].append(number)
    _check_disk(work, sum(map(len, missing.values())))
    needed = [original for original in originals if original[0] in missing]
    for read in Reader(listing.source, 170_000_000, 60).read(needed):
        if read.image is None:
            raise SystemExit(
                f"{read.photo.path}: {read.error}; expected photos that can be read: remove it from {source}"
            )
        for number in missing[read.index]:
            path = photo_path(work, number)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(path, varied(read.image, np.random.default_rng([seed, number])))


def photo_path(work: Path, number: int) -> Path:
    """Where photo ``number`` lies."""
    return work / "photos" / f"{number // _PER_FOLDER:05d}" / f"{number:08d}.jpg"


def write_list(work: Path, count: int) -> Path:
    """List the first ``count`` photos, as a source of a batch."""
    path = work / f"photos-{count}.txt"
    lines = (photo_path(work, number).relative_to(work).as_posix() for number in range(count))
    write_text(path, "\n".join(lines) + "\n")
    return path


def varied(image: Image, rng: np.random.Generator) -> Image:
    """The photo scaled, and turned about its middle."""
    scale = rng.uniform(*_LONG_SIDE_PX) / max(image.shape[:2])
    size = (max(16, round(image.shape[1] * scale)), max(16, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    matrix = cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), rng.uniform(-_ANGLE_DEG, _ANGLE_DEG), 1.0)
    return np.asarray(cv2.warpAffine(small, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _check_disk(work: Path, count: int) -> None:
    work.mkdir(parents=True, exist_ok=True)
    free, needed = shutil.disk_usage(work).free, count * _MOST_BYTES + _SPARE_BYTES
    if free < needed:
        raise SystemExit(
            f"{work}: {free / 1e9:.1f} GB are free; {count:,} photos need up to {needed / 1e9:.1f} GB, the spare room "
            "included. Choose another WORK, or fewer photos with --sizes"
        )
